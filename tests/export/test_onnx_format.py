import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NUM_TINY_TEST, ROOT, digit_images

from mobilenet_lab.export.onnx_format import to_onnx_int8
from mobilenet_lab.export.runtimes import open_onnx
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.inference.model_metadata import ModelMetadata

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def images(count: int) -> np.ndarray:
    return digit_images(count, seed=5)[0][:, None]


def answers_of_checkpoint(run: Path, images: np.ndarray) -> np.ndarray:
    ensemble = Ensemble([run / "checkpoints/best.ckpt"], torch.device("cpu"))
    return ensemble(torch.from_numpy(images)).softmax(dim=1).numpy()


@pytest.mark.parametrize("count", [1, 3, 40])
def test_any_batch_has_the_answers_of_the_checkpoint(onnx_file: Path, tiny_run: Path, count: int) -> None:
    found = open_onnx(onnx_file, 1)(images(count))
    np.testing.assert_allclose(found, answers_of_checkpoint(tiny_run, images(count)), atol=1e-5, rtol=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_report_has_the_accuracy_of_the_run(onnx_file: Path, tiny_run: Path) -> None:
    report = json.loads((onnx_file.parent / "report.json").read_text())
    accuracy = json.loads((tiny_run / "result.json").read_text())["test/accuracy"]
    checkpoint, export = report["models"]
    assert (checkpoint["name"], export["name"]) == ("checkpoint", "onnx")
    assert checkpoint["accuracy"] == export["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert export["size"] == onnx_file.stat().st_size
    assert 0 < export["largest_difference"] <= 1e-5
    assert export["latency_ms"] > 0
    assert (report["data"], report["images"]) == ("idx, test", NUM_TINY_TEST)


def test_file_describes_itself_and_no_machine(onnx_file: Path, tiny_run: Path) -> None:
    hparams = torch.load(tiny_run / "checkpoints/best.ckpt", weights_only=True)["hyper_parameters"]
    session = onnxruntime.InferenceSession(str(onnx_file))
    texts = session.get_modelmeta().custom_metadata_map
    metadata = ModelMetadata.from_texts(texts, "model.onnx")
    assert metadata.classes == hparams["classes"]
    assert metadata.preprocessing == hparams["preprocessing"]
    assert metadata.data == {"name": "idx", "native_size": 28, "mnist_style": True, "fit": "pad"}
    assert metadata.precision == "float32"
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 1, 28, 28])
    assert (output.name, output.type, output.shape) == ("probabilities", "tensor(float)", ["batch", 10])
    content = onnx_file.read_bytes()
    assert str(ROOT).encode() not in content
    assert b"site-packages" not in content


@pytest.fixture(scope="module")
def int8_file(onnx_file: Path) -> Path:
    path = onnx_file.with_name("int8.onnx")
    path.write_bytes(to_onnx_int8(onnx_file.read_bytes(), [images(40)]))
    return path


def test_int8_quantizes_the_network_and_nothing_else(onnx_file: Path, int8_file: Path) -> None:
    exact, quantized = (onnx.load(path) for path in (onnx_file, int8_file))
    int8 = {
        tensor.name for tensor in quantized.graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    }
    convolutions = [node for node in exact.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len([name for name in int8 if name.endswith("weight_quantized")]) == len(convolutions) == 53
    prepared = [node for node in quantized.graph.node if node.name.startswith("preprocessing")]
    assert {node.op_type for node in prepared} == {"Cast", "Div", "Sub"} | {node.op_type for node in prepared}
    assert not any("Quantize" in node.op_type for node in prepared)
    texts = {entry.key: json.loads(entry.value) for entry in quantized.metadata_props}
    assert texts.pop("precision") == "int8"
    assert texts.keys() == {"classes", "preprocessing", "data"}


def test_int8_answers_are_close(int8_file: Path, tiny_run: Path) -> None:
    found, expected = open_onnx(int8_file, 1)(images(40)), answers_of_checkpoint(tiny_run, images(40))
    assert 1e-5 < np.abs(found - expected).max() < 0.2
    assert np.abs(found - expected).mean() < 0.01
