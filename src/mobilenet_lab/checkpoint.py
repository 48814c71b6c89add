"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import logging
import pickle
import shlex
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.errors import InputError

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"
PREVIOUS = "previous.ckpt"  # while a run is under way, what last.ckpt was before
REQUIRED_KEYS = ("state_dict", "hyper_parameters", "epoch", "global_step")


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
    path = LATEST.resolve() if where == "latest" else Path(where).resolve()
    if path.is_file():
        return path
    other = "last" if prefer == "best" else "best"
    for name in (f"{prefer}.ckpt", f"{other}.ckpt", PREVIOUS):
        for candidate in (path / "checkpoints" / name, path / name):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f"{key}={where}: no checkpoint there; {_runs_there_are()}")


def find_checkpoints(where: str | Path | Iterable[str | Path]) -> list[Path]:
    """The file or files that one or several of what `find_checkpoint` takes mean."""
    return [find_checkpoint(str(one)) for one in ([where] if isinstance(where, str | Path) else where)]


def resume_command(folder: Path) -> str:
    """What goes on with a run."""
    return shlex.join(["python", "train.py", f"resume={folder}"])


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Whole epochs that the run of a checkpoint has behind it."""
    position = checkpoint["ImageDataModule"]
    return int(position["epoch"] + (position["batch"] == 0))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project.

    What PyTorch writes is a zip archive with a checksum of every part, which its own reader does not look at.

    Raises:
        InputError: it is damaged, holds anything but plain values and tensors, or is another program's.
    """
    import torch

    try:
        _check_whole(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        KeyError,
        ValueError,
    ) as error:
        # PyTorch's own words would advise to switch the protection off.
        raise InputError(
            f"{path}: no checkpoint, a damaged one, or one that holds more than plain values and tensors"
        ) from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(f"{path}: not a checkpoint of this project, it lacks {', '.join(missing)}")
    return checkpoint


def load_or_previous(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a checkpoint to go on from; where it is damaged, the one that was last before it.

    Returns:
        The checkpoint, and the file that it came from.

    Raises:
        InputError: neither can be read.
    """
    try:
        return load_checkpoint(path), path
    except InputError as error:
        previous = path.with_name(PREVIOUS)
        if path.name == PREVIOUS or not previous.is_file():
            raise
        log.warning("%s; going on from the one before it, %s", error, previous)
        return load_checkpoint(previous), previous


def _check_whole(path: Path) -> None:
    """Compare the checksums of a checkpoint's parts with their bytes.

    Raises:
        zipfile.BadZipFile: they differ, or it is no archive, or none as PyTorch writes them.
    """
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise zipfile.BadZipFile("packed parts, which PyTorch never writes")
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")


def network_from(checkpoint: dict[str, Any], path: Path) -> "nn.Module":
    """Build the checkpoint's network with its weights, ready to predict.

    Raises:
        InputError: the weights do not fit the network that the checkpoint describes.
    """
    from mobilenet_lab.models import build_network

    hparams = dict(checkpoint["hyper_parameters"])
    try:
        name, classes = hparams.pop("network"), hparams.pop("classes")
        preprocessing = hparams.pop("preprocessing")
        for key in ("data", "label_smoothing"):
            hparams.pop(key)
        network = build_network(
            name, in_channels=preprocessing["channels"], num_classes=len(classes), **hparams
        )
        prefix = "network."
        weights = {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }
        network.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path}: the weights do not fit the network it describes: {reason}") from error
    return network.eval()


def _runs_there_are() -> str:
    found = sorted(OUTPUTS.glob("*/*/checkpoints"), key=lambda folder: folder.stat().st_mtime)
    runs = [str(folder.parent) for folder in reversed(found)]
    return f"the newest runs are {', '.join(runs[:3])}" if runs else "train one first: python train.py"
