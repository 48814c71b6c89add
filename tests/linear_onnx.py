"""ONNX files of a linear classifier, built node by node, with as many faults as a test asks for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, NUM_CLASSES = 4, 3
METADATA: dict[str, Any] = {
    "classes": ["cat", "dog", "eel"],
    "preprocessing": {"image_size": SIDE, "channels": 1, "mean": 0.5, "std": 0.5, "resize": "auto"},
    "data": {"name": "pets", "native_size": SIDE, "mnist_style": False, "fit": "stretch"},
    "precision": "float32",
}


class Raw(str):
    """Metadata that is written as it is, without quotation marks."""


def weights(channels: int = 1) -> np.ndarray:
    """Return the weights of the classifier, shape (pixels, classes)."""
    return np.random.default_rng(0).normal(0, 0.01, (channels * SIDE**2, NUM_CLASSES)).astype(np.float32)


def constant(name: str, values: Any, dtype: Any = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def linear_model(
    channels: int = 1,
    before: Sequence[onnx.NodeProto] = (),
    constants: Sequence[onnx.TensorProto] = (),
    add: str | None = None,
    last: str = "Softmax",
    metadata: Mapping[str, Any] = METADATA,
    names: tuple[str, str] = ("images", "probabilities"),
    types: tuple[int, int] = (TensorProto.UINT8, TensorProto.FLOAT),
    shape: Sequence[int | str] | None = None,
    num_declared: int | str = NUM_CLASSES,
) -> onnx.ModelProto:
    """Return a classifier whose logits are linear functions of the pixels.

    Args:
        channels: Channels of the images.
        before: More nodes, which may use `pixels`, the pixels as float32, shape (N, C * H * W).
        constants: More constants, for these nodes.
        add: Name of a result of these nodes that is added to the logits.
        last: The operator from logits to answers.
        metadata: What to write as JSON.
        names: Names of input and output.
        types: Types of input and output.
        shape: Declared shape of the input.
        num_declared: Declared number of classes.
    """
    logits = "sums" if add else "logits"
    nodes = [
        helper.make_node("Cast", [names[0]], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["pixels"]),
        *before,
        helper.make_node("MatMul", ["pixels", "weights"], ["logits"]),
        *([helper.make_node("Add", ["logits", add], ["sums"])] if add else []),
        helper.make_node(last, [logits], [names[1]]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info(names[0], types[0], shape or ["batch", channels, SIDE, SIDE])],
        [helper.make_tensor_value_info(names[1], types[1], ["batch", num_declared])],
        [numpy_helper.from_array(weights(channels), "weights"), *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, Raw) else json.dumps(value))
    return model


def write(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
