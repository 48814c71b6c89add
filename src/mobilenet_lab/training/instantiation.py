"""Build callbacks and loggers, and say in one line what is wrong with those that a command line adds."""

import difflib
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from omegaconf import DictConfig

from mobilenet_lab.callbacks.monitor_check import MonitorCheck
from mobilenet_lab.config.nested import shown, target_of
from mobilenet_lab.config.value_kinds import is_integer
from mobilenet_lab.runtime.errors import InputError

HYDRA_ARGUMENTS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
# The types of arguments that are checked, in words
SIMPLE: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", is_integer),
    float: ("a number", lambda value: isinstance(value, numbers.Real) and not isinstance(value, bool)),
    str: ("text", lambda value: isinstance(value, str)),
    types.NoneType: ("null", lambda value: value is None),
}


def build_member(key: str, node: DictConfig, kind: type, **extra: Any) -> Any:
    """Build a callback or logger.

    Args:
        key: Its key, for example `callbacks.best`.
        node: Its configuration.
        kind: The class that it must be an instance of.
        extra: More arguments for `instantiate`.

    Raises:
        InputError: The class does not take the arguments, or refuses their values, or is of another kind.
    """
    target = target_of(node)
    wrong_kind = (
        f"{key}._target_={node._target_}: is not a Lightning {kind.__name__.lower()}; use another class"
    )
    if target is not None:
        if not callable(target) or (isinstance(target, type) and not issubclass(target, kind)):
            raise InputError(wrong_kind)
        if "_args_" in node:
            raise InputError(
                f"{key}._args_: is not supported; set each argument by its name, {key}.<name>=..."
            )
        _check_arguments(key, node, target, extra)
    try:
        member = instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException):
            raise InputError(f"{key}: {_one_line(error.__cause__)}") from error
        raise
    if not isinstance(member, kind):
        raise InputError(wrong_kind)
    return member


@contextmanager
def one_line_misconfiguration(trainer: Trainer) -> Iterator[None]:
    """Turn the errors of Lightning's callbacks about the settings of a run into `InputError`."""
    try:
        yield
    except (RuntimeError, MisconfigurationException) as error:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, MonitorCheck) and (message := callback.explain(trainer, error)):
                raise InputError(message) from error
        if isinstance(error, MisconfigurationException):
            raise InputError(_one_line(error)) from error
        raise


def _check_arguments(
    key: str, node: DictConfig, target: Callable[..., Any], extra: Mapping[str, Any]
) -> None:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # a built-in function without a signature
        return
    by_name = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
    given = {str(name): value for name, value in node.items() if name not in HYDRA_ARGUMENTS}
    name_of_target = str(node._target_).rpartition(".")[2]
    for name in given.keys() - by_name.keys() if not takes_any else ():
        near = difflib.get_close_matches(name, by_name, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(by_name) or 'none'}"
        raise InputError(f"{key}.{name}: {name_of_target} has no such argument; {hint}")
    for name, parameter in by_name.items():
        if parameter.default is parameter.empty and name not in given and name not in extra:
            raise InputError(f"{key}: {name_of_target} needs {name}; set +{key}.{name}=...")
    hints = _type_hints(target)
    for name, value in given.items():
        if accepted := _rejected_by(hints.get(name), value):
            raise InputError(f"{key}.{name}={shown(value)}: must be {accepted}")


def _type_hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the arguments; none if they cannot be resolved at run time."""
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):
        return {}


def _rejected_by(hint: Any, value: Any) -> str | None:
    """Return the accepted types in words if a value is certainly of none of them."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if is_union else (hint,)
    if not all(kind in SIMPLE for kind in kinds) or any(SIMPLE[kind][1](value) for kind in kinds):
        return None
    return " or ".join(SIMPLE[kind][0] for kind in kinds)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
