import csv
from pathlib import Path

from mobilenet_lab.runs.csv_logger import CSVLogger


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_written_on_save_and_at_the_end(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"loss": 0.5}, step=0)
    assert not (tmp_path / "metrics.csv").exists()
    logger.save()
    assert rows(tmp_path / "metrics.csv") == [{"loss": "0.5", "step": "0"}]
    logger.log_metrics({"loss": 0.25}, step=1)
    logger.finalize("success")
    assert [row["loss"] for row in rows(tmp_path / "metrics.csv")] == ["0.5", "0.25"]


def test_new_columns_keep_the_earlier_rows(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"train/loss": 0.5}, step=0)
    logger.save()
    logger.log_metrics({"val/loss": 0.25, "accuracy": 1.0}, step=1)
    logger.save()
    assert (tmp_path / "metrics.csv").read_bytes() == (
        b"accuracy,step,train/loss,val/loss\r\n,0,0.5,\r\n1.0,1,,0.25\r\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_resumed_run_keeps_the_rows_of_the_run_so_far(tmp_path: Path) -> None:
    for step in range(2):
        logger = CSVLogger(str(tmp_path))
        logger.log_metrics({"loss": float(step)}, step=step)
        logger.save()
    assert [row["step"] for row in rows(tmp_path / "metrics.csv")] == ["0", "1"]


def test_long_runs_write_every_100_steps(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path))
    for step in range(0, 250, 5):
        logger.log_metrics({"loss": 1.0}, step=step + 4)
    assert len(rows(tmp_path / "metrics.csv")) == 40
