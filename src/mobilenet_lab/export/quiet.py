"""Keep messages of exporters that concern neither the user nor the exported file out of the output."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Loggers that warn about what the export does not use: torchvision's operators, symbolic shapes, and
# preprocessing of the graph, which the exporter has done already
CHATTY = ("torch.onnx", "torch.export", "torch.fx", "torch.utils._pytree", "onnxscript", "onnx_ir", "root")


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Hide warnings of PyTorch's exporters and of ONNX Runtime's quantizer; errors are raised as ever."""
    loggers = [logging.getLogger(None if name == "root" else name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # PyTorch's use of its own deprecated functions
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
