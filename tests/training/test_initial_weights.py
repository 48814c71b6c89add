"""`model.weights` in a training run."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import Script, composed
from torchvision_reference import random_weights

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.latest import latest_symlink
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.initial_weights import follows_latest, keep_initial_weights

RUN = (
    "data=idx",
    "data.batch_size=16",
    "model.filters=2",
    "trainer.accelerator=cpu",
    "trainer.limit_train_batches=1",
    "trainer.max_epochs=1",
    "optimizer.lr=1e-9",  # the weights stay as they were loaded
    "optimizer.weight_decay=0",
    "scheduler=none",
)


def test_run_starts_from_weights_and_resumes_without_them(
    script: Script, tiny_idx: Path, tmp_path: Path
) -> None:
    weights = random_weights(width=2, num_classes=5)
    torch.save(weights, tmp_path / "a=b.pth")
    common = (*RUN, f"data.root={tiny_idx}", "model.weights=a=b.pth")
    done = script("train.py", *common, "output_dir=run", "resume=auto")
    assert done.returncode == 0, done.stderr
    assert (
        "weights  a=b.pth: 312 tensors loaded; the stem's three input channels were summed to one"
        in done.stdout
    )
    run = RunFolder(tmp_path / "run")
    checkpoint = load_checkpoint(run.last)
    assert "weights" not in checkpoint["hyper_parameters"]["model"]
    assert type(checkpoint["hyper_parameters"]["model"]["filters"]) is int
    assert yaml.safe_load(run.config.read_text())["model"]["weights"] == "a=b.pth"
    name = "features.5.conv.0.0.weight"
    torch.testing.assert_close(checkpoint["state_dict"][f"network.{name}"], weights[name], rtol=0, atol=1e-5)

    (tmp_path / "a=b.pth").unlink()
    done = script("train.py", *common, "output_dir=run", "resume=auto")
    assert "is already finished" in done.stdout
    done = script("train.py", *common, "output_dir=run", "resume=auto", "trainer.max_epochs=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights " not in done.stdout
    assert load_checkpoint(run.last)["global_step"] == 2
    assert yaml.safe_load(run.config.read_text())["model"]["weights"] == "a=b.pth"

    done = script(
        "train.py", *RUN, f"data.root={tiny_idx}", "model.weights=outputs/latest", "output_dir=next"
    )
    assert done.returncode == 0, done.stderr
    assert "best.ckpt: 314 tensors loaded\n" in done.stdout
    assert yaml.safe_load(RunFolder(tmp_path / "next").config.read_text())["model"]["weights"] == str(
        run.best
    )


def test_link_to_the_newest_run_is_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.best.touch()
    with latest_symlink(run):
        for weights in ("latest", "outputs/latest", "outputs/latest/checkpoints/best.ckpt"):
            assert follows_latest(weights), weights
        for weights in (None, "imagenet", "run", str(run.best), "outputs", "none.pth"):
            assert not follows_latest(weights), weights


@pytest.mark.parametrize("given", ["null", "latest", "other.pth"])
def test_resumed_run_warns_of_other_weights(
    tiny_run: Path, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    cfg = composed(f"model.weights={given}", f"resume={tiny_run}")
    keep_initial_weights(cfg, RunFolder(tiny_run))
    warnings = ["model.weights=other.pth is ignored: the resumed run started from null"]
    assert caplog.messages == (warnings if given == "other.pth" else [])
    assert cfg.model.weights is None


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model.weights=imagenet"], r"but this is model.filters=4; use model.filters=8$"),
        (["model.weights=imagenet", "model.filters=8", "model.round_to=16"], "use model.round_to=8"),
        (["model.filters=2.8"], "model.filters=2.8: makes fractions of channels; use model.round_to=8 or"),
        (["model.filters=0.5", "model.round_to=8"], r"model.filters=0.5: must be a number from 1 to 1,024"),
        (["model.weights=[a,b]"], r"model.weights=.*: must be a path or null"),
    ],
)
def test_settings_that_do_not_fit_are_refused(overrides: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        composed(*overrides)


def test_missing_file_is_refused_unless_the_run_resumes(tmp_path: Path, tiny_run: Path) -> None:
    for resume in ("null", "auto"):
        with pytest.raises(FileNotFoundError, match=r"model.weights=none.pth: does not exist; use imagenet"):
            composed("model.weights=none.pth", f"output_dir={tmp_path}", f"resume={resume}")
    for resume in (str(tiny_run), "latest"):
        composed("model.weights=none.pth", f"resume={resume}")
    composed("model.weights=none.pth", "resume=auto", f"output_dir={tiny_run}")


@pytest.mark.parametrize("overrides", [["model.filters=2.8", "model.round_to=8"], ["model.weights=imagenet"]])
def test_fractions_and_imagenet_weights_pass_the_check(overrides: list[str]) -> None:
    width = [] if "filters" in overrides[0] else ["model=mobilenetv2_100"]
    assert composed(*width, *overrides).model.filters in (2.8, 8)
