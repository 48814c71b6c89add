"""Start Hydra 1.3 faster.

Hydra composes the configuration an additional time to look up `hydra.mode`, which chooses between a run and a
sweep. This takes an eighth of the time of a prediction without PyTorch.
"""

from collections.abc import Sequence

from hydra._internal.hydra import Hydra


def skip_mode_lookup(arguments: Sequence[str]) -> None:
    """Let Hydra run once without looking up its mode, if no argument can change it.

    Args:
        arguments: Arguments of a script whose own YAML files do not set `hydra.mode`.
    """
    if any(argument.startswith("-") or argument.lstrip("+~").startswith("hydra") for argument in arguments):
        return
    # Without a mode, Hydra adds hydra.mode=RUN to the overrides, as it does after a lookup without a result.
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
