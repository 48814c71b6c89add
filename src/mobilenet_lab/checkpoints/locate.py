"""Find the checkpoint file that a user means."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from mobilenet_lab.checkpoints.imagenet import IMAGENET, imagenet_checkpoint
from mobilenet_lab.runs.folder import LATEST, OUTPUTS, RunFolder
from mobilenet_lab.runs.run_path import LINKS_PREFIX, run_path
from mobilenet_lab.runtime.errors import InputError


def find_checkpoint(where: str, key: str = "ckpt", prefer: str = "best") -> Path:
    """Return the checkpoint file at a path.

    Args:
        where: A checkpoint or ONNX file, a run folder, a folder of checkpoints, "latest", or "imagenet" for
            the checkpoint of torchvision's weights, which is made at the first call.
        key: Name of the setting, for error messages.
        prefer: Which checkpoint of a run folder: "best" to predict, "last" to resume.

    Raises:
        FileNotFoundError: There is no checkpoint; the message lists the newest runs.
        InputError: An ONNX file or the ImageNet weights cannot be resumed, or cannot be downloaded.
    """
    if where == IMAGENET:
        if prefer == "last":
            raise InputError(f"{key}={where}: is no training run; use model.weights={where} to start from it")
        return imagenet_checkpoint(key)
    # Resolved now, because outputs/latest may point to another run by the time the file is read.
    try:
        path = run_path(LATEST if where == "latest" else Path(where))
    except RuntimeError as error:  # raised by Python before 3.13
        raise FileNotFoundError(f"{key}={where}: symbolic links form a loop") from error
    if path.is_file():
        return _trainable(path, where, key) if prefer == "last" else path
    if path.exists() and not path.is_dir():
        raise FileNotFoundError(f"{key}={where}: is a pipe or a device; copy the checkpoint to a file")
    run = RunFolder(path)
    wanted = [run.best, run.last, run.previous] if prefer == "best" else [run.last, run.previous, run.best]
    for checkpoint in wanted:
        for candidate in (checkpoint, path / checkpoint.name):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f"{key}={where}: no checkpoint found; {_suggest_runs(path)}")


def is_onnx(path: Path) -> bool:
    """Return whether a path is that of an ONNX file, which prediction and evaluation take, too."""
    return path.suffix.lower() == ".onnx"


def find_checkpoints(where: str | Path | Iterable[str | Path], allow_onnx: bool = True) -> list[Path]:
    """Return the checkpoint files at one or several paths; see `find_checkpoint`.

    Raises:
        FileNotFoundError: There is no checkpoint at one of the paths.
        InputError: A path is that of an ONNX file, and `allow_onnx` is false.
    """
    given = [where] if isinstance(where, str | Path) else where
    paths = [find_checkpoint(_as_text(one)) for one in given]
    for path in paths:
        if is_onnx(path) and not allow_onnx:
            raise InputError(f"ckpt={path}: is already exported; use the checkpoint it was exported from")
    return paths


def find_weights(where: str | Path, key: str) -> Path:
    """Return the file to start training from; see `pretrained.load_pretrained`.

    Raises:
        FileNotFoundError: It does not exist.
        InputError: It is an ONNX file, or the ImageNet weights cannot be downloaded.
    """
    if where not in (IMAGENET, "latest") and not Path(where).expanduser().exists():
        raise FileNotFoundError(f"{key}={where}: does not exist; use imagenet, a file or a run folder")
    return _trainable(find_checkpoint(_as_text(where), key), where, key)


def _trainable(path: Path, where: str | Path, key: str) -> Path:
    """Return the path, unless it is that of an exported model."""
    if is_onnx(path):
        raise InputError(f"{key}={where}: an exported model cannot be trained; use a checkpoint")
    return path


def _as_text(where: str | Path) -> str:
    """Return a path as text; a `Path` is never the word "imagenet"."""
    return f"./{where}" if where == Path(IMAGENET) else str(where)


def _suggest_runs(wrong: Path) -> str:
    """Name the run with the most similar path, and the newest runs."""
    runs = [folder.parent for folder in OUTPUTS.glob("*/*/checkpoints")]
    newest = [str(run) for run in sorted(runs, key=lambda run: RunFolder(run).checkpoints.stat().st_mtime)]
    newest.reverse()
    nearby = [
        os.path.relpath(folder.parent)
        for parent in dict.fromkeys((wrong.parent, wrong.parent.parent))
        for folder in sorted(parent.glob("*/checkpoints"))
        if not folder.parent.name.startswith(LINKS_PREFIX)
    ]
    close = difflib.get_close_matches(os.path.relpath(wrong), [*nearby, *newest], n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    if newest:
        return f"{hint}the newest runs are {', '.join(newest[:3])}"
    return hint.strip() or "train a model first: make train, or python train.py"
