"""ONNX files that may come from anyone are used within limits, or refused in one line."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from linear_onnx import constant, linear_model, weights, write
from onnx import TensorProto, helper, numpy_helper

from mobilenet_lab.inference import onnx_session
from mobilenet_lab.inference.onnx_ensemble import OnnxEnsemble
from mobilenet_lab.inference.onnx_file import read_onnx
from mobilenet_lab.inference.onnx_session import OnnxSession
from mobilenet_lab.runtime.errors import InputError

Change = Callable[[onnx.ModelProto], object]


def test_standard_model_is_read_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "x.onnx", linear_model())
    assert read_onnx(path) == path.read_bytes()
    images = np.random.default_rng(1).integers(0, 255, (5, 1, 4, 4), np.uint8)
    exponentials = np.exp(images.reshape(5, -1).astype(np.float64) @ weights())
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(OnnxSession(path)(images), expected, rtol=1e-5)


def store_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")


def claim_elsewhere(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def store_attribute_elsewhere(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def add_branch(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.append(
        helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)
    )


def add_function(model: onnx.ModelProto) -> None:
    imports = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "f", ["x"], ["y"], [], imports))


def add_sparse_weights(model: onnx.ModelProto) -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "s"), constant("i", [0]), [1 << 40]
    )
    model.graph.sparse_initializer.append(sparse)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (store_elsewhere, "weights in other files"),
        (claim_elsewhere, "weights in other files"),
        (store_attribute_elsewhere, "weights in other files"),
        (add_branch, "branches or loops"),
        (add_function, "functions of its own"),
        (add_sparse_weights, "sparse weights"),
        (lambda m: m.training_info.add(), "steps of a training"),
        (
            lambda m: m.graph.node.append(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
            "operators of com.microsoft",
        ),
        (
            lambda m: m.graph.node.append(helper.make_node("x", [], [], domain="a\x1b[2J")),
            r"operators of a\\x1b\[2J",
        ),
        (
            lambda m: [m.graph.node.append(helper.make_node("Relu", ["x"], ["y"])) for _ in range(1 << 14)],
            "more than 16,384 operators",
        ),
    ],
)
def test_what_no_trained_network_needs_is_refused(tmp_path: Path, change: Change, found: str) -> None:
    model = linear_model()
    change(model)
    path = write(tmp_path / "x.onnx", model)
    with pytest.raises(InputError, match=rf"x\.onnx: has {found}, which is not supported; export it with"):
        read_onnx(path)


def test_second_graph_is_checked_too(tmp_path: Path) -> None:
    """Protocol Buffers merge the values of a field that is repeated."""
    harmful = onnx.ModelProto()
    add_branch(harmful)
    path = tmp_path / "x.onnx"
    path.write_bytes(linear_model().SerializeToString() + harmful.SerializeToString())
    with pytest.raises(InputError, match="has branches or loops"):
        read_onnx(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"PK\3\4" + bytes(100),
        b"\x1c\0\0\0ORTM" + bytes(100),  # onnxruntime's own format
        b"\x3a\xff\xff\xff\xff\x07",  # a graph of 2 GiB
        b"\x3a" + b"\xff" * 10 + b"\1",  # a length of more than 64 bits
        b"\x3b\x3c",  # a group, which ONNX does not have
        b"\x08",  # no value
        b"\x08\x0a",  # no graph
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.onnx: not an ONNX file, or damaged; use another file"):
        read_onnx(tmp_path / "x.onnx")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    content = linear_model().SerializeToString()
    for length in range(1, len(content), 7):
        (tmp_path / "x.onnx").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"^[^\n]*x\.onnx: [^\n]*; (use another file|export it)[^\n]*$"):
            OnnxEnsemble([tmp_path / "x.onnx"])


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.onnx").open("wb") as file:
        file.truncate(1 << 31)  # sparse
    with pytest.raises(InputError, match="has 2,147,483,648 bytes; an ONNX file has at most 2,147,483,647"):
        read_onnx(tmp_path / "x.onnx")


HUGE = constant("huge", [200_000, 100_000])  # 80 GB
ZERO = constant("zero", 0, np.float32)
EXPAND = [
    helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
    helper.make_node("Expand", ["mean", "huge"], ["all"]),
    helper.make_node("ReduceMax", ["all"], ["extra"], keepdims=0),
]
AT_LOADING = [
    helper.make_node("ConstantOfShape", ["huge"], ["all"]),
    helper.make_node("ReduceMax", ["all"], ["extra"], keepdims=0),
]
OUTER_PRODUCT = [
    helper.make_node("Add", ["column", "zero"], ["sum"]),
    helper.make_node("MatMul", ["sum", "row"], ["all"]),
    helper.make_node("ReduceMax", ["all"], ["extra"], keepdims=0),
]
VECTORS = [
    constant("column", np.zeros((200_000, 1)), np.float32),
    constant("row", np.zeros((1, 100_000)), np.float32),
]


@pytest.mark.parametrize(
    ("nodes", "constants"), [(EXPAND, [HUGE]), (AT_LOADING, [HUGE]), (OUTER_PRODUCT, [ZERO, *VECTORS])]
)
def test_small_file_that_takes_all_memory_is_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]
) -> None:
    path = write(tmp_path / "x.onnx", linear_model(before=nodes, constants=constants, add="extra"))
    with pytest.raises(InputError, match=r"takes more than 6 GiB of memory; use another file$"):
        OnnxSession(path)(np.zeros((2, 1, 4, 4), np.uint8))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (linear_model(names=("x", "probabilities")), "must have the input `images` and the output"),
        (linear_model(names=("images", "y")), "must have the input `images` and the output"),
        (linear_model(types=(TensorProto.FLOAT,) * 2), "`images` must be of type uint8"),
        (linear_model(shape=[1, 1, 4, 4]), "`images` must be of type uint8 and shape .* with a variable N"),
        (linear_model(shape=["batch", 1, "height", 4]), "`images` must be of type uint8 and shape"),
        (
            linear_model(last="ArgMax", types=(TensorProto.UINT8, TensorProto.INT64)),
            "`probabilities` must be of type float32 and shape",
        ),
        (linear_model(last="NoSuchOperator"), "onnxruntime cannot open it: .*NoSuchOperator.*; use another"),
    ],
)
def test_unexpected_inputs_and_outputs_are_refused(
    tmp_path: Path, model: onnx.ModelProto, message: str
) -> None:
    path = write(tmp_path / "x.onnx", model)
    with pytest.raises(InputError, match=message) as refused:
        OnnxSession(path)
    assert "\n" not in str(refused.value)


def test_texts_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    content = linear_model(metadata={"classes": "abcabcabc"}).SerializeToString()
    (tmp_path / "x.onnx").write_bytes(content.replace(b"abcabcabc", b"abc\xff\xfeabcd"))
    with pytest.raises(InputError, match=r"x\.onnx: .*UTF-8.*; use another file"):
        OnnxSession(tmp_path / "x.onnx")


def test_batch_that_needs_too_much_memory_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image takes 1 MB, and a batch of 32 four times the limit."""
    nodes = [
        helper.make_node("Reshape", ["pixels", "as_image"], ["column"]),
        helper.make_node("Expand", ["column", "wide"], ["all"]),
        helper.make_node("ReduceMean", ["all", "axes"], ["extra"], keepdims=1),
        helper.make_node("Flatten", ["extra"], ["flat"]),
    ]
    constants = [
        constant("as_image", [-1, 16, 1]),
        constant("wide", [1, 16, 1 << 14]),
        constant("axes", [1, 2]),
    ]
    path = write(tmp_path / "x.onnx", linear_model(before=nodes, constants=constants, add="flat"))
    images = np.random.default_rng(1).integers(0, 255, (32, 1, 4, 4), np.uint8)
    session = OnnxSession(path)
    expected = session(images)
    monkeypatch.setattr(onnx_session, "MAX_MEMORY", 8 << 20)
    onnx_session._limit_memory.cache_clear()
    try:
        sizes, limited = [], OnnxSession(path)
        run = limited._session.run
        monkeypatch.setattr(
            limited._session, "run", lambda names, feed: sizes.append(len(feed["images"])) or run(names, feed)
        )
        np.testing.assert_allclose(limited(images), expected, rtol=1e-6)
        assert sizes[0] == 32
        assert 1 < sizes[-1] < 32
    finally:
        monkeypatch.undo()
        onnx_session._limit_memory.cache_clear()
        onnx_session._limit_memory()


def test_missing_onnxruntime_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.onnx", linear_model())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"^ckpt=x\.onnx: needs onnxruntime; install it with pip install"):
        OnnxSession(path)
