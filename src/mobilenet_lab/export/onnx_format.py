"""ONNX files, in single precision."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mobilenet_lab.export.deployable import Deployable
from mobilenet_lab.inference.model_metadata import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

OPSET = 20


def to_onnx(paths: Sequence[Path], channels: int | None = None) -> bytes:
    """Return an ONNX file with the mean probabilities of trained networks.

    Args:
        paths: Checkpoint files.
        channels: Channels of the images, 1 or 3; None for as many as the networks take.

    Returns:
        The file. Its input is `images`, uint8, shape (N, channels, native_size, native_size) for any N, its
        output `probabilities`, float32, shape (N, num_classes). `ModelMetadata.from_texts` reads its metadata.

    Raises:
        InputError: A checkpoint cannot be used, or the networks do not go together.
    """
    return export_onnx(Deployable(paths, channels)).SerializeToString()


def export_onnx(model: Deployable) -> "onnx.ModelProto":
    """Return the ONNX model of a network, with metadata and without paths of source files."""
    program = torch.onnx.export(
        model,
        (model.example(2),),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces
        node.doc_string = ""
    for key, text in model.metadata.as_texts().items():
        proto.metadata_props.add(key=key, value=text)
    return proto
