"""Freeze the first stages of a network, for a whole run or for its first epochs."""

from collections.abc import Iterator

from torch import nn

from mobilenet_lab.models.stages import classifier_parameters, modules_by_stage
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

BACKBONE = "backbone"  # all stages but the last one, the classifier


class Freezing:
    """Keeps the first stages of a network as they are.

    Frozen parameters have no gradients, so no optimizer changes them, not even by weight decay, and the
    backward pass ends before them. Frozen modules stay in evaluation mode: BatchNorm normalizes with its
    running statistics and does not update them, and dropout does nothing.

    Args:
        network: The network. Its parameters are frozen at once, its modules by `start_epoch`.
        stages: Number of stages to freeze, in the order of `models.stages`, or "backbone".
        epochs: Number of epochs after which they are unfrozen; None to freeze them for the whole run.

    Attributes:
        stages: Names of the stages.
        epochs: The argument.
        parameters: Their parameters.
        is_frozen: Whether they are frozen now.

    Raises:
        InputError: The network has too few stages.
    """

    def __init__(self, network: nn.Module, stages: int | str = 0, epochs: int | None = None) -> None:
        self.stages = _names(network, stages)
        self.epochs = epochs
        self._network = network
        self._takes_all = len(self.stages) == len(modules_by_stage(network)) - 1
        self.parameters = self._find_parameters()
        self.is_frozen = False
        self._in_training = False
        self._set_frozen(bool(self.stages))

    @property
    def is_temporary(self) -> bool:
        """Whether the stages are unfrozen at some time."""
        return bool(self.stages) and self.epochs is not None

    def __str__(self) -> str:
        """Return the first and the last stage, and for how long they are frozen."""
        names = [self.stages[0], self.stages[-1]] if len(self.stages) > 1 else self.stages
        duration = "the whole run" if self.epochs is None else f"the first {self.epochs} epochs"
        return (
            f"{' to '.join(map(printable, names))} in {duration if self.epochs != 1 else 'the first epoch'}"
        )

    def start_epoch(self, epoch: int) -> bool:
        """Freeze or unfreeze the stages for an epoch.

        Args:
            epoch: Index of the epoch, from 0.

        Returns:
            Whether this has changed which parameters have gradients.
        """
        self._in_training = True
        freeze = bool(self.stages) and (self.epochs is None or epoch < self.epochs)
        has_changed = freeze != self.is_frozen
        if has_changed:
            self._set_frozen(freeze)
        self.keep_mode()
        return has_changed

    def keep_mode(self) -> None:
        """Put the modules of frozen stages back into evaluation mode while the network trains."""
        if self._in_training and self.is_frozen:
            for module in self._modules():
                module.train(False)

    def stop(self) -> None:
        """Give the modules the mode of the network: Lightning warns of different ones when a run starts."""
        self._in_training = False
        for module in self._modules():
            module.train(self._network.training)

    def _set_frozen(self, is_frozen: bool) -> None:
        self.is_frozen = is_frozen
        for parameter in self.parameters:
            parameter.requires_grad_(not is_frozen)
        if not is_frozen:
            for module in self._modules():
                module.train(self._network.training)

    def _find_parameters(self) -> list[nn.Parameter]:
        classifier = {id(parameter) for parameter in classifier_parameters(self._network)}
        modules = [self._network] if self._takes_all else self._modules()
        parameters = dict.fromkeys(parameter for module in modules for parameter in module.parameters())
        return [parameter for parameter in parameters if id(parameter) not in classifier]

    def _modules(self) -> Iterator[nn.Module]:
        """Yield the frozen modules. They are found again each time, since wrappers may replace them."""
        stages = modules_by_stage(self._network)
        if not self._takes_all:
            for name in self.stages:
                yield from stages[name]
            return
        classifier = {module for some in list(stages.values())[-1] for module in some.modules()}
        for module in self._network.modules():
            if classifier.isdisjoint(module.modules()):  # also modules outside of all stages
                yield module


def _names(network: nn.Module, stages: int | str) -> list[str]:
    *backbone, classifier = modules_by_stage(network) or [BACKBONE]
    if stages == BACKBONE:
        return backbone
    if isinstance(stages, str) or not 0 <= stages <= len(backbone):
        raise InputError(
            f"task.freeze_stages={stages}: the network has {len(backbone)} stages before its {classifier}; "
            f"use a number from 0 to {len(backbone)} or {BACKBONE}"
        )
    return backbone[:stages]
