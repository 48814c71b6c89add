"""Run ONNX files with onnxruntime, quietly and in limited memory."""

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mobilenet_lab.inference.model_metadata import INPUT, OUTPUT
from mobilenet_lab.inference.onnx_file import read_onnx
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import available_cores
from mobilenet_lab.runtime.text import printable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Weights have at most 2 GiB, and checkpoints may take 4 GiB for the activations of one image.
MAX_MEMORY = 6 << 30  # bytes, of all networks of the process together
MAX_REASON = 200  # characters
OUT_OF_MEMORY = "is smaller than requested bytes"  # in the error of an allocator with a limit
FATAL = 4  # severity of messages that onnxruntime prints; its errors are also exceptions
SAME_AS_REQUESTED = 1  # how memory grows; by default, onnxruntime takes the next power of two


class OnnxSession:
    """One network in an ONNX file.

    Args:
        path: The file. It may be untrusted; see `onnx_file`.

    Attributes:
        path: The file.
        image_shape: Shape of one image: channels, height, width.
        num_classes: Number of probabilities per image.
        metadata: The file's metadata, by key.

    Raises:
        InputError: onnxruntime is not installed, or the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = _open(path)
        try:
            self.image_shape, self.num_classes = self._shapes()
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: its metadata is not UTF-8; use another file") from error

    def _shapes(self) -> tuple[tuple[int, int, int], int]:
        """Return the shape of an image and the number of classes."""
        inputs, outputs = (
            {one.name: (one.type, one.shape) for one in some}
            for some in (self._session.get_inputs(), self._session.get_outputs())
        )
        if inputs.keys() != {INPUT} or OUTPUT not in outputs:
            raise InputError(
                f"{self.path}: must have the input `{INPUT}` and the output `{OUTPUT}`; "
                "export it with export.py"
            )
        (input_type, image_shape), (output_type, output_shape) = inputs[INPUT], outputs[OUTPUT]
        if input_type != "tensor(uint8)" or not _is_batch(image_shape, 4):
            raise InputError(
                f"{self.path}: `{INPUT}` must be of type uint8 and shape (N, channels, height, width) with a "
                "variable N; export it with export.py"
            )
        if output_type != "tensor(float)" or not _is_batch(output_shape, 2):
            raise InputError(
                f"{self.path}: `{OUTPUT}` must be of type float32 and shape (N, classes) with a variable N; "
                "export it with export.py"
            )
        return tuple(image_shape[1:]), output_shape[1]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Classify a batch.

        Args:
            images: uint8, shape (N, *image_shape).

        Returns:
            Probabilities, float32, shape (N, num_classes).

        Raises:
            InputError: The network fails, for example because one image takes more than `MAX_MEMORY`.
        """
        try:
            (probabilities,) = self._session.run([OUTPUT], {INPUT: images})
        except _errors() as error:
            if len(images) > 1:  # less memory for fewer images
                half = len(images) // 2
                return np.concatenate([self(images[:half]), self(images[half:])])
            raise InputError(
                f"{self.path}: cannot classify an image: {_reason(error)}; use another file"
            ) from error
        if probabilities.shape != (len(images), self.num_classes):
            raise InputError(
                f"{self.path}: answers {len(images)} images with shape {probabilities.shape}; use another one"
            )
        return probabilities


def _is_batch(shape: list[object], ndim: int) -> bool:
    """Return whether the first of several sizes is variable, and the others are positive numbers."""
    first, *others = shape or [0]
    return len(shape) == ndim and not isinstance(first, int) and all(type(n) is int and n > 0 for n in others)


def _open(path: Path) -> "InferenceSession":
    """Open a session on the CPU that uses only the contents of one file.

    Raises:
        InputError: onnxruntime is not installed, or the file cannot be used.
    """
    content = read_onnx(path)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            f"ckpt={path.name}: needs onnxruntime; install it with pip install onnxruntime"
        ) from error

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = _num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own format, unchecked
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # which is to the same provider
        )
    except _errors() as error:
        raise InputError(f"{path}: onnxruntime cannot open it: {_reason(error)}; use another file") from error


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a file that it cannot run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented)
    return (*own, state.RuntimeException, RuntimeError, ValueError)


@functools.cache
def _limit_memory() -> None:
    """Limit the memory of all sessions that use the allocator of the process."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
    onnxruntime.disable_telemetry_events()
    onnxruntime.create_and_register_allocator(
        onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
        ),
        onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY, "arena_extend_strategy": SAME_AS_REQUESTED}),
    )


def _num_threads() -> int:
    """Return OMP_NUM_THREADS, which PyTorch follows too, or else the number of available cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else available_cores()


def _reason(error: Exception) -> str:
    """Return what is wrong, in a line without onnxruntime's codes."""
    if isinstance(error, UnicodeDecodeError):
        return "a text is not UTF-8"
    if OUT_OF_MEMORY in str(error):
        return f"it takes more than {MAX_MEMORY >> 30} GiB of memory"
    return printable(str(error).partition("\n")[0].split(" : ", maxsplit=3)[-1][:MAX_REASON])
