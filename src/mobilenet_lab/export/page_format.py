"""The format "html": a page that contains the ONNX file."""

from pathlib import Path
from typing import TYPE_CHECKING

from mobilenet_lab.export.onnx_format import export_onnx
from mobilenet_lab.export.page import build_page, model_of_page
from mobilenet_lab.export.runtimes import open_onnx
from mobilenet_lab.export.web_runtime import web_runtime

if TYPE_CHECKING:
    from mobilenet_lab.export.deployable import Deployable
    from mobilenet_lab.export.runtimes import Run


def export_page(model: "Deployable") -> bytes:
    """Return the page of networks; see `page.build_page`.

    Raises:
        InputError: ONNX Runtime Web cannot be downloaded.
    """
    runtime = web_runtime()  # first, because the export takes longer
    return build_page(export_onnx(model), model.metadata, model.input_shape[0], runtime).encode()


def open_page(path: Path, num_threads: int) -> "Run":
    """Open the ONNX file in a page with ONNX Runtime."""
    return open_onnx(model_of_page(path.read_text(encoding="utf-8")), num_threads)
