"""Check settings that are valid by themselves but not together."""

import inspect
import os
from collections.abc import Mapping
from typing import Any

from mobilenet_lab.config.model_checks import check_model
from mobilenet_lab.config.monitors import check_monitors
from mobilenet_lab.config.nested import flatten, shown, target_of
from mobilenet_lab.config.value_kinds import is_integer
from mobilenet_lab.runtime.errors import InputError

SMALL_IMAGE = 40  # pixels; for images below this, MobileNetV2's default stem has stride 1


def check_combinations(values: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Refuse settings that do not go together. Settings that a script does not have are skipped.

    Args:
        values: All settings.
        choices: The choice per group, for messages.

    Raises:
        InputError: Two settings contradict each other.
    """
    data, trainer = values.get("data") or {}, values.get("trainer")
    for key in ("mean", "std"):
        value = data.get(key)
        if isinstance(value, list) and len(value) not in (1, data["channels"]):
            raise InputError(
                f"data.{key}={value}: has {len(value)} numbers; use 1 or data.channels={data['channels']}"
            )
    if not trainer:
        return
    _check_strides(values["model"], data["image_size"])
    check_model(values["model"])
    _check_translation(values["augmentation"], data["image_size"])
    _check_limits(trainer)
    _check_validation(trainer)
    _check_nodes(trainer)
    if trainer["accelerator"] == "cpu":
        check_cpu(trainer)
    _check_determinism(values["task"], trainer)
    _check_optimizer(values["optimizer"], trainer)
    _check_scheduler(values["scheduler"], choices.get("scheduler"), trainer)
    _check_lowest_rate(values["scheduler"], values["optimizer"])
    check_monitors(values)


def check_cpu(trainer: Mapping[str, Any]) -> None:
    """Refuse settings of the trainer that PyTorch does not support on a CPU.

    Raises:
        InputError: One of them is set.
    """
    if trainer["precision"] == "16-mixed":
        raise InputError("trainer.precision=16-mixed: needs a GPU; on a CPU use 32-true or bf16-mixed")
    if trainer["sync_batchnorm"]:
        raise InputError(
            "trainer.sync_batchnorm=true: needs GPUs; on a CPU use trainer.sync_batchnorm=false, which "
            "normalizes each rank's share of a batch by itself"
        )
    if not isinstance(trainer["devices"], int | str) or trainer["devices"] == -1:
        raise InputError(f"trainer.devices={trainer['devices']}: on a CPU use a number of processes")


def _check_strides(model: Mapping[str, Any], image_size: int) -> None:
    """Refuse strides that have nothing left to reduce before the last one."""
    if "strides" not in model:
        return
    stem = model.get("stem_stride") or (1 if image_size < SMALL_IMAGE else 2)
    side = image_size
    for stride in (stem, *model["strides"]):
        if side == 1 and stride > 1:
            raise InputError(
                f"data.image_size={image_size}: model.stem_stride={stem} and model.strides="
                f"{model['strides']} reduce it to one pixel before the last stride; use smaller strides"
            )
        side = -(-side // stride)


def _check_translation(augmentation: Mapping[str, Any], image_size: int) -> None:
    for key, pixels in flatten(augmentation).items():
        if key.rpartition(".")[2] == "pixels" and pixels >= image_size:
            raise InputError(
                f"augmentation.{key}={pixels}: moves images of {image_size} pixels out of the frame; "
                "use a smaller number"
            )


def _check_limits(trainer: Mapping[str, Any]) -> None:
    if trainer["max_epochs"] == trainer["max_steps"] == -1 and trainer["max_time"] is None:
        raise InputError(
            "trainer.max_epochs=-1: the run would never end; set trainer.max_steps or trainer.max_time"
        )


def _check_validation(trainer: Mapping[str, Any]) -> None:
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    if every is None and not is_integer(trainer["val_check_interval"]):
        raise InputError(
            f"trainer.val_check_interval={trainer['val_check_interval']}: is a fraction of an epoch; with "
            "trainer.check_val_every_n_epoch=null use a count of batches"
        )
    if every is not None and every > epochs > 0 and trainer["limit_val_batches"]:
        raise InputError(
            f"trainer.check_val_every_n_epoch={every}: trainer.max_epochs={epochs} ends the run before; "
            "to train without validation use trainer.limit_val_batches=0"
        )


def _check_nodes(trainer: Mapping[str, Any]) -> None:
    nodes, devices = trainer["num_nodes"], trainer["devices"]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if nodes * local != world or (is_integer(devices) and devices not in (-1, local)):
            raise InputError(
                f"trainer.devices={devices} trainer.num_nodes={nodes}: torchrun has started {world} "
                f"processes; use trainer.devices={local} trainer.num_nodes={world // local}"
            )
        return
    _check_slurm_tasks()
    if nodes > 1 and not {"SLURM_NTASKS", "NODE_RANK", "GROUP_RANK"} & os.environ.keys():
        raise InputError(
            f"trainer.num_nodes={nodes}: needs a launcher; on every node use torchrun --nnodes={nodes} "
            "--node-rank=... --master-addr=... train.py, or use Slurm"
        )


def _check_slurm_tasks() -> None:
    """Refuse tasks of which Slurm does not say how many run on a node: Lightning needs to know."""
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    is_interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # ignored by Lightning
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ and not is_interactive:
        raise InputError(
            f"SLURM_NTASKS={tasks}: Slurm does not say how many of these tasks run on a node; "
            f"use --ntasks-per-node={tasks} instead of --ntasks={tasks}"
        )


def _check_determinism(task: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    if trainer["deterministic"] is True and task.get("compile") == "max-autotune":
        raise InputError(
            "task.compile=max-autotune: chooses kernels by measured time, which varies; with "
            "trainer.deterministic=true use another mode"
        )


def _check_optimizer(optimizer: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    if optimizer.get("nesterov") and (optimizer["momentum"] == 0 or optimizer["dampening"] != 0):
        raise InputError(
            "optimizer.nesterov=true: needs optimizer.momentum above 0 and optimizer.dampening=0; "
            "or use optimizer.nesterov=false"
        )
    decay = optimizer.get("weight_decay") or 0.0
    # Adam and RMSprop divide the decay by the size of the gradients, as a part of which they treat it.
    is_direct = optimizer["_target_"].rpartition(".")[2] in ("SGD", "AdamW")
    if is_direct and (rate := optimizer["lr"]) * decay >= 1:
        raise InputError(
            f"optimizer.weight_decay={decay}: with optimizer.lr={rate}, a single step would reduce the "
            "weights to 0 or beyond; use values whose product is below 1"
        )
    if optimizer.get("fused") and trainer["precision"] == "16-mixed" and trainer["gradient_clip_val"]:
        raise InputError(
            f"trainer.gradient_clip_val={trainer['gradient_clip_val']}: trainer.precision=16-mixed cannot "
            "clip for a fused optimizer; use optimizer.fused=false or trainer.precision=bf16-mixed"
        )


def _check_scheduler(scheduler: Mapping[str, Any], choice: str | None, trainer: Mapping[str, Any]) -> None:
    """Refuse a schedule whose steps or metric the trainer does not provide.

    A schedule over the whole run has a parameter `total_steps`; one that watches a metric, a key `monitor`.
    """
    name = choice or scheduler["_target_"]
    if trainer["max_epochs"] == trainer["max_steps"] == -1:
        target = target_of(scheduler)
        if target is not None and "total_steps" in inspect.signature(target).parameters:
            raise InputError(
                f"scheduler={name}: needs the number of steps; set trainer.max_epochs or trainer.max_steps "
                "in addition to trainer.max_time, or use scheduler=none"
            )
    every = trainer["check_val_every_n_epoch"]
    if "monitor" in scheduler and every != 1:
        raise InputError(
            f"trainer.check_val_every_n_epoch={shown(every)}: scheduler={name} needs a validation after "
            "every epoch; use 1"
        )


def _check_lowest_rate(scheduler: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    lowest, first = scheduler.get("min_lr"), optimizer.get("lr")
    if lowest is not None and first is not None and lowest >= first:
        raise InputError(
            f"scheduler.min_lr={lowest}: is not below optimizer.lr={first}, the rate at the start; use a "
            "smaller number"
        )
