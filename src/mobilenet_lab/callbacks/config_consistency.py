"""Several ranks train one network only if they agree on what that is, and end together when one is lost."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from mobilenet_lab.runtime.errors import InputError


class ConfigConsistencyCheck(Callback):
    """Compares the ranks' settings before the first step.

    Args:
        settings: By dotted key, without those that may differ, such as a folder with the time.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare.

        Raises:
            InputError: on every rank, where two have different ones; the message names the first.
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
                        f"the ranks have different settings: {key} is {one} on rank 0, {other} on rank {rank}"
                    )
