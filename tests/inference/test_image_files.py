import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from mobilenet_lab.inference.image_files import list_images


def test_paths_that_are_no_files_are_called_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("link").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        given = ["/dev/zero", "pipe", "socket", "link", "loop", "folder", "nothing", "a\n*"]
        names, failures = list_images(given)
    assert names == []
    assert failures == [
        "image=/dev/zero: is a device, not a file; pipe its contents into image=-",
        "image=pipe: is a pipe, not a file; pipe its contents into image=-",
        "image=socket: is a socket, not a file; pipe its contents into image=-",
        "image=link: links to nowhere, which does not exist",
        "image=loop: Too many levels of symbolic links",
        "image=folder: contains no images",
        "image=nothing: no such file",
        "image=a\\n*: no such file",
    ]


def test_folder_lists_phone_images_and_counts_the_files_it_leaves_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.heic", "b.AVIF", "c.hif", "notes.txt", "more.txt", "d.psd"):
        (tmp_path / name).touch()
    Image.new("L", (3, 3)).save(tmp_path / "e.png")
    names, failures = list_images([str(tmp_path)])
    assert [Path(name).name for name in names] == ["a.heic", "b.AVIF", "c.hif", "e.png"]
    assert failures == []
    assert caplog.messages == ["files without the extension of an image are left out: 2 .txt, 1 .psd"]
