"""ONNX files: in single precision, and quantized to int8."""

import ast
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mobilenet_lab.export.deployable import NETWORKS, Deployable
from mobilenet_lab.export.quiet import quiet_exporters
from mobilenet_lab.inference.model_metadata import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

OPSET = 20
SCOPES = "pkg.torch.onnx.name_scopes"  # of a node: a list of the modules that contain it


def to_onnx(paths: Sequence[Path], channels: int | None = None) -> bytes:
    """Return an ONNX file with the mean probabilities of trained networks.

    Args:
        paths: Checkpoint files.
        channels: Channels of the images, 1 or 3; None for as many as the networks take.

    Returns:
        The file. Its input is `images`, uint8, shape (N, channels, native_size, native_size) for any N. Its
        output is `probabilities`, float32, shape (N, num_classes). `ModelMetadata` describes its metadata.

    Raises:
        InputError: A checkpoint cannot be used, or the networks do not go together.
    """
    return export_onnx(Deployable(paths, channels))


def export_onnx(model: Deployable) -> bytes:
    """Return the ONNX file of networks; see `to_onnx`."""
    with quiet_exporters():
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
    proto = program.model_proto
    _clean(proto)
    proto.producer_name = "mobilenet_lab"
    for key, text in model.metadata.as_texts().items():
        proto.metadata_props.add(key=key, value=text)
    return proto.SerializeToString()


def _clean(proto: "onnx.ModelProto") -> None:
    """Name nodes after their modules, and remove the exporter's notes, which have paths of source files."""
    graph = proto.graph
    for node in graph.node:
        scopes = next((one.value for one in node.metadata_props if one.key == SCOPES), "[]")
        node.name = "/".join([*ast.literal_eval(scopes)[-2:-1], node.name])
        node.doc_string = ""
    noted = (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for entry in noted:
        del entry.metadata_props[:]


def to_onnx_int8(model: bytes, images: Iterable[np.ndarray]) -> bytes:
    """Quantize an ONNX file statically, in the QDQ format.

    Weights get a scale per channel, and 7 bits: CPUs without VNNI add two products of 8 bits in 16 bits,
    where they may overflow. Activations get the range that they have on the calibration images (MinMax).
    They are uint8, for which ONNX Runtime has faster kernels than for int8. Preprocessing and softmax
    stay in single precision.

    Args:
        model: What `to_onnx` returned.
        images: Batches of calibration images, uint8, shape (N, channels, native_size, native_size). They
            should come from the training split.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    proto = onnx.load_from_string(model)
    with quiet_exporters(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            proto,
            str(path),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=[node.name for node in proto.graph.node if node.name.startswith(NETWORKS)],
        )
        quantized = onnx.load(str(path))
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    onnx.helper.set_model_props(quantized, texts | {"precision": json.dumps("int8")})
    return quantized.SerializeToString()
