"""The formats of export.py that can be compared with the checkpoint."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from mobilenet_lab.export.deployable import Deployable
    from mobilenet_lab.export.runtimes import Run


@dataclass(frozen=True)
class Format:
    """How networks are written and run in one format.

    Attributes:
        write: Returns the file of networks. A file that was quantized comes from `onnx_format.to_onnx_int8`.
        open: Opens a file with a number of threads.
    """

    write: "Callable[[Deployable], bytes]"
    open: "Callable[[Path, int], Run]"


# What a format needs besides this package's dependencies, and the extra of pyproject.toml that has it
PACKAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "export"),
    "onnx_int8": (("onnx", "onnxruntime", "onnxscript"), "export"),
    "html": (("onnx", "onnxruntime", "onnxscript"), "export"),
    "torch_export": ((), ""),
    "executorch": (("executorch",), "executorch"),
}


def check_packages(name: str) -> None:
    """Refuse a format whose packages are not installed, without importing them.

    Raises:
        InputError: A package is missing.
    """
    packages, extra = PACKAGES[name]
    if any(importlib.util.find_spec(package) is None for package in packages):
        *first, last = packages
        needed = f"packages {', '.join(first)} and {last}" if first else f"package {last}"
        raise InputError(f'format={name}: needs the {needed}; pip install -e ".[{extra}]"')


def find_format(name: str) -> Format:
    """Return a format by its name in the configuration; "onnx_int8" is run like "onnx"."""
    from mobilenet_lab.export.executorch_format import export_executorch
    from mobilenet_lab.export.onnx_format import export_onnx
    from mobilenet_lab.export.page_format import export_page, open_page
    from mobilenet_lab.export.runtimes import open_executorch, open_onnx, open_torch
    from mobilenet_lab.export.torch_format import export_torch

    onnx = Format(export_onnx, open_onnx)
    return {
        "onnx": onnx,
        "onnx_int8": onnx,
        "html": Format(export_page, open_page),
        "torch_export": Format(export_torch, open_torch),
        "executorch": Format(export_executorch, open_executorch),
    }[name]
