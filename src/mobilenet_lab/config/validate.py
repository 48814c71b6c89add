"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.checkpoints.locate import find_checkpoint
from mobilenet_lab.config.combinations import check_combinations
from mobilenet_lab.config.nested import keys, shown, value_of
from mobilenet_lab.config.rules import Rule, is_number, is_whole, text
from mobilenet_lab.config.schema import FORMATS, RULES
from mobilenet_lab.config.suggestions import compose_choices, suggest
from mobilenet_lab.runtime.errors import InputError

# Groups of named objects: a new object may be added on the command line.
OPEN_GROUPS = ("callbacks", "logger")
MISSING = "???"
AUTO = "auto"  # as a value of resume: go on if the run's folder has a checkpoint, else begin


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
    check_combinations(values)
    # Where it is "latest", a default, whoever uses it looks.
    if values.get("resume") not in (None, AUTO, "latest"):
        find_checkpoint(values["resume"], "resume", prefer="last")


def _check_keys(values: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    known_keys = set(keys(known))
    for key in keys(values):
        group, *rest = key.split(".")
        added = f"{group}.{rest[0]}" if rest else ""
        if key in known_keys or (group in OPEN_GROUPS and added and added not in known_keys):
            continue
        raise InputError(f"{key}: no such key; {suggest(key, known)}")
    for group in OPEN_GROUPS:
        for name, value in (values.get(group) or {}).items():
            if value is not None and not (isinstance(value, Mapping) and "_target_" in value):
                raise InputError(f"{group}.{name}: needs a class, {group}.{name}._target_=...")
    present = set(keys(values))
    nulls = tuple(f"{key}." for key in present if value_of(values, key) is None)
    for key in known_keys - present:
        if key.split(".")[0] not in OPEN_GROUPS and not key.startswith(nulls):
            raise InputError(f"{key}: the key is missing; it has a default, so do not delete it")


def _check_values(
    values: Mapping[str, Any], known: Mapping[str, Any] | None, rules: Mapping[str, Rule]
) -> None:
    for key in keys(values):
        value = value_of(values, key)
        if isinstance(value, str) and value == MISSING:
            raise InputError(f"{key}: a value is needed, {key}=...")
        rule = rules.get(key) or _rule_of_default(value_of(known or {}, key))
        if rule is None or (value is None and rule.optional) or (value is not None and rule.accepts(value)):
            continue
        null = " or null" if rule.optional else ""
        near = difflib.get_close_matches(
            str(value), rule.description.removeprefix("one of ").split(", "), n=1
        )
        hint = f"; did you mean {near[0]}?" if rule.description.startswith("one of ") and near else ""
        raise InputError(f"{key}={shown(value)}: must be {rule.description}{null}{hint}")


def _rule_of_default(default: Any) -> Rule | None:
    """The type that a key without a rule has, by its default."""
    if isinstance(default, bool):
        return Rule("true or false", lambda value: isinstance(value, bool))
    if is_whole(default):
        return Rule("a whole number", is_whole)
    if is_number(default):
        return Rule("a number", is_number)
    if isinstance(default, str) and default != MISSING and "${" not in default:
        return text
    if isinstance(default, list):
        return Rule("a list", lambda value: isinstance(value, list))
    return None
