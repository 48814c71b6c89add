"""Stop a run when a metric no longer improves."""

import logging
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from mobilenet_lab.config.monitors import best_mode, is_of_validation

log = logging.getLogger(__name__)

SETTINGS = "settings"


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's callback, with a derived mode and an exact resume.

    A run that has been stopped stays stopped when it is resumed with the same settings: its last checkpoint
    may have been written before its result. With other settings, for example more patience, it continues.

    Args:
        monitor: Name of the metric.
        mode: "max" if higher is better, "min" if lower is better; None to derive it from the name.
        patience: Checks without an improvement after which the run stops. A check follows every validation.
        min_delta: The smallest change that is an improvement.
        stopping_threshold: The run stops as soon as the metric is better than this.
    """

    def __init__(
        self,
        monitor: str,
        mode: str | None = None,
        patience: int = 3,
        min_delta: float = 0.0,
        stopping_threshold: float | None = None,
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=best_mode(monitor, mode),
            patience=patience,
            min_delta=min_delta,
            stopping_threshold=stopping_threshold,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train nothing if the run had already been stopped."""
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log why the run stopped."""
        if reason := self.explanation():
            log.info("stopped early after epoch %d: %s", self.stopped_epoch + 1, reason)

    def explanation(self) -> str | None:
        """Return why the run stopped, as one line; None if it did not."""
        best = f"{float(self.best_score):.4g}"
        unit = "validation" if is_of_validation(self.monitor) else "epoch"
        plural = "" if self.wait_count == 1 else "s"
        return {
            EarlyStoppingReason.PATIENCE_EXHAUSTED: f"{self.monitor} has not improved on {best} for "
            f"{self.wait_count} {unit}{plural}",
            EarlyStoppingReason.STOPPING_THRESHOLD: f"{self.monitor} has reached {self.stopping_threshold}",
            EarlyStoppingReason.NON_FINITE_METRIC: f"{self.monitor} is NaN or infinite",
        }.get(self.stopping_reason)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the search, and the settings that it depends on."""
        return super().state_dict() | {SETTINGS: self._settings()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the search of the run so far, with the patience of this run."""
        patience = self.patience
        super().load_state_dict(state_dict)
        self.patience = patience
        # Of a malformed checkpoint, the error belongs to the resume and not to a later epoch.
        self.wait_count, self.stopped_epoch = int(self.wait_count), int(self.stopped_epoch)
        self.best_score = torch.tensor(float(self.best_score))
        if state_dict.get(SETTINGS) != self._settings():
            self.stopping_reason, self.stopping_reason_message = EarlyStoppingReason.NOT_STOPPED, None

    def _settings(self) -> dict[str, float | None]:
        return {
            "patience": self.patience,
            "min_delta": float(self.min_delta),
            "stopping_threshold": self.stopping_threshold,
        }


def stop_reason(trainer: Trainer) -> str | None:
    """Return why a callback stopped the run early; None if none did."""
    stopping = [c for c in trainer.callbacks if isinstance(c, callbacks.EarlyStopping)]  # type: ignore[attr-defined]
    for callback in stopping:
        if callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            own = callback.explanation() if isinstance(callback, EarlyStopping) else None
            return own or callback.stopping_reason_message
    return None
