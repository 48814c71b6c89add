"""The folder of the YAML files."""

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parents[1] / "conf"
# A wheel holds it as mobilenet_lab/conf; in the repository it is next to src/.
CONF = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[3] / "conf"
