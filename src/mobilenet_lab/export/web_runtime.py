"""ONNX Runtime Web: the files of the npm package onnxruntime-web that a page needs."""

from dataclasses import dataclass
from pathlib import Path

from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.npm import NpmPackage
from mobilenet_lab.runtime.user_cache import user_cache_folder

VERSION = "1.30.0"
SCRIPT, LOADER, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    LOADER: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MIRRORS = [
    f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/",
    f"https://unpkg.com/onnxruntime-web@{VERSION}/dist/",
]
LICENSE = """\
MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@dataclass(frozen=True)
class WebRuntime:
    """The files of ONNX Runtime Web.

    Attributes:
        script: Defines the global object `ort`.
        loader: JavaScript module that starts the WebAssembly code.
        wasm: WebAssembly code.
    """

    script: str
    loader: bytes
    wasm: bytes


def web_runtime(cache: Path | None = None) -> WebRuntime:
    """Return the files, which are downloaded once and checked against their hashes.

    Args:
        cache: Folder of the files; by default one in the user's cache folder.

    Raises:
        InputError: The files cannot be downloaded or stored.
    """
    folder = user_cache_folder() / f"onnxruntime-web-{VERSION}" if cache is None else cache
    try:
        fetch(
            folder, SHA256, MIRRORS, npm_package=NpmPackage("onnxruntime-web", VERSION, "dist"), packed=False
        )
    except OSError as error:
        raise InputError(
            f"format=html: {folder} cannot be written, {error.strerror}; set XDG_CACHE_HOME to another folder"
        ) from error
    script = (folder / SCRIPT).read_text(encoding="utf-8")
    return WebRuntime(script, (folder / LOADER).read_bytes(), (folder / WASM).read_bytes())
