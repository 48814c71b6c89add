"""`imagenet`: where the weights come from, and that they answer as torchvision's evaluation does."""

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from file_server import NO_SERVER, FileHandler, serving
from PIL import Image
from torchvision_reference import evaluation_input, functional_forward, random_weights

from mobilenet_lab import Predictor
from mobilenet_lab.checkpoints import imagenet_download
from mobilenet_lab.checkpoints.imagenet import imagenet_checkpoint, imagenet_classes, imagenet_path
from mobilenet_lab.checkpoints.imagenet_download import FILE
from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.locate import find_checkpoint, find_checkpoints
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a file of small random weights in the place of the published one."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.save(random_weights(2), folder / FILE, _use_new_zipfile_serialization=False)
    sha256 = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    monkeypatch.setattr(imagenet_download, "SHA256", {FILE: sha256})
    monkeypatch.setattr(imagenet_download, "MIRRORS", [NO_SERVER])
    monkeypatch.setattr(imagenet_download, "WHEEL", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no torch"))
    return folder


@pytest.fixture
def mirror(published: Path) -> Iterator[str]:
    with serving(published) as url:
        yield url


def weights_in(checkpoint: Path) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix("network."): value
        for key, value in load_checkpoint(checkpoint)["state_dict"].items()
    }


def assert_same(checkpoint: Path) -> None:
    found, expected = weights_in(checkpoint), random_weights(2)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_checkpoint_is_made_from_a_download(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet_download, "MIRRORS", [NO_SERVER, mirror])
    path = imagenet_checkpoint("ckpt", tmp_path / "cache")
    assert_same(path)
    assert FileHandler.requests == [f"/{FILE}"]
    monkeypatch.setattr(imagenet_download, "MIRRORS", [NO_SERVER])
    assert imagenet_checkpoint("ckpt", tmp_path / "cache") == path


def test_files_of_the_cache_and_of_torch_hub_are_used(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "torch/hub/checkpoints"
    hub.mkdir(parents=True)
    (hub / FILE).write_bytes((published / FILE).read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert_same(imagenet_checkpoint("ckpt", tmp_path / "first"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no torch"))
    (tmp_path / "second/weights").mkdir(parents=True)
    (tmp_path / "second/weights" / FILE).write_bytes((published / FILE).read_bytes())
    assert_same(imagenet_checkpoint("ckpt", tmp_path / "second"))


def test_failed_download_lists_the_attempts_and_leaves_nothing(tmp_path: Path, published: Path) -> None:
    with pytest.raises(InputError, match=f"^model.weights=imagenet: could not fetch {FILE}") as error:
        imagenet_checkpoint("model.weights", tmp_path / "cache")
    assert NO_SERVER in str(error.value)
    assert str(tmp_path / "no torch/hub/checkpoints") in str(error.value)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache/weights").iterdir()) == []


def test_cache_that_is_a_file_is_reported(tmp_path: Path, published: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match=r"cannot be written, .*; set XDG_CACHE_HOME to another folder"):
        imagenet_checkpoint("ckpt", tmp_path / "cache")


def make(cache: Path, sha256: dict[str, str], mirror: str) -> None:
    imagenet_download.SHA256, imagenet_download.MIRRORS, imagenet_download.WHEEL = sha256, [mirror], None  # type: ignore[assignment]
    imagenet_checkpoint("ckpt", cache)


@pytest.mark.run
def test_one_of_several_processes_downloads(tmp_path: Path, mirror: str) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "cache", imagenet_download.SHA256, mirror)
    processes = [context.Process(target=make, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert FileHandler.requests == [f"/{FILE}"]
    assert_same(imagenet_path(tmp_path / "cache"))


def test_word_and_path_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "imagenet/checkpoints/best.ckpt"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_checkpoint("./imagenet") == own
    assert find_checkpoints(Path("imagenet")) == [own]
    with pytest.raises(InputError, match="resume=imagenet: is no training run"):
        find_checkpoint("imagenet", "resume", prefer="last")


def test_classes_are_those_of_ilsvrc_2012() -> None:
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    known = {
        0: "tench",
        1: "goldfish",
        207: "golden retriever",
        281: "tabby",
        285: "Egyptian cat",
        388: "giant panda",
        504: "coffee mug",
        812: "space shuttle",
        954: "banana",
        967: "espresso",
        999: "toilet tissue",
    }
    assert {label: classes[label] for label in known} == known


def test_logits_are_those_of_torchvisions_evaluation(imagenet_weights: Path, photographs: list[Path]) -> None:
    weights = torch.load(imagenet_weights, weights_only=True)
    paths = find_checkpoints("imagenet")
    evaluation, prediction = (Ensemble(paths, torch.device("cpu"), fuse_bn) for fuse_bn in (False, True))
    predictor = Predictor(prediction)
    answers = []
    for photograph in photographs:
        expected = functional_forward(weights, evaluation_input(Image.open(photograph)))
        images = torch.from_numpy(predictor.prepare(Image.open(photograph)).pixels)[None]
        for ensemble in (evaluation, prediction):
            assert (ensemble(images) - expected).abs().max() < 1e-4
        answers.append(predictor(photograph)[0].class_name)
    assert answers[:2] == ["Egyptian cat", "espresso"]
