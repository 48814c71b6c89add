"""Run the commands of docs/finetune.md on a small folder of photographs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run_script
from PIL import Image

pytestmark = pytest.mark.run

SKIMAGE = pytest.importorskip("skimage", reason="its wheel holds the photographs")
PHOTOS = {"cat": "chelsea.png", "coffee": "coffee.png", "person": "astronaut.png", "rocket": "rocket.jpg"}
PER_CLASS = 20
# Narrow, small and short. Without weights: those of ImageNet have a test of their own.
SHORT = (
    "model.weights=null",
    "model.filters=1",
    "data.image_size=32",
    "data.batch_size=16",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "callbacks.dashboard=null",
)


def commands() -> list[list[str]]:
    text = (ROOT / "docs/finetune.md").read_text()
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).splitlines()
    return [line.split()[1:] for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with random crops of four photographs in photos/<class>, as JPEG files."""
    cwd, random = tmp_path_factory.mktemp("finetune"), np.random.default_rng(0)
    for name, file in PHOTOS.items():
        photo = Image.open(Path(SKIMAGE.__file__).parent / "data" / file).convert("RGB")
        (cwd / "photos" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            width, height = random.integers(120, 200, 2)
            left, top = random.integers(0, photo.width - width), random.integers(0, photo.height - height)
            crop = photo.crop((left, top, left + width, top + height))
            crop.save(cwd / "photos" / name / f"{number}.jpg")
    return cwd


def test_commands_of_the_page_work(folder: Path) -> None:
    """In their order, since some use the newest run."""
    run = commands()
    assert {script for script, *_ in run} == {"train.py", "predict.py", "evaluate.py", "export.py"}
    for script, *arguments in run:
        short = SHORT if script == "train.py" else ()
        if "task.freeze_epochs=2" in arguments:
            short = (*SHORT, "trainer.max_epochs=3")
        if "debug=lr_find" in arguments:  # has no dashboard
            short = (*SHORT[:-1], "trainer.max_steps=8", "trainer.limit_train_batches=1.0")
        done = run_script(script, *arguments, *short, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), (script, arguments, done.stderr)
        if "photos/cat" in str(arguments):
            answers = json.loads(done.stdout)
            assert len(answers) == PER_CLASS
            assert {answer["class"] for answer in answers} <= PHOTOS.keys()
    assert (folder / "outputs/latest/export/model.onnx").is_file()
    assert (folder / "outputs/latest/report.html").is_file()
    assert len(list((folder / "answers").rglob("*.*"))) == len(PHOTOS) * PER_CLASS
