"""A learning-rate scheduler that a resumed run may continue with another schedule."""

from typing import Any

from torch.optim.lr_scheduler import LambdaLR


class ResumableLambdaLR(LambdaLR):
    """A LambdaLR that computes the learning rate of the resumed step from its own function.

    PyTorch's LambdaLR takes the first step after a resume with the last learning rate of the previous
    schedule, which is 0 at the end of a cosine.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step, and set the learning rate of that step."""
        super().load_state_dict(state_dict)
        for group, rate, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = rate * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
