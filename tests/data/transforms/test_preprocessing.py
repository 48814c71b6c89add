import pytest
import torch
from PIL import Image

from mobilenet_lab.data.images import resize_to_square
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.runtime.errors import InputError


def test_normalization_follows_the_formula() -> None:
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    prepared = Preprocessing(28, 1, 0.1307, 0.3081)(images)
    torch.testing.assert_close(prepared, (images / 255 - 0.1307) / 0.3081)
    assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_small_size_differences_are_padded_with_black() -> None:
    images = torch.full((1, 1, 28, 28), 255, dtype=torch.uint8)
    prepared = Preprocessing(32, 1, 0.5, 0.5)(images)
    assert prepared.shape == (1, 1, 32, 32)
    assert torch.equal(prepared[0, 0, 2:30, 2:30], torch.ones(28, 28))
    assert prepared.sum() == 28 * 28 - (32 * 32 - 28 * 28)  # black is -1 here


@pytest.mark.parametrize("size", [14, 56, 113])
def test_large_size_differences_are_scaled(size: int) -> None:
    images = torch.full((2, 1, 28, 28), 51, dtype=torch.uint8)
    prepared = Preprocessing(size, 1, 0.0, 1.0)(images)
    torch.testing.assert_close(prepared, torch.full((2, 1, size, size), 0.2))


@pytest.mark.parametrize("shape", [(20, 40), (33, 20), (27, 28)])
@pytest.mark.parametrize("size", [16, 28, 40, 64])
def test_non_square_images_are_padded_as_in_prediction(shape: tuple[int, int], size: int) -> None:
    pixels = torch.randint(256, shape, dtype=torch.uint8)
    square = resize_to_square(Image.fromarray(pixels.numpy()), max(shape), 1, "pad")
    prepare = Preprocessing(size, 1, 0.5, 0.5)
    assert torch.equal(prepare(pixels[None, None]), prepare(torch.from_numpy(square)[None]))


def test_doubling_interpolates_between_pixels() -> None:
    row = torch.tensor([0, 100], dtype=torch.uint8).expand(1, 1, 2, 2)
    prepared = Preprocessing(4, 1, 0.0, 1 / 255, resize="scale")(row)
    torch.testing.assert_close(prepared[0, 0, 0], torch.tensor([0.0, 25.0, 75.0, 100.0]))


def test_gray_converts_to_color_and_back() -> None:
    gray = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    color = Preprocessing(8, 3, 0.5, 0.5)(gray)
    assert color.shape == (2, 3, 8, 8)
    assert torch.equal(color[:, 0], color[:, 2])
    back = Preprocessing(8, 1, 0.5, 0.5)(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(back, color[:, :1], atol=1e-5, rtol=0)


def test_mean_and_std_may_differ_per_channel() -> None:
    images = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    prepared = Preprocessing(4, 3, [0.0, 0.5, 1.0], [1.0, 0.5, 2.0])(images)
    assert prepared[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_arguments_rebuild_the_same_preprocessing() -> None:
    preprocessing = Preprocessing(32, 3, [0.1, 0.2, 0.3], 0.5, "pad")
    again = Preprocessing(**preprocessing.arguments())  # type: ignore[arg-type]
    images = torch.randint(0, 256, (1, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(preprocessing(images), again(images))


def test_preprocessing_adds_nothing_to_a_state_dict() -> None:
    assert not Preprocessing(32, 3, [0.1, 0.2, 0.3], [0.5, 0.5, 0.5]).state_dict()


@pytest.mark.parametrize(
    "arguments", [{"resize": "grow"}, {"channels": 2}, {"channels": True}, {"channels": 1.0}]
)
def test_bad_argument_error_names_it(arguments: dict[str, object]) -> None:
    known = {"image_size": 28, "channels": 1, "mean": 0.5, "std": 0.5}
    with pytest.raises(InputError, match=next(iter(arguments))):
        Preprocessing(**(known | arguments))  # type: ignore[arg-type]


def test_images_too_large_to_pad_are_refused() -> None:
    with pytest.raises(InputError, match="image_size=20"):
        Preprocessing(20, 1, 0.5, 0.5, "pad")(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
