"""The settings of a run that differ from the defaults of train.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from mobilenet_lab.config.fingerprint import flat_settings
from mobilenet_lab.config.folder import CONF
from mobilenet_lab.config.nested import shown

ABOUT_FILES = ("resume", "overwrite")  # settings that say which files a run starts from


@dataclass(frozen=True)
class Difference:
    """A setting that differs from its default.

    Attributes:
        key: Dotted key.
        value: Its value as YAML spells it; None if the key was removed, for example with its group.
        default: Its default as YAML spells it; None if the default configuration lacks the key.
    """

    key: str
    value: str | None
    default: str | None


def changed_settings(cfg: DictConfig) -> list[Difference]:
    """Return the settings of a run that differ from `python train.py`, without paths in its folder."""
    defaults = _default_settings()
    settings = flat_settings(cfg)
    keys = [key for key in sorted(settings.keys() | defaults.keys()) if key not in ABOUT_FILES]
    found = (Difference(key, _shown(settings, key), _shown(defaults, key)) for key in keys)
    return [difference for difference in found if difference.value != difference.default]


@cache
def _default_settings() -> dict[str, Any]:
    """Return the settings of `python train.py`, also inside a script that Hydra has started."""
    own = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return flat_settings(compose("train"))
    finally:
        if own is not None:  # `initialize_config_dir` has put another instance in its place
            GlobalHydra.instance().initialize(own)


def _shown(settings: Mapping[str, Any], key: str) -> str | None:
    return shown(settings[key]) if key in settings else None
