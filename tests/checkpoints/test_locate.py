import os
from pathlib import Path

import pytest

from mobilenet_lab.checkpoints.locate import find_checkpoint


def test_pipe_is_refused_by_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(
        FileNotFoundError, match=r"ckpt=.*pipe\.ckpt: is a pipe or a device; copy the checkpoint"
    ):
        find_checkpoint(str(tmp_path / "pipe.ckpt"))


def test_missing_checkpoint_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^resume=.*none: no checkpoint found; "):
        find_checkpoint(str(tmp_path / "none"), key="resume")
