"""Check that the metrics that callbacks monitor are logged."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from mobilenet_lab.config.monitors import is_of_validation, no_such_metric
from mobilenet_lab.runtime.errors import InputError


class MonitorCheck(Checkpoint):
    """Ends the run with one line if a monitored metric is not logged, as early as this can be known.

    Metrics of the validation are known after the sanity check before training, or after the first
    validation; others after the first epoch.

    It derives from Lightning's `Checkpoint` to be called when the metrics of an epoch are complete. It must
    come before the callbacks that write checkpoints.

    Args:
        monitors: The monitored metric by the key that names it.
    """

    def __init__(self, monitors: Mapping[str, str]) -> None:
        self._monitors = dict(monitors)
        self._is_checked = False

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the metrics of the validation."""
        self._check(trainer, is_complete=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the metrics of the first validation, for a run without a sanity check."""
        if not trainer.sanity_checking and not self._is_checked:
            self._check(trainer, is_complete=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check all metrics after the first epoch that has been validated."""
        if not self._is_checked:
            self._is_checked = True
            self._check(trainer, is_complete=True)

    def explain(self, trainer: Trainer, error: BaseException) -> str | None:
        """Return the message for the error of a callback that looked for its metric before this check."""
        for key, monitor in self._missing(trainer).items():
            if monitor in str(error):
                return no_such_metric(key, monitor, sorted(trainer.callback_metrics))
        return None

    def _check(self, trainer: Trainer, is_complete: bool) -> None:
        for key, monitor in self._missing(trainer).items():
            # A time limit may end the epoch before its validation, and then its metrics are missing.
            if is_of_validation(monitor) != is_complete:
                raise InputError(no_such_metric(key, monitor, sorted(trainer.callback_metrics)))

    def _missing(self, trainer: Trainer) -> dict[str, str]:
        return {key: name for key, name in self._monitors.items() if name not in trainer.callback_metrics}
