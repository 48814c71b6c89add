"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

import difflib
import math
import numbers
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.checkpoint import find_checkpoint, find_checkpoints
from mobilenet_lab.errors import InputError

# Groups whose files change other groups: their keys must be known already.
OVERLAYS = ("experiment", "debug")
# Groups of named objects: a new object may be added on the command line.
OPEN_GROUPS = ("callbacks", "logger")
MISSING = "???"
SMALL_PICTURE = 40  # pixels; below, a stem of stride 1 keeps enough of the picture
AUTO = "auto"  # as a value of resume: go on if the run's folder has a checkpoint, else begin


@dataclass(frozen=True)
class Rule:
    """Which values a key takes.

    Args:
        description: Completes "must be ...".
        accepts: Whether a value that is not null is one of them.
        optional: Whether null is, too.
    """

    description: str
    accepts: Callable[[Any], bool]
    optional: bool = False


def whole(low: int, high: int | None = None, optional: bool = False) -> Rule:
    """A whole number in a closed range."""
    ends = f"from {low:,} to {high:,}" if high is not None else f"of at least {low:,}"
    return Rule(
        f"a whole number {ends}",
        lambda value: _is_whole(value) and value >= low and (high is None or value <= high),
        optional,
    )


def number(low: float, high: float = float("inf"), optional: bool = False, below: bool = False) -> Rule:
    """A number in a closed range; with `below`, the upper end left out."""
    ends = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
    return Rule(
        f"a number {ends}{', less than that' if below else ''}",
        lambda value: _is_number(value) and low <= value and (value < high if below else value <= high),
        optional,
    )


def share(optional: bool = False) -> Rule:
    """A fraction in [0, 1] or a count of batches."""
    return Rule(
        "a fraction from 0 to 1 or a whole count",
        lambda value: (_is_whole(value) and value >= 0) or (_is_number(value) and 0 <= value <= 1),
        optional,
    )


def held_out(optional: bool = False) -> Rule:
    """A fraction below 1 or a count of pictures."""
    return Rule(
        "a fraction below 1 or a whole count",
        lambda value: (_is_whole(value) and value >= 0) or (_is_number(value) and 0 <= value < 1),
        optional,
    )


def one_of(*words: Any, optional: bool = False) -> Rule:
    """One of some words."""
    return Rule(f"one of {', '.join(map(str, words))}", lambda value: value in words, optional)


def list_of(rule: Rule, length: int, what: str) -> Rule:
    """A list of so many values."""
    return Rule(
        f"a list of {length} {what}",
        lambda value: (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and len(value) == length
            and all(map(rule.accepts, value))
        ),
    )


def ascending(rule: Rule, what: str) -> Rule:
    """A smallest and a largest value."""
    pair = list_of(rule, 2, what)
    return Rule(
        f"{pair.description}, the smaller first",
        lambda value: pair.accepts(value) and value[0] <= value[1],
    )


def either(*rules: Rule, optional: bool = False) -> Rule:
    """Any of several rules."""
    return Rule(
        " or ".join(rule.description for rule in rules),
        lambda value: any(rule.accepts(value) for rule in rules),
        optional,
    )


positive = Rule("a number above 0", lambda value: _is_number(value) and value > 0)
positive_or_null = Rule(positive.description, positive.accepts, optional=True)
up_to_one = Rule("a number above 0, up to 1", lambda value: _is_number(value) and 0 < value <= 1)
some = Rule(
    "a fraction above 0, up to 1, or a whole count of at least 1",
    lambda value: (_is_whole(value) and value > 0) or (_is_number(value) and 0 < value <= 1),
)
text = Rule("text", lambda value: isinstance(value, str))
path = Rule("a path", lambda value: isinstance(value, str) and bool(value))
# Some of the libraries that write into a run's folder would expand these, and some would not.
folder = Rule(
    "a folder's path, without ~ at its beginning, $ and ://",
    lambda value: path.accepts(value) and value[0] != "~" and not any(s in value for s in ("$", "://", "::")),
)
path_or_null = Rule(path.description, path.accepts, optional=True)
per_channel = Rule(
    "a list with a number for each channel",
    lambda value: isinstance(value, list) and len(value) in (1, 3) and all(map(_is_number, value)),
)
positive_per_channel = Rule(
    "a list with a number above 0 for each channel",
    lambda value: per_channel.accepts(value) and min(value) > 0,
)
devices_list = Rule(
    "a list of the devices' numbers, each once",
    lambda value: (
        isinstance(value, list) and len(set(value)) == len(value) > 0 and all(map(whole(0).accepts, value))
    ),
)
class_weights = Rule(
    "balanced, or a list with a number above 0 for each class",
    lambda value: (
        value == "balanced"
        or (isinstance(value, list) and len(value) > 1 and all(map(positive.accepts, value)))
    ),
    optional=True,
)
duration = Rule(
    "a time above 0 as DD:HH:MM:SS",
    lambda value: (
        isinstance(value, str)
        and re.fullmatch(r"\d\d:\d\d:\d\d:\d\d", value) is not None
        and re.search("[1-9]", value) is not None
    ),
    optional=True,
)

RULES: dict[str, Rule] = {
    "seed": whole(0, 2**32 - 1),
    "output_dir": folder,
    "resume": path_or_null,
    "ckpt": either(
        text,
        Rule(
            "a list of them",
            lambda value: isinstance(value, list) and len(value) > 0 and all(map(text.accepts, value)),
        ),
    ),
    "shifts": whole(0, 8),
    "image": either(
        path,
        Rule("a list of paths", lambda value: isinstance(value, Sequence) and len(value) > 0),
    ),
    "preprocess": one_of("auto", "none"),
    "threads": whole(1, 1024, optional=True),
    "accelerator": one_of("cpu", "gpu", "auto"),
    "batch_size": whole(1),
    "split": one_of("test", "val", "train"),
    "model.filters": whole(1, 1024),
    "model.stem_stride": whole(1, 8, optional=True),
    "model.strides": list_of(whole(1, 8), 7, "whole numbers from 1 to 8"),
    "model.round_to": whole(1, 1024),
    "model.dropout": number(0, 1, below=True),
    "model.norm_momentum": up_to_one,
    "model.compile": one_of("default", "reduce-overhead", "max-autotune", optional=True),
    "model.label_smoothing": number(0, 1, below=True),
    "model.class_weights": class_weights,
    "data.root": Rule("a folder, data.root=...", lambda value: isinstance(value, str)),
    "data.channels": one_of(1, 3),
    "data.image_size": whole(8, 4096),
    "data.resize": one_of("auto", "pad", "scale"),
    "data.mean": either(number(0, 1), per_channel),
    "data.std": either(positive, positive_per_channel),
    "data.batch_size": whole(2),
    "data.eval_batch_size": whole(1),
    "data.val_split": held_out(),
    "data.test_split": held_out(optional=True),
    "data.split_seed": whole(0, 2**32 - 1),
    "data.train_size": whole(1, optional=True),
    "data.num_workers": whole(0, 256),
    "data.cache": one_of("auto", "disk", "memory", "device"),
    "data.source.fit": one_of("crop", "pad", "stretch"),
    "data.on_bad_image": one_of("error", "skip"),
    "augmentation.pixels": whole(0),
    "augmentation.degrees": number(0, 180),
    "augmentation.translate": number(0, 1),
    "augmentation.scale": ascending(positive, "numbers above 0"),
    "augmentation.shear": number(0, 60),
    "augmentation.elastic": number(0, 1),
    "augmentation.grid_size": whole(2, 64),
    "augmentation.shift.pixels": whole(0),
    "augmentation.erase.probability": number(0, 1),
    "augmentation.erase.area": ascending(number(0, 1), "fractions from 0 to 1"),
    "augmentation.erase.aspect": number(1),
    "mixing.alpha": positive,
    "mixing.probability": number(0, 1),
    "optimizer.lr": positive,
    "optimizer.momentum": number(0, 1, below=True),
    "optimizer.dampening": number(0, 1),
    "optimizer.weight_decay": number(0),
    "optimizer.betas": list_of(number(0, 1, below=True), 2, "numbers from 0 to 1, less than 1"),
    "optimizer.eps": positive,
    "optimizer.alpha": number(0, 1),
    "scheduler.warmup_fraction": number(0, 1),
    "scheduler.warmup_steps": whole(0),
    "scheduler.start_factor": number(0, 1),
    "scheduler.end_factor": number(0, 1),
    "scheduler.factor": number(0, 1, below=True),
    "scheduler.patience": whole(0),
    "scheduler.min_lr": number(0),
    "scheduler.cycles": Rule(
        "a list of whole numbers above 0, the cycles' lengths in proportion, such as [10, 14]",
        lambda value: isinstance(value, list) and len(value) > 0 and all(map(whole(1).accepts, value)),
    ),
    "trainer.accelerator": one_of("cpu", "gpu", "cuda", "mps", "auto"),
    "trainer.devices": either(whole(1), one_of("auto", -1), devices_list),
    "trainer.strategy": one_of("auto", "ddp", "ddp_find_unused_parameters_true"),
    "trainer.deterministic": one_of(True, False, "warn"),
    "trainer.num_nodes": whole(1),
    "trainer.precision": one_of("32-true", "32", 32, "bf16-mixed", "16-mixed"),
    "trainer.max_epochs": either(whole(1), one_of(-1)),
    "trainer.max_steps": either(whole(1), one_of(-1)),
    "trainer.max_time": duration,
    "trainer.limit_train_batches": some,
    "trainer.limit_val_batches": share(),
    "trainer.limit_test_batches": share(),
    "trainer.check_val_every_n_epoch": whole(1, optional=True),
    "trainer.val_check_interval": some,
    "trainer.num_sanity_val_steps": whole(-1),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.gradient_clip_val": number(0, optional=True),
    "trainer.gradient_clip_algorithm": one_of("norm", "value"),
    "trainer.profiler": one_of("simple", "advanced", "pytorch", optional=True),
    "trainer.log_every_n_steps": whole(1),
    "trainer.use_distributed_sampler": Rule(
        "false, as the order of pictures knows the ranks itself", lambda value: value is False
    ),
    "callbacks.best.monitor": one_of("val/accuracy", "val/loss"),
    "callbacks.best.mode": one_of("max", "min"),
    "callbacks.checkpoint.every_n_train_steps": whole(1, optional=True),
    "callbacks.checkpoint.every_n_minutes": positive_or_null,
    "callbacks.average.decay": number(0, 1, below=True),
    "callbacks.average.every_n_steps": whole(1),
    "callbacks.average.start_step": whole(0),
    "callbacks.lr_find.smoothing": number(0, 1, below=True),
    "callbacks.lr_find.stop_factor": Rule("a number above 1", lambda value: _is_number(value) and value > 1),
    "callbacks.progress.refresh_rate": whole(1),
    "callbacks.progress.interval_s": number(0),
}
# The same key means different things to the scripts.
FORMATS = {"predict": one_of("text", "json", "csv"), "evaluate": one_of("text", "json")}


def check(cfg: DictConfig) -> None:
    """Check the configuration that Hydra has composed for a script.

    Raises:
        InputError: a key is unknown or missing, a value has the wrong type or is out of range, or values do
            not go together; the message names the key, what it may be, and the nearest key that there is.
        FileNotFoundError: there is no such checkpoint.
    """
    hydra = HydraConfig.get()
    rules = dict(RULES)
    if hydra.job.config_name in FORMATS:
        rules["format"] = FORMATS[hydra.job.config_name]
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(" ".join(str(error).split("\n")[:1])) from error
    choices = {
        group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")
    }
    known = None
    if choices or hydra.job.config_name != "config":  # else a resolved one, checked when it was composed
        known = compose_choices(str(hydra.job.config_name), choices)
        _check_keys(values, known)
    _check_values(values, known, rules)
    _check_combinations(values)
    # Where it is "latest", a default, whoever uses it looks.
    if values.get("resume") not in (None, AUTO, "latest"):
        find_checkpoint(values["resume"], "resume", prefer="last")
    if values.get("ckpt") not in (None, "latest"):
        find_checkpoints(values["ckpt"])


def compose_choices(config_name: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a script's groups compose to by themselves, overlays and single overrides left out."""
    assert GlobalHydra.instance().is_initialized()
    overrides = [
        f"{group}={choice}"
        for group, choice in choices.items()
        if group not in OVERLAYS and choice is not None
    ]
    known: Any = OmegaConf.to_container(compose(config_name, overrides=overrides))
    return known


def suggest(key: str, known: Mapping[str, Any]) -> str:
    """A sentence that names the key nearest to a wrong one, or the keys beside it."""
    parent, _, name = key.rpartition(".")
    by_name: dict[str, list[str]] = {}
    for known_key in _keys(known):
        by_name.setdefault(known_key.rpartition(".")[2], []).append(known_key)
    siblings = [n for n, keys in by_name.items() if any(k.rpartition(".")[0] == parent for k in keys)]
    if nearest := difflib.get_close_matches(name, siblings, n=1):
        return f"did you mean {parent + '.' if parent else ''}{nearest[0]}?"
    if name in by_name:
        return f"did you mean {' or '.join(by_name[name])}?"
    names = ", ".join(n for n in siblings if not n.endswith("_"))
    return f"{parent or 'the configuration'} has {names}" if names else "see --help"


def settings_apart_from_folder(cfg: Any) -> dict[str, Any]:
    """A run's settings by their dotted keys, without those that name its folder or one inside."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    flat = {key: _value_of(values, key) for key in _keys(values)}
    return {
        key: value
        for key, value in flat.items()
        if not isinstance(value, Mapping) and not f"{value}/".startswith(f"{cfg.output_dir}/")
    }


def settings_that_count(cfg: Any) -> dict[str, Any]:
    """Those that a run's figures depend on: not where it lies, and not what it prints and logs."""
    return {
        key: value
        for key, value in settings_apart_from_folder(cfg).items()
        if key not in ("resume", "threads", "callbacks.checkpoint.every_n_minutes")
        and not key.startswith(("logger.", "callbacks.progress.", "callbacks.divergence."))
    }


def _check_keys(values: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    known_keys = set(_keys(known))
    for key in _keys(values):
        group, *rest = key.split(".")
        added = f"{group}.{rest[0]}" if rest else ""
        if key in known_keys or (group in OPEN_GROUPS and added and added not in known_keys):
            continue
        raise InputError(f"{key}: no such key; {suggest(key, known)}")
    for group in OPEN_GROUPS:
        for name, value in (values.get(group) or {}).items():
            if value is not None and not (isinstance(value, Mapping) and "_target_" in value):
                raise InputError(f"{group}.{name}: needs a class, {group}.{name}._target_=...")
    present = set(_keys(values))
    nulls = tuple(f"{key}." for key in present if _value_of(values, key) is None)
    for key in known_keys - present:
        if key.split(".")[0] not in OPEN_GROUPS and not key.startswith(nulls):
            raise InputError(f"{key}: the key is missing; it has a default, so do not delete it")


def _check_values(
    values: Mapping[str, Any], known: Mapping[str, Any] | None, rules: Mapping[str, Rule]
) -> None:
    for key in _keys(values):
        value = _value_of(values, key)
        if isinstance(value, str) and value == MISSING:
            raise InputError(f"{key}: a value is needed, {key}=...")
        rule = rules.get(key) or _rule_of_default(_value_of(known or {}, key))
        if rule is None or (value is None and rule.optional) or (value is not None and rule.accepts(value)):
            continue
        null = " or null" if rule.optional else ""
        near = difflib.get_close_matches(
            str(value), rule.description.removeprefix("one of ").split(", "), n=1
        )
        hint = f"; did you mean {near[0]}?" if rule.description.startswith("one of ") and near else ""
        raise InputError(f"{key}={_shown(value)}: must be {rule.description}{null}{hint}")


def _check_combinations(values: Mapping[str, Any]) -> None:
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
        if (pixels := _value_of(augmentation, key)) is not None and pixels >= image_size:
            raise InputError(
                f"augmentation.{key}={pixels}: shifts pictures of {image_size} pixels out of sight"
            )


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    if epochs == -1 and trainer["max_steps"] == -1 and trainer["max_time"] is None:
        raise InputError("trainer.max_epochs=-1: needs an end, trainer.max_steps or trainer.max_time")
    if every is None and not _is_whole(trainer["val_check_interval"]):
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
        if nodes * local != world or (_is_whole(devices) and devices not in (-1, local)):
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
            f"trainer.check_val_every_n_epoch={_shown(trainer['check_val_every_n_epoch'])}: "
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


def _rule_of_default(default: Any) -> Rule | None:
    """The type that a key without a rule has, by its default."""
    if isinstance(default, bool):
        return Rule("true or false", lambda value: isinstance(value, bool))
    if _is_whole(default):
        return Rule("a whole number", _is_whole)
    if _is_number(default):
        return Rule("a number", _is_number)
    if isinstance(default, str) and default != MISSING and "${" not in default:
        return text
    if isinstance(default, list):
        return Rule("a list", lambda value: isinstance(value, list))
    return None


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all keys, groups' own included."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        yield key
        if isinstance(value, Mapping):
            yield from _keys(value, f"{key}.")


def _value_of(values: Mapping[str, Any], key: str) -> Any:
    value: Any = values
    for name in key.split(".") if key else []:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _shown(value: Any) -> Any:
    return "null" if value is None else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
