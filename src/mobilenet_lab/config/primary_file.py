"""Read a primary configuration that needs no composition, which takes a tenth of a prediction's time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

HYDRA_KEYS = ("defaults", "hydra")
OVERRIDE_HYDRA = "override hydra/"


def read_primary_file(folders: Sequence[Path], name: str) -> dict[str, Any] | None:
    """Return the settings of a primary configuration that is complete without other files.

    Args:
        folders: Folders of YAML files, by priority.
        name: Name of the configuration.

    Returns:
        The settings without those of Hydra, with interpolations unresolved. None if Hydra has to compose
        them, because the file has groups, includes other files or changes its package.
    """
    path = next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)
    if path is None or "@package" in path.read_text(encoding="utf-8"):
        return None
    file = OmegaConf.load(path)
    if not isinstance(file, DictConfig) or not all(map(_is_own, file.get("defaults", []))):
        return None
    values: Any = OmegaConf.to_container(file)
    return {key: value for key, value in values.items() if key not in HYDRA_KEYS}


def _is_own(default: Any) -> bool:
    """Return whether an entry of the defaults list adds no settings but those of Hydra."""
    return default == "_self_" or (
        isinstance(default, DictConfig) and all(str(group).startswith(OVERRIDE_HYDRA) for group in default)
    )
