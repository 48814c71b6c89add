import csv
from pathlib import Path

from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.sweeps.results_table import RESULTS, finished_jobs, write_table


def test_jobs_in_nested_folders_are_in_the_table_in_natural_order(tmp_path: Path) -> None:
    for filters in (2, 10):
        for seed in (9, 10):
            run = tmp_path / f"f{filters}/s{seed}"
            run.mkdir(parents=True)
            (run / "config.yaml").write_text(f"output_dir: x\nmodel:\n  filters: {filters}\nseed: {seed}\n")
            write_json(run / "result.json", dict.fromkeys(RESULTS, filters))
    links = tmp_path / ".latest-0"
    links.mkdir()
    for name in ("config.yaml", "result.json"):
        (links / name).symlink_to(f"../f2/s9/{name}")
    unfinished = tmp_path / "f3/s1"
    unfinished.mkdir(parents=True)
    (unfinished / "result.json").touch()
    with write_table(tmp_path, finished_jobs(tmp_path)).open() as file:
        rows = [(row["job"], row["model.filters"], row["seed"], row["macs"]) for row in csv.DictReader(file)]
    assert rows == [
        ("f2/s9", "2", "9", "2"),
        ("f2/s10", "2", "10", "2"),
        ("f10/s9", "10", "9", "10"),
        ("f10/s10", "10", "10", "10"),
    ]
