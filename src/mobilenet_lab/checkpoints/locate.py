"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"
BEST = "best.ckpt"
LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"  # while a run is under way, what LAST was before


def find_checkpoint(where: str, key: str = "ckpt", prefer: str = "best") -> Path:
    """The checkpoint file that a user means.

    Args:
        where: A checkpoint file, a run folder, or `latest`.
        key: The setting's name, for messages.
        prefer: Which file of a run folder: "best" to use, "last" to go on.

    Raises:
        FileNotFoundError: there is none; the message lists those there are.
    """
    # Resolved, since the link may point elsewhere by the time the file is read.
    try:
        path = LATEST.resolve() if where == "latest" else Path(where).resolve()
    except RuntimeError as error:  # Python's own, before 3.13
        raise FileNotFoundError(f"{key}={where}: links that lead in a circle") from error
    if path.is_file():
        return path
    names = (BEST, LAST, PREVIOUS) if prefer == "best" else (LAST, PREVIOUS, BEST)
    for name in names:
        for candidate in (path / "checkpoints" / name, path / name):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f"{key}={where}: no checkpoint there; {_suggest_runs(path)}")


def find_checkpoints(where: str | Path | Iterable[str | Path]) -> list[Path]:
    """The file or files that one or several of what `find_checkpoint` takes mean."""
    return [find_checkpoint(str(one)) for one in ([where] if isinstance(where, str | Path) else where)]


def _suggest_runs(wrong: Path) -> str:
    """The run with the nearest name, here or beside the wrong path, and the newest ones."""
    found = sorted(OUTPUTS.glob("*/*/checkpoints"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    newest = [str(folder.parent) for folder in found]
    beside = [
        os.path.relpath(folder.parent)
        for parent in dict.fromkeys((wrong.parent, wrong.parent.parent))
        for folder in sorted(parent.glob("*/checkpoints"))
    ]
    near = difflib.get_close_matches(os.path.relpath(wrong), [*beside, *newest], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    if newest:
        return f"{hint}the newest runs are {', '.join(newest[:3])}"
    return hint.strip() or "train one first: python train.py"


def folder_of(checkpoint: Path) -> Path:
    """That of the run that a checkpoint is of."""
    return checkpoint.parent.parent
