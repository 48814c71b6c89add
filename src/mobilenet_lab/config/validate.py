"""Check a composed configuration before anything heavy is imported.

The YAML files are the schema: the known keys are those that the chosen files compose to by themselves. A
key's rule is in the comment of its line (see `config.rules`); without one, the type follows from the default.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.checkpoints.locate import find_checkpoint
from mobilenet_lab.config.combinations import check_combinations
from mobilenet_lab.config.model_checks import check_weights_exist
from mobilenet_lab.config.nested import keys, shown, value_of
from mobilenet_lab.config.primary_file import read_primary_file
from mobilenet_lab.config.rules import Rule, rule_of_default
from mobilenet_lab.config.suggestions import OPEN_GROUPS, OVERLAYS, compose_choices, suggest
from mobilenet_lab.config.yaml_files import find_fault
from mobilenet_lab.config.yaml_rules import read_rules
from mobilenet_lab.runs.folder import RESOLVED_CONFIG, RunFolder
from mobilenet_lab.runtime.errors import InputError

MISSING = "???"
REFERENCE = re.compile(r"\$\{([\w.]+)\}")  # a default that is the value of another key
AUTO = "auto"  # resume=auto: resume if the run folder contains a checkpoint, otherwise start from scratch


def check(cfg: DictConfig) -> None:
    """Check the configuration that Hydra has composed for a script.

    Raises:
        InputError: A key is unknown or missing, a value has the wrong type or is out of range, or values do
            not go together. The message names the key, the accepted values and the closest known key.
        FileNotFoundError: A checkpoint does not exist.
    """
    hydra = HydraConfig.get()
    name = str(hydra.job.config_name)
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(" ".join(str(error).split("\n")[:1])) from error
    choices = {
        group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")
    }
    if choices or name != RESOLVED_CONFIG:
        folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
        known = None if choices else read_primary_file(folders, name)
        known = compose_choices(name, choices) if known is None else known
        _check_files(values, choices, folders)
        defining = {group: choice for group, choice in choices.items() if group not in OVERLAYS}
        rules = read_rules(folders, name, defining)
        _check_keys(values, known, rules)
        _check_values(values, known, rules)
    check_combinations(values, choices)
    # `resume=latest` is looked up when the checkpoint is opened.
    if values.get("resume") not in (None, AUTO, "latest"):
        find_checkpoint(values["resume"], "resume", prefer="last")
    if "trainer" in values and not _resumes(values):  # a resumed run needs no weights to start from
        check_weights_exist(values["model"])


def _resumes(values: Mapping[str, Any]) -> bool:
    run = RunFolder(Path(values["output_dir"]))
    return values["resume"] is not None and (values["resume"] != AUTO or run.has_resumable_checkpoint())


def _check_files(values: Mapping[str, Any], choices: Mapping[str, Any], folders: Sequence[Path]) -> None:
    """Refuse a file whose keys are not where they belong: below its group, or at the top for an overlay."""
    for group, choice in choices.items():
        is_overlay = group in OVERLAYS
        if group in OPEN_GROUPS or (group not in values if is_overlay else values.get(group)):
            continue
        for name in [choice] if isinstance(choice, str) else choice or []:
            if fault := find_fault(folders, group, name, is_overlay):
                raise InputError(fault)
    for group, value in values.items():
        if group in choices and _lacks_class(group, value):
            raise InputError(
                f"{group}={choices[group]}: has no class; add the line `_target_: ...` to its file"
            )


def _lacks_class(group: str, value: Any) -> bool:
    is_built = group not in (*OPEN_GROUPS, *OVERLAYS, "model")
    return is_built and isinstance(value, Mapping) and "_target_" not in value


def _check_keys(values: Mapping[str, Any], known: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    known_keys = set(keys(known))
    mappings = tuple(f"{key}." for key in rules if isinstance(value_of(values, key), Mapping))
    if dotted := next(_dotted_names(values, known), None):
        group, _, name = dotted.rpartition(".")
        raise InputError(f"{dotted}: is one key with a dot in a YAML file; write `{name}:` below `{group}:`")
    for key in keys(values):
        if key.startswith(mappings):  # the names in a value, which the rule of the value checks
            continue
        group, *rest = key.split(".")
        added = f"{group}.{rest[0]}" if rest else ""
        if key in known_keys or (group in OPEN_GROUPS and added and added not in known_keys):
            continue
        note = f" (+ adds keys only to {' and '.join(OPEN_GROUPS)})" if _is_added(key) else ""
        raise InputError(f"{key}: no such key; {suggest(key, known)}{note}")
    for group in OPEN_GROUPS:
        for name, value in (values.get(group) or {}).items():
            target = value.get("_target_") if isinstance(value, Mapping) else None
            if value is not None and not (isinstance(target, str) and target):
                raise InputError(f"{group}.{name}: needs a class; set {group}.{name}._target_=...")
    present = set(keys(values))
    nulls = tuple(f"{key}." for key in present if value_of(values, key) is None)
    for key in sorted(known_keys - present):  # a group before its keys
        if key.split(".")[0] not in OPEN_GROUPS and not key.startswith(nulls):
            raise InputError(f"{key}: the key is missing; remove ~{key} from the command line")


def _dotted_names(values: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """Yield the unknown names with dots, which nothing reads; a value may be a mapping with any names."""
    for name, value in values.items():
        if name not in known and "." in str(name):
            yield str(name)
        elif isinstance(value, Mapping) and isinstance(known.get(name), Mapping):
            yield from _dotted_names(value, known[name])


def _is_added(key: str) -> bool:
    """Return whether the command line adds a key, or one below it, with a plus sign."""
    added = (override.lstrip("+") for override in HydraConfig.get().overrides.task if override[:1] == "+")
    return any(f"{name.partition('=')[0]}.".startswith(f"{key}.") for name in added)


def _check_values(values: Mapping[str, Any], known: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    for key in keys(values):
        value = value_of(values, key)
        if value == MISSING:
            raise InputError(f"{key}: needs a value; set {key}=...")
        if _is_copy(key, values, known, rules):
            continue
        rule = _rule_of(key, known, rules)
        if rule is not None and not rule.accepts(value):
            raise InputError(f"{key}={shown(value)}: must be {rule.description}{rule.hint(value)}")


def _is_copy(
    key: str, values: Mapping[str, Any], known: Mapping[str, Any], rules: Mapping[str, Rule]
) -> bool:
    """Return whether a key has kept the value of another key, at which that value is checked."""
    default = value_of(known, key)
    reference = REFERENCE.fullmatch(default) if isinstance(default, str) and key not in rules else None
    return reference is not None and value_of(values, key) == value_of(values, reference[1])


def _rule_of(key: str, known: Mapping[str, Any], rules: Mapping[str, Rule]) -> Rule | None:
    """Return the rule of a key; without one of its own, of the key that its default refers to."""
    default = value_of(known, key)
    if key in rules:
        return rules[key]
    if isinstance(default, str) and (reference := REFERENCE.fullmatch(default)):
        return _rule_of(reference[1], known, rules)
    is_typed = not (isinstance(default, str) and (default == MISSING or "${" in default))
    return rule_of_default(default) if is_typed else None
