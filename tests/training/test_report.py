"""Reports that runs write."""

from pathlib import Path

import pytest
from conftest import TINY_RUN, composed
from reports_under_test import Page

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.training import report
from mobilenet_lab.training.output_folder import prepare_run_folder
from mobilenet_lab.training.run import train


def test_run_writes_a_report_and_logs_its_path(tiny_run: Path) -> None:
    run = RunFolder(tiny_run)
    assert f"report    {run.report.relative_to(tiny_run.parents[2])}" in (
        tiny_run.parents[2] / "stdout.txt"
    ).read_text().replace("outputs/latest", "")
    page = Page(run.report)
    result = run.read_result() or {}
    assert f"{100 * result['test/accuracy']:.2f} %" in page.text
    assert str(result["command"]) in page.text
    assert ["model.filters", "1", "4"] in page.rows
    assert [row[0] for row in page.rows if len(row) == 5 and row[0] in ("1", "2")] == ["1", "2"]
    # The confusion matrix of the 40 test images
    rows = [row[1:] for row in page.rows if len(row) == 11 and row[0].isdigit()]
    assert sum(int(cell or 0) for row in rows for cell in row) == 40


@pytest.mark.parametrize(
    ("settings", "heading"),
    [
        (("debug=lr_find", "trainer.max_steps=20"), "Learning-rate range test"),
        (("debug=overfit", "data.max_train_samples=16", "trainer.max_epochs=2"), "Curves"),
        (("trainer.limit_test_batches=0", "trainer.max_epochs=1"), "Curves"),
    ],
    ids=["lr_find", "overfit", "no test"],
)
def test_run_without_a_test_has_a_report(
    tmp_path: Path, tiny_idx: Path, settings: tuple[str, ...], heading: str
) -> None:
    options = ("logger=none", "num_threads=1", f"data.root={tiny_idx}", f"output_dir={tmp_path}/run")
    train(composed(*(s for s in TINY_RUN if not s.startswith("trainer.max_epochs")), *options, *settings))
    page = Page(RunFolder(tmp_path / "run").report)
    assert heading in page.headings
    assert "The run has no test accuracy" in page.text


def test_fault_of_a_report_is_one_line_and_loses_nothing(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates\nnot allowed")

    monkeypatch.setattr(report, "write_run_report", fail)
    options = ("logger=none", "num_threads=1", "trainer.limit_train_batches=2", "trainer.max_epochs=1")
    with caplog.at_level("WARNING", logger="mobilenet_lab"):
        result = train(composed(*TINY_RUN, *options, f"data.root={tiny_idx}", f"output_dir={tmp_path}/run"))
    run = RunFolder(tmp_path / "run")
    assert run.read_result() == result
    assert not run.report.exists()
    (line,) = [record.getMessage() for record in caplog.records if "report.html" in record.getMessage()]
    assert line.startswith(f"{run.report} could not be written: UnicodeEncodeError: ")
    assert "\n" not in line


def test_resumed_run_has_no_report_until_it_ends(tmp_path: Path, tiny_run: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.last.write_bytes((tiny_run / "checkpoints/last.ckpt").read_bytes())
    run.report.write_text("of the run so far")
    cfg = composed(f"output_dir={run}")
    prepare_run_folder(cfg, run, run.last, 14, keeps_best=True)
    assert not run.report.exists()
