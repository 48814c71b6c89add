"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

import os
from collections.abc import Mapping
from typing import Any

from mobilenet_lab.config.nested import shown, value_of
from mobilenet_lab.config.rules import is_whole
from mobilenet_lab.runtime.errors import InputError

SMALL_PICTURE = 40  # pixels; below, a stem of stride 1 keeps enough of the image


def check_combinations(values: Mapping[str, Any]) -> None:
    """Refuse values that are right by themselves but not together; what a script lacks is not looked at."""
    data, model = values.get("data") or {}, values.get("model") or {}
    for key in ("mean", "std"):
        value = data.get(key)
        if isinstance(value, list) and len(value) not in (1, data["channels"]):
            raise InputError(f"data.{key}={value}: needs 1 or data.channels={data['channels']} numbers")
    if trainer := values.get("trainer"):
        _check_model(model, data["image_size"], trainer)
        _check_augmentation(values.get("augmentation") or {}, data["image_size"])
        _check_trainer(trainer)
        if trainer["accelerator"] == "cpu":
            check_cpu(trainer)
        _check_optimizer(values["optimizer"], values["scheduler"], trainer)
        _check_callbacks(values.get("callbacks") or {})


def check_cpu(trainer: Mapping[str, Any]) -> None:
    """Refuse what PyTorch cannot do on a CPU.

    Raises:
        InputError: it is asked for.
    """
    if trainer["precision"] == "16-mixed":
        raise InputError("trainer.precision=16-mixed: for GPUs; on the CPU use 32-true or bf16-mixed")
    if trainer["sync_batchnorm"]:
        raise InputError(
            "trainer.sync_batchnorm=true: for GPUs; on the CPU each rank normalises by its share of a batch"
        )
    if not isinstance(trainer["devices"], int | str) or trainer["devices"] == -1:
        raise InputError(f"trainer.devices={trainer['devices']}: on the CPU, a number of processes")


def _check_model(model: Mapping[str, Any], image_size: int, trainer: Mapping[str, Any]) -> None:
    if "strides" in model:
        stem = model["stem_stride"] or (1 if image_size < SMALL_PICTURE else 2)
        side = image_size
        for stride in (stem, *model["strides"]):
            if side == 1 and stride > 1:
                raise InputError(
                    f"data.image_size={image_size}: model.stem_stride={stem} and "
                    f"model.strides={model['strides']} leave one pixel before the last; use smaller"
                )
            side = -(-side // stride)
    if trainer["deterministic"] is True and str(model.get("compile")).startswith("max-autotune"):
        raise InputError(
            "model.compile=max-autotune: chooses by the clock, so not with trainer.deterministic=true"
        )


def _check_augmentation(augmentation: Mapping[str, Any], image_size: int) -> None:
    for key in ("pixels", "shift.pixels"):
        if (pixels := value_of(augmentation, key)) is not None and pixels >= image_size:
            raise InputError(
                f"augmentation.{key}={pixels}: shifts images of {image_size} pixels out of sight"
            )


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    if epochs == -1 and trainer["max_steps"] == -1 and trainer["max_time"] is None:
        raise InputError("trainer.max_epochs=-1: needs an end, trainer.max_steps or trainer.max_time")
    if every is None and not is_whole(trainer["val_check_interval"]):
        raise InputError(
            f"trainer.val_check_interval={trainer['val_check_interval']}: with "
            "trainer.check_val_every_n_epoch=null a whole count of batches, as a fraction is one of an epoch"
        )
    if every is not None and every > epochs > 0 and trainer["limit_val_batches"]:
        raise InputError(
            f"trainer.check_val_every_n_epoch={every}: never comes in trainer.max_epochs={epochs}; "
            "to train without validation use trainer.limit_val_batches=0"
        )
    nodes, devices = trainer["num_nodes"], trainer["devices"]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if nodes * local != world or (is_whole(devices) and devices not in (-1, local)):
            raise InputError(
                f"trainer.devices={devices} trainer.num_nodes={nodes}: torchrun has started {world} "
                f"processes; use trainer.devices={local} trainer.num_nodes={world // local}"
            )
    elif nodes > 1 and not {"SLURM_NTASKS", "NODE_RANK", "GROUP_RANK"} & os.environ.keys():
        raise InputError(
            f"trainer.num_nodes={nodes}: to be started on every node, with torchrun --nnodes={nodes} "
            "--node-rank=... --master-addr=... train.py, or by Slurm"
        )


def _check_optimizer(
    optimizer: Mapping[str, Any], scheduler: Mapping[str, Any], trainer: Mapping[str, Any]
) -> None:
    if optimizer.get("nesterov") and (optimizer["momentum"] == 0 or optimizer["dampening"] != 0):
        raise InputError(
            "optimizer.nesterov=true: needs optimizer.momentum above 0 and optimizer.dampening=0; "
            "or use optimizer.nesterov=false"
        )
    name = scheduler["_target_"].rpartition(".")[2]
    needs_end = ("one_cycle", "cosine", "cosine_restarts", "range_test")
    if name in needs_end and trainer["max_epochs"] == trainer["max_steps"] == -1:
        raise InputError(
            f"scheduler={name.replace('one_c', 'onec')}: needs to know the run's steps: set "
            "trainer.max_epochs or trainer.max_steps beside trainer.max_time, or choose scheduler=none"
        )
    if optimizer.get("fused") and trainer["precision"] == "16-mixed" and trainer["gradient_clip_val"]:
        raise InputError(
            "trainer.gradient_clip_val: with trainer.precision=16-mixed it needs optimizer.fused=false; "
            "or use bf16-mixed"
        )
    if name == "plateau" and trainer["check_val_every_n_epoch"] != 1:
        raise InputError(
            f"trainer.check_val_every_n_epoch={shown(trainer['check_val_every_n_epoch'])}: "
            "scheduler=plateau looks at a validation after every epoch; use 1"
        )
    if name == "range_test" and scheduler["start_factor"] == 0:
        raise InputError("scheduler.start_factor=0: must be above 0 for scheduler=range_test")


def _check_callbacks(callbacks: Mapping[str, Any]) -> None:
    best = callbacks.get("best") or {}
    for word, mode in (("accuracy", "max"), ("loss", "min")):
        if best.get("monitor") == f"val/{word}" and best["mode"] != mode:
            raise InputError(
                f"callbacks.best.mode={best['mode']}: val/{word} needs callbacks.best.mode={mode}"
            )
