from pathlib import Path

from mobilenet_lab.runs.folder import RunFolder


def test_paths_exist_in_a_real_run(tiny_run: Path) -> None:
    run = RunFolder(tiny_run)
    files = [run.last, run.best, run.config, run.result, run.metrics, run.curves, run.confusion]
    assert all(path.is_file() for path in [*files, *run.event_files()])
    assert {path.name for path in run.checkpoint_files()} == {run.last.name, run.best.name}
    assert RunFolder.of_checkpoint(run.best) == run
    assert run.has_resumable_checkpoint()


def test_result_is_none_unless_the_file_is_complete(tiny_run: Path, tmp_path: Path) -> None:
    result = RunFolder(tiny_run).read_result()
    assert result is not None
    assert 0 <= result["test/accuracy"] <= 1
    unfinished = RunFolder(tmp_path)
    assert unfinished.read_result() is None
    unfinished.result.write_text("{")
    assert unfinished.read_result() is None
    assert not unfinished.has_resumable_checkpoint()
