"""Size and cost of a network by stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mobilenet_lab.models.complexity import count_cost, count_parameters
from mobilenet_lab.models.shapes import CostCounter

OTHER = "other"  # what belongs to no stage


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Attributes:
        name: Its name.
        output: Shape of its result without the batch dimension; None if that is not one tensor.
        parameters: Number of its parameters, frozen ones included.
        macs: Its multiply-accumulates (MACs) per image, counted as in `models.complexity`.
        activations: Elements per image that its training keeps, counted as in `models.complexity`.
    """

    name: str
    output: tuple[int, ...] | None
    parameters: int
    macs: int
    activations: int = 0


def measure_stages(network: nn.Module, channels: int, image_size: int) -> list[Stage]:
    """Return the stages of a network in order, without computing anything.

    A network may define its stages by a method `stages()` that returns the modules of each, by name.
    Otherwise its direct children are the stages. What lies outside of them is one more stage, so that
    parameters and MACs add up to those of the network.

    Args:
        network: On any device. It stays as it is.
        channels: Channels of the image.
        image_size: Height and width of the image in pixels.
    """
    counter = CostCounter()
    meters = {name: _Meter(modules, counter) for name, modules in modules_by_stage(network).items()}
    try:
        count_cost(network, channels, image_size, counter)
    finally:
        for meter in meters.values():
            meter.remove()
    stages: list[Stage] = []
    seen: set[nn.Parameter] = set()  # stages may share parameters
    for name, meter in meters.items():
        own = {parameter for module in meter.modules for parameter in module.parameters()} - seen
        parameters = sum(parameter.numel() for parameter in own)
        stages.append(Stage(name, meter.output, parameters, meter.macs, meter.activations))
        seen |= own
    parameters = count_parameters(network) - sum(stage.parameters for stage in stages)
    macs = counter.macs - sum(stage.macs for stage in stages)
    return [*stages, Stage(OTHER, None, parameters, macs)] if parameters or macs else stages


def modules_by_stage(network: nn.Module) -> dict[str, list[nn.Module]]:
    """Return the modules of each stage of a network, in order; see `measure_stages`."""
    define = getattr(network, "stages", None)
    if callable(define) and not isinstance(define, nn.Module):  # many networks have a child of this name
        stages: Mapping[str, Sequence[nn.Module]] = define()
        return {name: list(modules) for name, modules in stages.items() if modules}
    return {name: [child] for name, child in network.named_children()}


def classifier_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of the last stage of a network; all others are those of its backbone."""
    stages = list(modules_by_stage(network).values()) or [[network]]
    return [parameter for module in stages[-1] for parameter in module.parameters()]


class _Meter:
    """Adds up the MACs of one stage's modules while the network runs."""

    def __init__(self, modules: Sequence[nn.Module], counter: CostCounter) -> None:
        self.modules = modules
        self.macs = 0
        self.activations = 0
        self.output: tuple[int, ...] | None = None
        self._counter = counter
        self._before = (0, 0)
        self._handles = [
            handle
            for module in modules
            for handle in (
                module.register_forward_pre_hook(self._start),
                module.register_forward_hook(self._stop),
            )
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _start(self, module: nn.Module, inputs: Any) -> None:
        self._before = self._counter.macs, self._counter.activations

    def _stop(self, module: nn.Module, inputs: Any, output: Any) -> None:
        macs, activations = self._before
        self.macs += self._counter.macs - macs
        self.activations += self._counter.activations - activations
        if isinstance(output, list | tuple) and output:  # of feature maps, from fine to coarse
            output = output[-1]
        self.output = tuple(output.shape[1:]) if isinstance(output, Tensor) else None
