"""Find image files that cannot be decoded."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from mobilenet_lab.data.images import MachineError, decode, without_pillow_warnings
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

MAX_THREADS = 8  # that decode at the same time, each with its own memory
CHUNK = 1024  # files in the queue of these threads


def find_corrupt_images(paths: Iterable[Path]) -> Iterator[InputError | None]:
    """Decode every file, several at a time, and yield the error or None for each, in order.

    Only decoding finds the damage: a truncated file has an intact header.

    Raises:
        MachineError: Reading failed for a reason that may be gone at the next attempt.
    """

    def attempt(path: Path) -> InputError | None:
        try:
            decode(path, printable(str(path)))
        except MachineError:
            raise
        except InputError as error:
            return error
        return None

    # Pillow releases the interpreter lock while it decodes.
    with without_pillow_warnings(), ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        waiting = iter(paths)
        while chunk := list(islice(waiting, CHUNK)):
            yield from pool.map(attempt, chunk)
