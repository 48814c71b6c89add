"""Check that all ranks train with the same settings."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from mobilenet_lab.runtime.errors import InputError


class ConfigConsistencyCheck(Callback):
    """Compares the settings of all ranks before the first step.

    Args:
        settings: Values by dotted key, without those that may differ, such as the output folder.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the settings.

        Raises:
            InputError: On every rank, if two ranks differ; the message names the first difference.
        """
        if trainer.world_size == 1:
            return
        gathered: list[dict[str, Any]] = [{}] * trainer.world_size
        distributed.all_gather_object(gathered, self._settings)
        first = gathered[0]
        for rank, settings in enumerate(gathered):
            for key in sorted(first.keys() | settings.keys()):
                one, other = first.get(key), settings.get(key)
                if one != other:
                    raise InputError(
                        f"{key}={other}: rank {rank} differs from rank 0, which has {key}={one}; "
                        "start all ranks with the same settings"
                    )
