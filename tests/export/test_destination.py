import os
from pathlib import Path

import pytest

from mobilenet_lab.checkpoints.imagenet import imagenet_path
from mobilenet_lab.export.destination import find_output
from mobilenet_lab.runs.exported import is_export
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.folder_contents import files_in_the_way, remove_run


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def output(name: str, *checkpoints: str, output: str | None = None, overwrite: bool = False) -> str:
    return str(find_output(output, name, [Path.cwd() / path for path in checkpoints], overwrite))


def test_default_is_in_the_run_or_next_to_a_single_file() -> None:
    assert output("onnx", "outputs/a/checkpoints/best.ckpt") == "outputs/a/export/model.onnx"
    assert output("onnx_int8", "outputs/a/checkpoints/best.ckpt") == "outputs/a/export/model_int8.onnx"
    assert output("executorch", "models/digits.ckpt") == "models/digits.pte"
    assert output("onnx_int8", "digits.ckpt") == "digits_int8.onnx"


def test_default_of_the_imagenet_weights_is_in_the_working_directory() -> None:
    assert output("onnx", str(imagenet_path())) == "imagenet.onnx"
    assert output("onnx_int8", str(imagenet_path())) == "imagenet_int8.onnx"


def test_several_checkpoints_need_an_output() -> None:
    with pytest.raises(InputError, match="output=null: there are 2 checkpoints; use output=<file>"):
        output("onnx", "a.ckpt", "b.ckpt")
    assert output("onnx", "a.ckpt", "b.ckpt", output="both.onnx") == "both.onnx"


@pytest.mark.parametrize(
    ("name", "given", "advice"),
    [
        ("onnx", "x.html", "format=html"),
        ("onnx", "x.pt2", "format=torch_export"),
        ("torch_export", "x", r"x\.pt2"),
        ("executorch", "x.onnx", "format=onnx"),
    ],
)
def test_suffix_is_that_of_the_format(name: str, given: str, advice: str) -> None:
    message = rf"^output={given}: is not a \.\w+ file, as for format={name}; use {advice}$"
    with pytest.raises(InputError, match=message):
        output(name, "a.ckpt", output=given)


def test_other_files_are_not_replaced() -> None:
    Path("x.onnx").write_bytes(b"somebody's model")
    with pytest.raises(
        InputError, match=r"output=x\.onnx: export\.py has not written this file; use overwrite"
    ):
        output("onnx", "a.ckpt", output="x.onnx")
    assert output("onnx", "a.ckpt", output="x.onnx", overwrite=True) == "x.onnx"
    Path("folder.onnx").mkdir()
    with pytest.raises(InputError, match=r"output=folder\.onnx: is a folder"):
        output("onnx", "a.ckpt", output="folder.onnx", overwrite=True)
    os.mkfifo("pipe.onnx")
    with pytest.raises(InputError, match=r"output=pipe\.onnx: is a pipe or a device"):
        output("onnx", "a.ckpt", output="pipe.onnx")


def test_exported_file_is_replaced(onnx_file: Path) -> None:
    assert is_export(onnx_file)
    assert find_output(str(onnx_file), "onnx", [Path("a.ckpt")], overwrite=False) == onnx_file


def test_new_run_in_the_folder_removes_exports_of_the_old_one() -> None:
    run = RunFolder(Path("run"))
    run.exports.mkdir(parents=True)
    run.config.write_text("output_dir: run\nobjective: x\ntask: mobilenet_lab.tasks.Task\n")
    for path in [*run.exported_files(), run.exports / ".model.onnx.7.tmp", run.exports / "notes.txt"]:
        path.write_text('{"mnist_style": true}')
    assert files_in_the_way(run, resumes=False) == []
    remove_run(run)
    assert [path.name for path in run.exports.iterdir()] == ["notes.txt"]


def test_exports_behind_a_link_stay() -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/model.onnx").write_text("x")
    run = RunFolder(Path("run"))
    run.path.mkdir()
    run.exports.symlink_to(Path("elsewhere").absolute())
    remove_run(run)
    assert Path("elsewhere/model.onnx").is_file()
