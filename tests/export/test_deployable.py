from pathlib import Path

import pytest
import torch
from conftest import digit_images

from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.export.deployable import Deployable, ExportablePreprocessing
from mobilenet_lab.inference.ensemble import Ensemble

# image_size, channels and resize of a network; side and channels of the images
FORMATS = [
    (20, 1, "auto", 28, 1),
    (24, 3, "scale", 28, 1),
    (96, 3, "auto", 128, 3),
    (33, 1, "scale", 28, 1),
    (56, 3, "auto", 28, 3),
    (32, 1, "pad", 28, 3),
    (27, 3, "crop", 40, 3),
    (28, 3, "auto", 28, 1),
]


@pytest.mark.parametrize(("size", "channels", "resize", "side", "given"), FORMATS)
def test_preprocessing_for_export_equals_that_of_training(
    size: int, channels: int, resize: str, side: int, given: int
) -> None:
    training = Preprocessing(size, channels, [0.1, 0.2, 0.3][:channels], 0.3, resize)
    images = torch.randint(0, 256, (3, given, side, side), dtype=torch.uint8)
    export = ExportablePreprocessing(training, side)
    torch.testing.assert_close(export(images), training(images), atol=2e-6, rtol=0)


@pytest.mark.parametrize(("size", "channels", "resize", "side", "given"), FORMATS[:7:2])
def test_preprocessing_is_the_same_in_onnx_runtime(
    size: int, channels: int, resize: str, side: int, given: int
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from mobilenet_lab.export.quiet import quiet_exporters

    training = Preprocessing(size, channels, 0.1, 0.3, resize)
    images = torch.randint(0, 256, (3, given, side, side), dtype=torch.uint8)
    with quiet_exporters():
        program = torch.onnx.export(
            ExportablePreprocessing(training, side).eval(), (images,), dynamo=True, verbose=False
        )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), training(images), atol=2e-6, rtol=0)


def test_answers_are_mean_probabilities_of_all_checkpoints(tiny_run: Path) -> None:
    paths = [tiny_run / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
    checkpoint = torch.load(paths[1], weights_only=True)
    checkpoint["state_dict"]["network.classifier.1.bias"][3] += 2
    other = tiny_run.parent / "other.ckpt"
    torch.save(checkpoint, other)
    images = torch.from_numpy(digit_images(8, seed=3)[0])[:, None]
    model = Deployable([paths[0], other])
    expected = Ensemble([paths[0], other], torch.device("cpu"))(images).softmax(dim=1)
    torch.testing.assert_close(model(images), expected, atol=1e-6, rtol=0)
    assert not torch.allclose(Deployable(paths[:1])(images), expected, atol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


def test_gray_network_takes_color_with_three_channels(tiny_run: Path) -> None:
    model = Deployable([tiny_run / "checkpoints/best.ckpt"], channels=3)
    assert model.input_shape == (3, 28, 28)
    gray = torch.from_numpy(digit_images(4, seed=3)[0])[:, None]
    torch.testing.assert_close(model(gray.expand(-1, 3, -1, -1)), model(gray), atol=1e-5, rtol=0)
