"""Estimate the memory of a run, and refuse one that does not fit, before the network is built."""

from dataclasses import dataclass

import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig
from torch import nn

from mobilenet_lab.callbacks.ema import EMAWeights
from mobilenet_lab.checkpoints.untrusted import MAX_BYTES
from mobilenet_lab.config.nested import builds, callbacks, target_name
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.models import network_for
from mobilenet_lab.models.complexity import Cost, count_parameters, estimate_cost
from mobilenet_lab.models.shapes import WithoutMemory
from mobilenet_lab.models.stages import measure_stages
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import proc_field
from mobilenet_lab.runtime.memory import free_memory
from mobilenet_lab.tasks.freezing import Freezing
from mobilenet_lab.training.initial_weights import network_arguments, network_settings

FLOAT32 = 4  # bytes
GIB = 1 << 30
# Bytes per byte of the formula: on a CPU at least 1.1 in training and 1.5 in evaluation, measured with
# several widths and image sizes. Smaller factors never refuse what fits; a GPU keeps no copies.
TRAINING_FACTOR = 1.0
EVALUATION_FACTOR = {"cpu": 1.5, "cuda": 1.0}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process.

    Attributes:
        state: Weights, state of the optimizer and averaged weights, as a checkpoint holds them.
        gradients: Gradients of all weights.
        training: Activations and images of a training step.
        evaluation: Activations and images of a validation or test step.
    """

    state: float
    gradients: float
    training: float
    evaluation: float

    @property
    def peak(self) -> float:
        """Largest sum: in a training step, in evaluation, or while a checkpoint is read."""
        return self.state + max(self.gradients + max(self.training, self.evaluation), self.state)


def measure_free_memory(trainer: DictConfig) -> float:
    """Return the free bytes of the run's device, before a checkpoint is read, which the estimate includes."""
    device = _device(trainer)
    return free_memory(device) + (_free_swap() if device.type == "cpu" else 0)


@rank_zero_only  # the processes of a machine share its memory
def check_memory(cfg: DictConfig, datamodule: ImageDataModule, num_ranks: int, free: float) -> None:
    """Refuse a run that needs more memory than there is.

    Args:
        cfg: The checked configuration.
        datamodule: The open data.
        num_ranks: Number of processes on all machines.
        free: Bytes that were free at the start of the run; see `measure_free_memory`.

    Raises:
        InputError: The estimate exceeds the free memory, or the checkpoint would be too large to be read.
    """
    device = _device(cfg.trainer)
    estimate = estimate_memory(cfg, datamodule, device.type, num_ranks)
    argument, value = next(iter(network_arguments(cfg).items()), ("network", cfg.model.network))
    if estimate.state > MAX_BYTES:
        raise InputError(
            f"model.{argument}={value}: a checkpoint would have {estimate.state / GIB:,.1f} GiB, and only "
            f"{MAX_BYTES / GIB:.0f} GiB can be read; use a smaller network"
        )
    shares = num_ranks // cfg.trainer.num_nodes if device.type == "cpu" else 1
    if (needed := shares * estimate.peak) <= free:
        return
    setting, advice = _largest_part(cfg, estimate, argument)
    ranks = f" in {shares} processes" if shares > 1 else ""
    parts = {
        "weights and optimizer": estimate.state,
        "a training step": estimate.training,
        "evaluation": estimate.evaluation,
    }
    listed = ", ".join(f"{size / GIB:,.1f} for {name}" for name, size in parts.items())
    raise InputError(
        f"{setting}: this run needs about {needed / GIB:,.1f} GiB of memory{ranks} ({listed}), but only "
        f"{free / GIB:,.1f} GiB are free; lower {advice}"
    )


def _largest_part(cfg: DictConfig, estimate: MemoryEstimate, argument: str) -> tuple[str, str]:
    """Return the setting that takes the most memory, and the settings to lower."""
    data = cfg.data
    if estimate.state + estimate.gradients > estimate.peak / 2:
        return f"model.{argument}={cfg.model[argument]}", f"model.{argument}"
    if estimate.evaluation > estimate.training:
        return f"data.eval_batch_size={data.eval_batch_size}", "data.eval_batch_size or data.image_size"
    advice = f"data.batch_size, data.image_size or model.{argument}"
    return f"data.batch_size={data.batch_size}", advice


def estimate_memory(
    cfg: DictConfig, datamodule: ImageDataModule, device_type: str, num_ranks: int = 1
) -> MemoryEstimate:
    """Return a low estimate of the memory that a process allocates on its device.

    The network is built on shapes alone, which takes a tenth of a second and no memory.
    """
    about, side = datamodule.describe(), cfg.data.image_size
    model = network_settings(cfg)
    with WithoutMemory():
        network = network_for(model, about["classes"], about["preprocessing"], cpu_layers=False)
    cost: Cost = estimate_cost(network, cfg.data.channels, side)
    weights = FLOAT32 * count_parameters(network)
    averages = sum(builds(node, EMAWeights) for node in callbacks(cfg))
    element = 2 if "16" in str(cfg.trainer.precision) else FLOAT32
    image = FLOAT32 * cfg.data.channels * side * side
    activations, peak = element * (cost.activations - _frozen(cfg, network)), element * cost.peak
    return MemoryEstimate(
        state=weights * (1 + _optimizer_slots(cfg.optimizer) + averages),
        gradients=weights,
        training=cfg.data.batch_size * (max(TRAINING_FACTOR * activations, peak) + image),
        evaluation=_evaluation_batch(cfg, datamodule, num_ranks)
        * (EVALUATION_FACTOR.get(device_type, 1.0) * peak + image),
    )


def _frozen(cfg: DictConfig, network: nn.Module) -> int:
    """Return the elements per image that no backward pass needs, since stages stay frozen."""
    if cfg.task.get("freeze_epochs") is not None or not cfg.task.get("freeze_stages"):
        return 0
    count = len(Freezing(network, cfg.task.freeze_stages).stages)
    return sum(
        stage.activations for stage in measure_stages(network, cfg.data.channels, cfg.data.image_size)[:count]
    )


def _evaluation_batch(cfg: DictConfig, datamodule: ImageDataModule, num_ranks: int) -> int:
    """Return the number of images in a rank's largest batch of validation and test."""
    sizes = [
        len(datamodule.subsets[name]) for name in ("val", "test") if cfg.trainer[f"limit_{name}_batches"]
    ]
    return min(cfg.data.eval_batch_size, -(-max(sizes, default=0) // num_ranks))


def _optimizer_slots(optimizer: DictConfig) -> int:
    """Return the numbers that an optimizer of PyTorch keeps per weight; 1 for other optimizers."""
    name = target_name(optimizer)
    has_momentum = bool(optimizer.get("momentum"))
    if name == "SGD":
        return int(has_momentum)
    if name == "RMSprop":
        return 1 + has_momentum + bool(optimizer.get("centered"))
    return 2 + bool(optimizer.get("amsgrad")) if "Adam" in name else 1


def _device(trainer: DictConfig) -> torch.device:
    """Return the first device of the run; all GPUs of a machine are taken for equal."""
    if trainer.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        indices = trainer.devices
        is_list = not isinstance(indices, int | str)
        return torch.device("cuda", indices[0] if is_list else 0)
    is_mps = trainer.accelerator in ("gpu", "mps", "auto") and torch.backends.mps.is_available()
    return torch.device("mps" if is_mps else "cpu")


def _free_swap() -> float:
    """Return the bytes of swap space, which make a run slow but possible."""
    free = proc_field("meminfo", "SwapFree")
    return float(free.split()[0]) * 1024 if free else 0.0
