"""The entry point of the scripts."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mobilenet_lab.cli.argument_checks import check_arguments
from mobilenet_lab.cli.arguments import order_arguments
from mobilenet_lab.cli.errors import bugs_recorded, one_line_errors
from mobilenet_lab.cli.hydra_mode import skip_mode_lookup
from mobilenet_lab.cli.path_arguments import refuse_repeated_paths
from mobilenet_lab.cli.streams import prepare_streams
from mobilenet_lab.config.override_quoting import quote_paths
from mobilenet_lab.runtime.font_caches import use_writable_caches
from mobilenet_lab.runtime.malloc import configure_malloc
from mobilenet_lab.runtime.terminal import assume_terminal_size


def run(main: Callable[[], object], looks_up_mode: bool = True) -> None:
    """Run the Hydra main function of a script, and print user errors as one line.

    Exits with 2 after a user error and with 130 after an interrupt.

    Args:
        main: The function.
        looks_up_mode: Whether the script's YAML files may set `hydra.mode`; see `skip_mode_lookup`.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    configure_malloc()
    use_writable_caches()
    with bugs_recorded(), one_line_errors():
        prepare_streams()
        assume_terminal_size()
        refuse_repeated_paths(sys.argv[1:])
        check_arguments(sys.argv[0], sys.argv[1:])
        sys.argv[1:] = quote_paths(order_arguments(sys.argv[1:]))
        if not looks_up_mode:
            skip_mode_lookup(sys.argv[1:])
        main()


@contextmanager
def imports_without_gc() -> Iterator[None]:
    """Import modules without garbage collection and exempt them from it: this saves a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
