"""Images whose classes are in a CSV file."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Script, digit_images
from PIL import Image

from mobilenet_lab.data.datasets.csv_source import CsvSource
from mobilenet_lab.data.datasets.image_folder import FolderSource, image_folder
from mobilenet_lab.data.splits import split_dataset
from mobilenet_lab.runtime.errors import InputError

CLASSES = ["1", "2", "10"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with images/<i>.png, whose gray level is i."""
    (tmp_path / "images").mkdir()
    for i in range(12):
        Image.new("L", (10, 10), i).save(tmp_path / f"images/{i}.png")
    return tmp_path


def lines(start: int = 0, stop: int = 12, end: str = "") -> list[str]:
    return [f"images/{i}.png,{CLASSES[i % 3]}{end}" for i in range(start, stop)]


def write(path: Path, *text: str) -> Path:
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def opened(root: Path) -> CsvSource:
    source = image_folder(str(root), size=8, channels=1)
    assert isinstance(source, CsvSource)
    return source


@pytest.mark.parametrize("given", ["labels.csv", "."])
def test_paths_are_relative_to_the_file_and_classes_in_natural_order(root: Path, given: str) -> None:
    write(root / "labels.csv", "path,label", *lines())
    source = opened(root / given)
    assert source.classes == CLASSES
    dataset = source.open("train")
    images, labels = dataset.read(np.array([4, 11, 0]))
    assert images[:, 0, 0, 0].tolist() == [4, 11, 0]
    assert labels.tolist() == [1, 2, 0]
    assert dataset.labels.dtype == np.uint8
    assert not any(map(source.has_split, ("val", "test")))
    with pytest.raises(
        FileNotFoundError, match=r"labels\.csv: has no separate val images; set data\.val_split"
    ):
        source.open("val")


def test_splits_are_those_of_a_folder_with_the_same_images(root: Path) -> None:
    write(
        root / "labels.csv",
        "path,label",
        *sorted(lines(), key=lambda line: CLASSES.index(line.split(",")[1])),
    )
    for i in range(12):
        (root / "folders" / CLASSES[i % 3]).mkdir(parents=True, exist_ok=True)
        (root / "folders" / CLASSES[i % 3] / f"{i:02d}.png").hardlink_to(root / f"images/{i}.png")
    chosen = []
    for folder in (root / "labels.csv", root / "folders"):
        subsets = split_dataset(image_folder(str(folder), size=8, channels=1), 0.25, 0.25, split_seed=3)
        every = {
            name: some.dataset.read(some.index_range(np.arange(len(some)))) for name, some in subsets.items()
        }
        chosen.append({name: (x[:, 0, 0, 0].tolist(), y.tolist()) for name, (x, y) in every.items()})
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    "header", ["path,label", "File,Class", "id;filename;label", "label\timage", '"image","class_name"']
)
def test_columns_are_found_by_name(root: Path, header: str) -> None:
    delimiter = max(",;\t", key=header.count)
    names = [name.strip(' "').lower() for name in header.split(delimiter)]
    value = {"id": "7", "label": "{1}", "class": "{1}", "class_name": "{1}"}
    row = delimiter.join(value.get(name, " {0} ") for name in names)
    text = [row.format(*line.split(",")) for line in lines()]
    (root / "labels.csv").write_text("\r\n".join([header, *text, "", ""]), encoding="utf-8-sig")
    source = opened(root)
    assert source.classes == CLASSES
    assert list(source.open("train").files) == [f"images/{i}.png" for i in range(12)]


def test_lines_may_end_with_carriage_returns(root: Path) -> None:
    (root / "labels.csv").write_text("\r".join(["path,label", *lines()]), newline="")
    assert len(opened(root).open("train")) == 12


def test_column_assigns_images_to_splits(root: Path) -> None:
    rows = [*lines(0, 6, ",train"), *lines(6, 9, ",Validation"), *lines(9, 12, ",test")]
    write(root / "labels.csv", "path,label,split", *rows[::-1])
    source = opened(root)
    assert {split: len(source.open(split)) for split in ("train", "val", "test")} == {
        "train": 6,
        "val": 3,
        "test": 3,
    }
    assert source.open("test").read(np.arange(3))[0][:, 0, 0, 0].tolist() == [11, 10, 9]


def test_file_per_split(root: Path) -> None:
    write(root / "train.csv", "path,label,split", *lines(0, 6, ",whatever"))
    write(root / "valid.csv", "path,label", *lines(6, 12))
    source = opened(root)
    assert source.has_split("val")
    assert not source.has_split("test")
    subsets = split_dataset(source, 0.1, 0.25)
    assert {name: len(some) for name, some in subsets.items()} == {"train": 4, "val": 6, "test": 2}


def test_csv_file_without_these_columns_leaves_a_folder_as_it_is(root: Path) -> None:
    (root / "masks").mkdir()
    Image.new("L", (9, 9)).save(root / "masks/x.png")
    write(root / "labels.csv", "name,score", "x,1")
    source = image_folder(str(root), size=8, channels=1)
    assert isinstance(source, FolderSource)
    assert source.classes == ["images", "masks"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["name,kind", "a,b"], r"line 1: has no column path or file .* among name, kind; name the columns"),
        (["path,kind", "a,b"], r"line 1: has no column label or class"),
        (["path,label"], r"has no images; add a line for each"),
        (["path,label", *lines(0, 2), "images/5.png,"], r"line 4: label is empty; fill it in or remove"),
        (["label,path", "1", "2,images/1.png"], r"line 2: path is empty"),
        (
            ["path,label", *lines(), "images/99.png,1"],
            r"line 14: no such file .*images/99\.png; correct the path",
        ),
        (["path,label", *lines(), "images,1"], r"line 14: no such file .*images;"),
        (
            ["path,label", *lines(), "images/3.png,2"],
            r"line 14: images/3\.png is in line 5 of labels\.csv, too",
        ),
        (
            ["path,label", *lines(), "./images//3.png,2"],
            r"line 14: \./images//3\.png is in line 5 of labels\.csv, too",
        ),
        (["path,label", *lines(), f"images/x.png,{'7' * 5000}"], r"has 5,000 characters, more than 255"),
        ([f"path,label,{'x' * (1 << 18)}", *lines()], r"line 1: has no column path"),
        (["path,label", "images/1.png,a", "images/2.png,a"], r"needs at least two classes; it has a"),
        (
            ["path,label,split", *lines(0, 6, ",train"), *lines(6, 7, ",dusk")],
            r"line 8: split 'dusk'; must be",
        ),
        (["path,label,split", *lines(0, 6, ",test")], r"no line has split train"),
        (
            ["path,label,split", *lines(0, 2, ",train"), *lines(2, 3, ",val")],
            r"line 4: 10 not among the train",
        ),
        (["path,label", 'images/1.png,"a'], r"line 2: unexpected end of data; fix the line"),
        (["path,label", "images/\0.png,a"], r"is not text"),
    ],
)
def test_error_names_the_line_and_what_to_do(root: Path, text: list[str], message: str) -> None:
    file = write(root / "labels.csv", *text)
    with pytest.raises(InputError, match=message) as error:
        split_dataset(opened(file), 0.1, 0.1)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_file_that_cannot_be_read_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: No such file or directory; give data\.root"):
        opened(root / "gone.csv").open("train")
    (root / "labels.csv").write_bytes("path,label\nimages/1.png,f\xfcr\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels\.csv: is not UTF-8; save it"):
        opened(root).open("train")


def test_missing_and_corrupt_images_are_skipped(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(root / "labels.csv", "path,label", *lines(), "images/gone.png,1")
    (root / "images/4.png").write_bytes(b"nothing")
    dataset = opened(root).open("train", skip_corrupt=True)
    assert list(dataset.files) == [f"images/{i}.png" for i in range(12) if i != 4]
    assert "2 of 13 files" in caplog.text
    assert dataset.read(np.arange(11))[0][:, 0, 0, 0].tolist() == [i for i in range(12) if i != 4]
    for i in range(0, 12, 3):
        (root / f"images/{i}.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"labels\.csv: 1: no image can be decoded"):
        opened(root).open("train", skip_corrupt=True)


def test_scripts_read_a_csv_file(script: Script, tmp_path: Path) -> None:
    images, labels = digit_images(60, 0)
    rows = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'even' if label % 2 == 0 else 'odd'},{'test' if i < 20 else 'train'}")
    write(tmp_path / "digits.csv", "path,label,split", *rows)
    data = ("data=image_folder", "data.root=digits.csv")
    run = ("model.filters=1", "trainer.accelerator=cpu", "trainer.max_epochs=1", "data.val_split=0.2")
    size = ("data.image_size=16", "data.batch_size=8")
    trained = script("train.py", *data, *run, *size, "output_dir=run")
    assert (trained.returncode, trained.stderr) == (0, "")
    assert "32 training, 8 validation, 20 test images" in trained.stdout
    measured = script("evaluate.py", "ckpt=run", *data, "format=json")
    assert (measured.returncode, measured.stderr) == (0, "")
    accuracy = json.loads((tmp_path / "run/result.json").read_text())["test/accuracy"]
    assert json.loads(measured.stdout)["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    answered = script("predict.py", "ckpt=run", "image=0.png", "format=json")
    assert json.loads(answered.stdout)[0]["class"] in ("even", "odd")
