import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.folder_claim import claim_run_folder, new_folder
from mobilenet_lab.training.folder_contents import remove_run

CONFIG = "seed: 0\noutput_dir: run\nobjective: val/accuracy\ntask:\n  _target_: mobilenet_lab.tasks.Task\n"
CHOICES = ("resume=auto", "another folder", "overwrite=true")


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def claim(output_dir: str = "run", resume: str | None = None, overwrite: bool = False) -> str:
    """Claim a folder and return the path that the run gets."""
    cfg = OmegaConf.create({"output_dir": output_dir, "resume": resume, "overwrite": overwrite})
    with claim_run_folder(cfg):
        assert RunFolder(Path(cfg.output_dir)).lock.is_file() or "LOCAL_RANK" in os.environ
    return str(cfg.output_dir)


def save_checkpoint(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    keys = ("state_dict", "hyper_parameters", "ImageDataModule", "train_metrics")
    torch.save({key: {} for key in keys}, path)


@pytest.fixture
def run() -> RunFolder:
    """Return a folder with files of a finished run."""
    run = RunFolder(Path("run"))
    for path in (run.last, run.best):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(path)
    run.config.write_text(CONFIG)
    run.result.write_text("{}")
    run.metrics.write_text("step\n")
    return run


def contents() -> Iterator[tuple[str, bytes]]:
    for path in sorted(Path().rglob("*")):
        yield str(path), path.read_bytes() if path.is_file() else b""


def test_unused_folders_are_removed_with_their_new_parents() -> None:
    Path("there").mkdir()
    for folder in ("new", "there/new/newer", "there"):
        assert claim(folder) == folder
    assert [str(path) for path in Path().rglob("*")] == ["there"]


def test_folder_that_was_prepared_for_the_run_is_accepted() -> None:
    run = RunFolder(Path("run"))
    run.job_config.parent.mkdir(parents=True)
    for path in (run.job_config, run.provenance, run.train_log, run.path / ".config.yaml.17.tmp", run.lock):
        path.touch()
    (run.path / "lost+found").mkdir()
    claim()


def test_file_that_receives_the_output_of_the_run_is_accepted() -> None:
    Path("run").mkdir()
    output = os.dup(1)
    with Path("run/log.txt").open("w") as log:
        os.dup2(log.fileno(), 1)
        try:
            claim()
        finally:
            os.dup2(output, 1)
            os.close(output)


def test_folder_with_a_run_or_other_files_is_refused_and_stays_as_it_is(run: RunFolder) -> None:
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    before = list(contents())
    for folder, what in (("run", "a run"), ("other", r"other files \(notes.txt\)")):
        with pytest.raises(InputError, match=rf"^output_dir={folder}: the folder holds {what}; ") as refused:
            claim(folder)
        assert all(choice in str(refused.value) for choice in CHOICES)
    assert list(contents()) == before


@pytest.mark.parametrize("settings", [{"resume": "auto"}, {"overwrite": True}, {"resume": "run"}])
def test_folder_is_accepted_if_the_user_has_said_what_to_do(run: RunFolder, settings: Any) -> None:
    (run.path / "notes.txt").write_text("mine")
    claim(**settings)


def test_run_that_was_killed_before_its_first_checkpoint_starts_again() -> None:
    run = RunFolder(Path("run"))
    run.path.mkdir()
    run.config.write_text("")  # the machine crashed while it was written
    (run.path / "events.out.tfevents.1").touch()
    claim(resume="auto")


def test_checkpoint_of_another_run_does_not_open_the_folder(run: RunFolder) -> None:
    save_checkpoint(Path("mine.ckpt"))
    with pytest.raises(InputError, match="the folder holds a run"):
        claim(resume="mine.ckpt")


@pytest.mark.parametrize("settings", [{"resume": "auto"}, {"overwrite": True}])
@pytest.mark.parametrize(
    "name", ["config.yaml", "result.json", "metrics.csv", "checkpoints", "checkpoints/best.ckpt"]
)
def test_file_that_no_run_has_written_is_never_replaced(name: str, settings: Any) -> None:
    path = Path("run", name)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(InputError, match=rf"would replace files that no run has written \({name}\); move"):
        claim(**settings)


def test_model_that_was_not_exported_is_never_removed(run: RunFolder) -> None:
    model = run.exported("onnx")
    model.parent.mkdir()
    model.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"\(export/model.onnx\)"):
        claim(overwrite=True)
    model.write_bytes(b'{"mnist_style": true}')
    claim(overwrite=True)


def test_damaged_checkpoint_is_not_removed_but_may_be_resumed_from(run: RunFolder) -> None:
    run.last.write_bytes(run.last.read_bytes()[:100])
    with pytest.raises(InputError, match=r"\(checkpoints/last.ckpt\)"):
        claim(overwrite=True)
    claim(resume="auto")


def test_removing_a_run_keeps_other_files_and_follows_no_link(run: RunFolder) -> None:
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    save_checkpoint(elsewhere / "last.ckpt")
    save_checkpoint(run.checkpoints / "mine.ckpt")
    save_checkpoint(run.checkpoints / ".last.ckpt.17.tmp")
    (run.path / "notes.txt").touch()
    run.provenance.touch()
    run.result.unlink()
    run.result.symlink_to(Path("../elsewhere/last.ckpt"))
    remove_run(run)
    left = {str(path) for path in run.path.rglob("*")}
    assert left == {
        f"run/{name}" for name in ("checkpoints", "checkpoints/mine.ckpt", "notes.txt", "config.yaml")
    }
    (run.checkpoints / "mine.ckpt").unlink()
    run.checkpoints.rmdir()
    (elsewhere / run.projector_tensors.name).touch()
    (elsewhere / run.exported("onnx").name).touch()
    (elsewhere / ".last.ckpt.123.tmp").touch()
    for folder in (run.checkpoints, run.projector, run.exports):
        folder.symlink_to(Path("../elsewhere"))
    remove_run(run)
    assert len(list(elsewhere.iterdir())) == 4
    run.projector.unlink()
    run.exports.unlink()
    with pytest.raises(InputError, match=r"\(checkpoints\)"):
        claim(overwrite=True)


@pytest.mark.parametrize("variable", ["LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "SLURM_PROCID"])
def test_other_ranks_share_the_folder(run: RunFolder, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv(variable, "1")
    assert claim() == "run"


def test_link_to_the_newest_run_is_resolved_and_never_replaced_by_a_folder(run: RunFolder) -> None:
    Path("outputs").mkdir()
    latest = Path("outputs/latest")
    for folder in ("outputs/latest", "outputs/latest/deeper", "outputs/x/../latest"):
        with pytest.raises(InputError, match="outputs/latest is the name of the link to the newest run"):
            claim(folder)
    latest.symlink_to("../run")
    with pytest.raises(InputError, match="output_dir=run: the folder holds a run"):
        claim("outputs/latest")
    assert claim("outputs/latest", resume="auto") == "run"
    latest.unlink()
    latest.symlink_to("latest")
    with pytest.raises(InputError, match="links form a loop"):
        claim("outputs/latest/deeper")


def test_real_path_that_is_not_utf8_is_refused() -> None:
    Path("link").symlink_to(os.fsdecode(b"to\xff"))
    for name in ("link", "to\udcff"):
        with pytest.raises(InputError, match=r"^output_dir=(link|to\\xff): to\\xff is not valid UTF-8; use "):
            claim(name)


def test_default_folder_is_never_shared() -> None:
    name = Path("outputs/2026-01-31/12-00-00")
    assert claim(str(name)) == str(name)
    names: list[str] = []
    everyone, done = threading.Barrier(8), threading.Barrier(8)

    def create() -> None:
        everyone.wait()
        with new_folder(name) as folder:
            names.append(folder.name)
            done.wait()  # the folders stay until all have one

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == ["12-00-00", *(f"12-00-00-{number}" for number in range(2, 9))]


def test_auto_needs_a_folder_that_can_be_found_again() -> None:
    with pytest.raises(InputError, match="resume=auto: needs output_dir=<folder>; "):
        claim("outputs/2026-01-31/12-00-00", resume="auto")
