"""Rephrase the errors of Hydra 1.3 and OmegaConf 2.3 as one line that says what to type instead.

The errors have few attributes, so parts of their texts are matched here and only here. One test per text
fails if a release changes it.
"""

import difflib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)

from mobilenet_lab.cli.path_arguments import suggest_path_key
from mobilenet_lab.config.suggestions import OVERLAYS, compose_choices, suggest
from mobilenet_lab.config.yaml_files import explain_yaml_error, find_fault, find_unreadable

GROUP_CANNOT_BE_NULL = "Config group override"  # for optimizer=null
NO_SUCH_GROUP = re.compile(r"Could not override '([^']+)'.*No match in the defaults list", re.DOTALL)
NO_PRIMARY_CONFIG = re.compile(r"Cannot find primary config")
WRONG_HEADERS = ("Expected header format", "Too many components")  # of a line `# @package ...`
IN_FILE = re.compile(r"In '([^']+)/([^'/]+)': ")
FULL_KEY = re.compile(r"full_key: (\S+)")
NOT_IN_STRUCT = "not in struct"
BLOCKLISTED = re.compile(r"Target '([^']+)' is blocklisted")
TARGET_NOT_FOUND = "Error locating target"


def explain_hydra_error(error: BaseException) -> str:
    """Return one line about an error in the command line or the configuration."""
    message = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_missing_choice(error)
    if (place := IN_FILE.match(message)) and (fault := _fault_of_choice(*place.groups())):
        return fault
    if key := _unknown_key(error):
        return f"{key}: no such key; {_suggest_key(key)}"
    if isinstance(error, OverrideParseException):
        if suggestion := suggest_path_key(error.override, sys.argv[1:], Path(sys.argv[0]).stem):
            return f"cannot read {error.override!r} as key=value; did you mean {suggestion}?"
        return (
            f"cannot read {error.override!r} as key=value; quote a value with special characters: "
            "\"key='...'\""
        )
    if (group := NO_SUCH_GROUP.search(message)) and group[1].startswith(tuple(f"{o}/" for o in OVERLAYS)):
        name = group[1].partition("/")[2].partition("@")[0]
        return f"`override {name}` in the defaults of a file needs a slash; write `override /{name}`"
    if group:
        return f"{group[1]}: no such group or key; {_suggest_key(group[1])}"
    return _one_line(message)


def explain_value_error(error: ValueError | yaml.YAMLError) -> str | None:
    """Return one line about an error in the choice or the text of a YAML file; None if it is a bug."""
    if isinstance(error, yaml.YAMLError):
        return explain_yaml_error(error)
    if GROUP_CANNOT_BE_NULL in str(error):
        return "a group cannot be null or a number; choose one of its files, see --help"
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(WRONG_HEADERS):
        return find_unreadable(_config_folders(), [name.partition("=")[2] for name in sys.argv[1:]])
    return None


def explain_instantiation(
    error: InstantiationException, is_user_fixable: Callable[[BaseException], bool]
) -> str | None:
    """Return one line about an object that could not be built; None if a bug is the cause.

    Args:
        error: Hydra's error.
        is_user_fixable: Tells whether a user can fix a cause.
    """
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, ModuleNotFoundError) or is_user_fixable(cause)):
        cause = cause.__cause__
    key = str(error).rpartition("full_key: ")[2]
    if target := BLOCKLISTED.match(str(error)):
        return f"{key}._target_={target[1]}: can run any program, which Hydra refuses; use another class"
    if TARGET_NOT_FOUND in str(error):
        return f"{key}: {cause or str(error).split(',')[0]}"
    if isinstance(cause, ModuleNotFoundError):
        extra = f'pip install -e ".[{key.rpartition(".")[2]}]"' if key else "see pyproject.toml"
        return f"{key}: a package is missing; install it with {extra}"
    return None if cause is None else str(cause)


def _unknown_key(error: BaseException) -> str | None:
    """Return the key that the configuration does not have."""
    cause = error.__cause__ if error.__cause__ is not None else error
    if NOT_IN_STRUCT not in f"{error}\n{cause}":
        return None
    key = FULL_KEY.search(f"{error}\n{cause}")
    return key[1] if key else None


def _explain_missing_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or [])
    if NO_PRIMARY_CONFIG.match(str(error)):
        folders = " or ".join(str(folder) for folder in _config_folders())
        return f"--config-name={choice}: {folders} has no {choice}.yaml; leave out --config-name"
    if not options:
        return _one_line(str(error))
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    for folder in _config_folders():
        if (folder / group / f"{choice}.yml").is_file():
            hint = f"; rename {folder / group / choice}.yml to {choice}.yaml"
    return f"{group}={choice}: must be one of {', '.join(options)}{hint}"


def _config_folders() -> list[Path]:
    """Return the folders of YAML files, those on the command line first."""
    options = get_args_parser().parse_known_args(sys.argv[1:])[0]
    script = Path(sys.argv[0]).resolve()
    given = [Path(options.config_dir)] if options.config_dir else []
    if options.config_path:  # relative to the script
        given.append(script.parent / options.config_path)
    return [folder for folder in (*given, script.parent / "conf") if folder.is_dir()]


def _fault_of_choice(group: str, choice: str) -> str | None:
    return find_fault(_config_folders(), group, choice, group in OVERLAYS)


def _suggest_key(key: str) -> str:
    """Suggest the most similar key of the groups on the command line."""
    script = Path(sys.argv[0]).resolve()
    conf = script.parent / "conf"
    GlobalHydra.instance().clear()
    groups = {folder.name for folder in conf.iterdir() if folder.is_dir()}
    if key in groups:  # only a key of the group is set
        return f"add {key}=<choice> to the command line; see --help"
    chosen = (argument.partition("=") for argument in sys.argv[1:])
    choices = {name.lstrip("+"): choice for name, _, choice in chosen if name.lstrip("+") in groups}
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            folders = [str(folder.resolve()) for folder in _config_folders() if folder != conf]
            return suggest(key, compose_choices(script.stem, choices, folders))
    except HydraException:
        return "see --help"


def _one_line(message: str) -> str:
    line = " ".join(line.strip() for line in message.splitlines() if line.strip())
    return line.partition(" Config search path: ")[0]
