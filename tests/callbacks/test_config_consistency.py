import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN


@pytest.mark.parametrize(
    ("settings_of_ranks", "line"),
    [
        (
            ("optimizer.lr=0.1", "optimizer.lr=0.2"),
            "optimizer.lr=0.2: rank 1 differs from rank 0, which has optimizer.lr=0.1",
        ),
        (
            ("resume={run}", "resume=null"),
            "resume=step 0: rank 1 differs from rank 0, which has resume=step 14",
        ),
    ],
)
def test_ranks_with_different_settings_fail_with_one_line_each(
    tmp_path: Path, tiny_idx: Path, tiny_run: Path, settings_of_ranks: tuple[str, str], line: str
) -> None:
    """The ranks are started as torchrun does on two machines, with a typo on one of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank, setting in enumerate(settings_of_ranks):
        place = {
            "TORCHELASTIC_RUN_ID": "test",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "1",
            "RANK": str(rank),
            "GROUP_RANK": str(rank),
            "LOCAL_RANK": "0",
        }
        settings = [
            *TINY_RUN,
            "trainer=ddp_cpu",
            "trainer.devices=1",
            "trainer.num_nodes=2",
            "data.batch_size=8",
            f"data.root={tiny_idx}",
            "trainer.max_epochs=3",
            setting.format(run=tiny_run),
            f"output_dir=run{rank}",
        ]
        ranks.append(
            subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *settings],
                cwd=tmp_path,
                env=os.environ | place,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in ranks:
        errors = process.communicate(timeout=120)[1]
        assert errors.endswith(f"error: {line}; start all ranks with the same settings\n")
        assert process.returncode == 2
