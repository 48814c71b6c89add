import zipfile
from pathlib import Path

import torch

from mobilenet_lab.checkpoints.origin import is_own_checkpoint


def test_only_checkpoints_of_this_framework_are_recognized(tiny_run: Path, tmp_path: Path) -> None:
    own = tiny_run / "checkpoints/last.ckpt"
    assert is_own_checkpoint(own)
    assert is_own_checkpoint(own.with_name("best.ckpt"))
    torch.save({"state_dict": {}, "hyper_parameters": {}, "epoch": 3}, tmp_path / "lightning.ckpt")
    (tmp_path / "text.ckpt").write_text("ImageDataModule hyper_parameters train_metrics")
    (tmp_path / "cut.ckpt").write_bytes(own.read_bytes()[:-1000])
    with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(1 << 27))
    (tmp_path / "folder.ckpt").mkdir()
    assert not any(is_own_checkpoint(path) for path in [*tmp_path.iterdir(), tmp_path / "missing.ckpt"])
