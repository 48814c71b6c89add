"""Run exported files in the runtimes that they are for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mobilenet_lab.export.quiet import quiet_exporters
from mobilenet_lab.inference.model_metadata import INPUT, OUTPUT
from mobilenet_lab.runtime.standard_error import discard_stderr

# Maps images, uint8, shape (N, C, H, W), to probabilities, float32, shape (N, num_classes)
Run = Callable[[np.ndarray], np.ndarray]


def open_onnx(file: Path | bytes, num_threads: int) -> Run:
    """Open an ONNX file, or its contents, with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # Threads that wait in a loop would take the cores from PyTorch, which runs in turns with the session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = file if isinstance(file, bytes) else str(file)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def open_torch(path: Path, num_threads: int) -> Run:
    """Open a `.pt2` file with PyTorch. The number of threads is that of the process."""
    with quiet_exporters():
        module = torch.export.load(str(path)).module()

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(images)).numpy()

    return run


def open_executorch(path: Path, num_threads: int) -> Run:
    """Open a `.pte` file with ExecuTorch, which sets the number of threads for the whole process."""
    with quiet_exporters(), discard_stderr():
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
        from executorch.runtime import Runtime

        _unsafe_reset_threadpool(num_threads)
        method = Runtime.get().load_program(path).load_method("forward")

    def run(images: np.ndarray) -> np.ndarray:
        answers = [method.execute([image[None]])[0].numpy().copy() for image in torch.from_numpy(images)]
        return np.concatenate(answers)

    return run
