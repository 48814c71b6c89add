"""What a report needs to know about a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FinishedJob:
    """A job with a result.

    Attributes:
        name: Path of its folder within the folder of the sweep.
        settings: Its settings by dotted key.
        result: The contents of its result.json.
    """

    name: str
    settings: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class FailedJob:
    """A job without a result.

    Attributes:
        name: Path of its folder within the folder of the sweep.
        overrides: Those of its overrides that tell it from other jobs.
        error: What went wrong.
    """

    name: str
    overrides: Sequence[str]
    error: str


@dataclass(frozen=True)
class SweepRecord:
    """What is known about a sweep.

    Attributes:
        folder: The folder of the sweep.
        jobs: The finished jobs.
        failures: The failed jobs.
        varied: Keys of the settings that differ between jobs.
        columns: Keys of the results to show.
        command: The command that started the sweep; None if it is unknown.
    """

    folder: Path
    jobs: Sequence[FinishedJob]
    failures: Sequence[FailedJob]
    varied: Sequence[str]
    columns: Sequence[str]
    command: str | None
