import math
from pathlib import Path

import pytest
from conftest import composed
from reports_under_test import DIGITS, EPOCHS, HOSTILE, RESULT, Page, predicted_quality, write_example

from mobilenet_lab.callbacks.lr_finder import LRFinderResult

ALL = [
    "Run",
    "Curves",
    "Confusion matrix",
    "Worst mistakes",
    "Classes",
    "Calibration",
    "Configuration",
    "Time and speed",
    "Environment",
    "Commands",
]
WITHOUT_QUALITY = ["Run", "Curves", "Configuration", "Time and speed", "Environment", "Commands"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Return the report of a run with everything."""
    return Page(write_example(tmp_path_factory.mktemp("report")))


def test_page_shows_what_the_run_did(tmp_path: Path) -> None:
    quality = predicted_quality(DIGITS)
    path = write_example(tmp_path, "model.filters=2", "optimizer=adamw", quality=quality)
    page = Page(path)
    assert page.headings == ALL
    for text in (
        "92.00 %",
        "91.00 %",
        "90.00 %",
        "697 k",
        "6.27 M",
        "2 min 10 s",
        "python train.py model.filters=4",
    ):
        assert text in page.text
    wrong = int(quality.confusion.sum() - quality.confusion.trace())
    assert f"{wrong} of 400 wrong" in page.text
    assert f"{quality.calibration.error:.4f} on 400 test images" in " ".join(page.text.split())
    assert ["model.filters", "2", "4"] in page.rows
    assert ["optimizer._target_", "torch.optim.AdamW", "torch.optim.SGD"] in page.rows
    assert ["optimizer.momentum", "\u2013", "0.9"] in page.rows
    # The confusion matrix, and the sum of a row of it as the number of images of the class
    assert ["3", *(str(n or "") for n in quality.confusion[3])] in page.rows
    (row,) = [row for row in page.rows if row[0] == "3" and row[1].endswith("%")]
    assert row[2] == str(quality.confusion[3].sum())
    assert path.stat().st_size < 200_000


def test_contents_links_lead_to_sections_with_unique_ids(page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [href for href in page.attributes("href") if href.startswith("#")]
    assert len(targets) > len(ALL)  # markers in the charts, too
    assert {target[1:] for target in targets} <= set(ids)
    references = set(page.attributes("clip-path"))
    assert references
    assert {text.removeprefix("url(#").removesuffix(")") for text in references} <= set(ids)


def test_page_is_accessible(page: Page) -> None:
    assert [tag for tag, _ in page.elements].count("h1") == 1
    for tag, attributes in page.elements:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "html":
            assert attributes["lang"] == "en"


def test_hostile_names_and_paths_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<script>alert(6)<" / "script> \udcff"
    cfg = composed("data.root='<b onclick=alert(7)>'", "output_dir=x")
    result = RESULT | {"command": HOSTILE[1], "stop_reason": HOSTILE[3]}
    quality = predicted_quality(HOSTILE)
    page = Page(write_example(folder, cfg=cfg, quality=quality, result=result))
    assert [tag for tag, _ in page.elements].count("script") == 1
    allowed = {"svg", "path", "g", "use", "defs", "clippath", "rect", "text", "tspan"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src"):
            assert tag in allowed or (attributes.get(name) or "#").startswith(("#", "data:"))
    for name in HOSTILE[:-2]:
        assert name in page.text
    assert "<b onclick=alert(7)>" in page.text
    assert "\\udcff" in page.text
    policy = next(content for content in page.attributes("content") if "default-src" in content)
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


@pytest.mark.parametrize(
    ("changes", "headings", "text"),
    [
        ({"quality": None, "result": RESULT | {"test/accuracy": None}}, WITHOUT_QUALITY, "no test accuracy"),
        ({"quality": None, "epochs": []}, [h for h in WITHOUT_QUALITY if h != "Curves"], "92.00 %"),
        ({"split": "validation", "result": RESULT | {"test/accuracy": None}}, ALL, "400 validation images"),
        ({"result": RESULT | {"stop_reason": "plateau", "checkpoint": None}}, ALL, "stopped early: plateau"),
    ],
    ids=["no test", "no epoch", "validation only", "early stop without a checkpoint"],
)
def test_page_leaves_out_what_the_run_lacks(
    tmp_path: Path, changes: dict[str, object], headings: list[str], text: str
) -> None:
    page = Page(write_example(tmp_path, **changes))
    assert page.headings == headings
    assert text in " ".join(page.text.split())
    assert ("predict.py" in page.text) == (changes.get("result", RESULT)["checkpoint"] is not None)  # type: ignore[index]


def test_run_without_finite_values_has_a_page(tmp_path: Path) -> None:
    result = RESULT | dict.fromkeys(("train/accuracy", "val/accuracy", "test/accuracy"))
    epochs = [row | {"train/loss": math.nan, "val/loss": math.inf} for row in EPOCHS]
    page = Page(write_example(tmp_path, quality=None, result=result, epochs=epochs))
    assert page.headings == WITHOUT_QUALITY
    assert ["1", "nan", "inf", "0.6000", "0.6000"] in page.rows
    assert "training from NaN to NaN" in "".join(page.attributes("aria-label"))


def test_run_without_validation_has_curves_of_training_only(tmp_path: Path) -> None:
    epochs = [{key: value for key, value in row.items() if not key.startswith("val/")} for row in EPOCHS]
    page = Page(write_example(tmp_path, epochs=epochs))
    assert ["epoch", "train/loss", "train/accuracy"] in page.rows
    assert not [label for label in page.attributes("aria-label") if "validation" in label]


def test_long_run_lists_its_last_epochs(tmp_path: Path) -> None:
    epochs = [EPOCHS[0] | {"epoch": n} for n in range(1, 1001)]
    path = write_example(tmp_path, epochs=epochs)
    page = Page(path)
    assert "the last 200 epochs" in page.text
    rows = [row[0] for row in page.rows if row[1:] == ["1.0000", "2.0000", "0.6000", "0.6000"]]
    assert rows == [str(n) for n in range(801, 1001)]
    assert path.stat().st_size < 300_000


def test_range_test_is_a_section(tmp_path: Path) -> None:
    finder = LRFinderResult([0.1, 1.0, 10.0], [2.3, 1.0, 3.0], 0.5, True)
    page = Page(write_example(tmp_path, quality=None, range_test=finder))
    assert "Learning-rate range test" in page.headings
    assert "optimizer.lr=0.5" in page.text


def test_thousand_classes_are_cut_to_a_usable_page(tmp_path: Path) -> None:
    classes = [f"class {n}" for n in range(1000)]
    quality = predicted_quality(classes, 4000)
    path = write_example(tmp_path, quality=quality)
    page = Page(path)
    assert "The 100 classes with the lowest accuracy, of 1,000." in page.text
    table = [
        row for row in page.rows if len(row) == 4 and row[0].startswith("class ") and row[1].endswith("%")
    ]
    assert len(table) == 100
    accuracies = [float(row[1].removesuffix(" %")) for row in table]
    assert accuracies == sorted(accuracies)
    pairs = [row for row in page.rows if len(row) == 4 and row[1].startswith("class ")]
    assert len(pairs) == 20
    assert "Confusion matrix of 1000 classes" in "".join(page.attributes("alt"))
    assert path.stat().st_size < 500_000


def test_limited_run_says_so_and_names_its_data(tmp_path: Path) -> None:
    limits = ("trainer.limit_train_batches=10", "trainer.limit_test_batches=1")
    data = ("data.root=photos of mine", "data=image_folder")
    text = write_example(tmp_path, *limits, *data, data_name="image_folder").read_text()
    shown = "trainer.limit_train_batches=10, trainer.limit_test_batches=1."
    assert f"used only some of the images: {shown}" in text
    assert "data=image_folder &#39;data.root=photos of mine&#39;" in text
    whole = write_example(tmp_path / "whole").read_text()
    assert "only some of the images" not in whole
    assert "data.root" not in whole.split("Evaluate", 1)[1].split("</div>")[0]
