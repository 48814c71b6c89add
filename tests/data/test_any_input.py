"""Any bytes, sizes and positions give the right answer, or an error that the docstrings document."""

import functools
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenet_lab.data import sampler as sampler_module
from mobilenet_lab.data.datasets.idx import open_idx, open_pair
from mobilenet_lab.data.images import FITS, load_image, resize_to_square
from mobilenet_lab.data.permutation import Permutation
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.data.transforms.mnist_style import prepare_digit
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def cases(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a property test with this many examples, the same in every run."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        deadline=None, derandomize=True, database=None, max_examples=number, suppress_health_check=checks
    )


# IDX files


def parse_idx(content: bytes, num_dimensions: int) -> np.ndarray | None:
    """Parse a file by the description of the format; return None if it is invalid."""
    if content[:4] != bytes([0, 0, 8, num_dimensions]) or len(content) < 4 + 4 * num_dimensions:
        return None
    shape = struct.unpack_from(f">{num_dimensions}I", content, 4)
    count = 1
    for size in shape:
        count *= size
    values = content[4 + 4 * num_dimensions :]
    return np.frombuffer(values, np.uint8).reshape(shape) if count == len(values) > 0 else None


sizes = st.one_of(st.integers(0, 5), st.sampled_from([255, 65_536, 2**31, 2**32 - 1]))
magics = st.one_of(
    st.sampled_from([b"\0\0\x08\x01", b"\0\0\x08\x03"]),
    st.binary(min_size=4, max_size=4),
    st.just(b"\x1f\x8b"),
)


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """Generate mostly intact files, some with a wrong header, some too short or too long."""
    shape = draw(st.lists(sizes, min_size=1, max_size=4))
    header = draw(magics) + struct.pack(f">{len(shape)}I", *shape)
    count = int(np.prod(shape, dtype=object))
    length = count if count < 1000 and draw(st.booleans()) else draw(st.integers(0, 200))
    content = header + bytes(i * 7 % 256 for i in range(length))
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content


@cases(1500)
@given(content=st.one_of(idx_files(), st.binary(max_size=40)), num_dimensions=st.sampled_from([1, 3]))
def test_any_idx_file_is_read_or_refused(scratch: Path, content: bytes, num_dimensions: int) -> None:
    path = scratch / "any-idx"
    path.write_bytes(content)
    expected = parse_idx(content, num_dimensions)
    if expected is None:
        with pytest.raises(InputError) as error:
            open_idx(path, num_dimensions)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    else:
        assert np.array_equal(open_idx(path, num_dimensions), expected)


@cases(300)
@given(
    labels=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    num_images=st.integers(1, 6),
    num_classes=st.one_of(st.none(), st.integers(1, 12)),
)
def test_any_pair_of_files_belongs_together_or_is_refused(
    scratch: Path, labels: list[int], num_images: int, num_classes: int | None
) -> None:
    paths = scratch / "images", scratch / "labels"
    paths[0].write_bytes(struct.pack(">I3I", 0x0803, num_images, 2, 1) + bytes(2 * num_images))
    paths[1].write_bytes(struct.pack(">II", 0x0801, len(labels)) + bytes(labels))
    if len(labels) == num_images and (num_classes is None or max(labels) < num_classes):
        assert open_pair(*paths, num_classes).read(np.arange(len(labels)))[1].tolist() == labels
    else:
        with pytest.raises(InputError, match="labels"):
            open_pair(*paths, num_classes)


# Order


@cases(500)
@given(
    size=st.one_of(st.integers(1, 5000), st.integers(1, 40)),
    key=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2),
    positions=st.lists(st.integers(0, 4999), max_size=20),
)
def test_any_permutation_holds_every_element_once(size: int, key: list[int], positions: list[int]) -> None:
    permutation = Permutation(size, tuple(key))
    whole = permutation(np.arange(size))
    assert np.array_equal(np.sort(whole), np.arange(size))
    some = np.array([position % size for position in positions], np.int64)
    assert np.array_equal(permutation(some), whole[some])


@cases(600)
@given(
    num_images=st.one_of(st.integers(1, 40), st.integers(1, 300)),
    start=st.integers(0, 50),
    batch_size=st.one_of(st.integers(1, 5), st.integers(1, 70)),
    world_size=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 1000),
    position=st.integers(0, 500),
    chunk=st.sampled_from([10, 100, sampler_module.CHUNK]),
)
def test_any_number_of_ranks_trains_on_every_image_once_from_any_position(
    num_images: int,
    start: int,
    batch_size: int,
    world_size: int,
    seed: int,
    epoch: int,
    position: int,
    chunk: int,
) -> None:
    total = start + num_images
    permutation = Permutation(total, (seed,))
    split = IndexRange(start, num_images, permutation)
    usual, sampler_module.CHUNK = sampler_module.CHUNK, chunk
    try:
        whole, rest = [], []
        for rank in range(world_size):
            sampler = BatchSampler(split, batch_size, seed, True, rank, world_size)
            sampler.set_epoch(epoch)
            whole.append(list(sampler))
            assert len(whole[-1]) == len(sampler)
            sampler.start_at(epoch, position % len(sampler))
            rest.append(list(sampler))
    finally:
        sampler_module.CHUNK = usual
    assert len({len(batches) for batches in whole}) == 1
    read = np.concatenate([request.indices for batches in whole for request in batches])
    assert np.array_equal(np.sort(read), np.sort(permutation(np.arange(start, total))))
    first = position % len(whole[0])
    for batches, later in zip(whole, rest, strict=True):
        assert [r.seed for r in later] == [r.seed for r in batches[first:]]
        for one, other in zip(later, batches[first:], strict=True):
            assert np.array_equal(one.indices, other.indices)


@cases(500)
@given(
    num_images=st.integers(0, 400),
    batch_size=st.integers(1, 70),
    world_size=st.integers(1, 9),
    chunk=st.sampled_from([10, 100, sampler_module.CHUNK]),
)
def test_any_number_of_ranks_evaluates_every_image_once_and_in_order(
    num_images: int, batch_size: int, world_size: int, chunk: int
) -> None:
    usual, sampler_module.CHUNK = sampler_module.CHUNK, chunk
    try:
        samplers = [
            BatchSampler(IndexRange(0, num_images), batch_size, 0, False, rank, world_size)
            for rank in range(world_size)
        ]
        read = [[r.indices for r in sampler] for sampler in samplers]
    finally:
        sampler_module.CHUNK = usual
    assert [len(batches) for batches in read] == [len(sampler) for sampler in samplers]
    assert max((len(indices) for batches in read for indices in batches), default=0) <= batch_size
    everything = [int(index) for batches in read for indices in batches for index in indices]
    assert everything == list(range(num_images))


# Images


@functools.cache
def intact_images() -> list[bytes]:
    """Return a small image in every format, in several modes."""
    pixels = np.random.default_rng(0).integers(0, 255, (13, 17, 4), np.uint8)
    color = Image.fromarray(pixels)
    deep = Image.fromarray(pixels.astype(np.uint16)[..., 0] * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (color, "PNG", {}),
        (deep, "PNG", {}),
        (color.convert("P"), "PNG", {"transparency": 3}),
        (color.convert("L"), "PNG", {"exif": exif}),
        (color, "PNG", {"save_all": True, "append_images": [color.rotate(90)]}),
        (color.convert("RGB"), "JPEG", {"exif": exif}),
        (color.convert("L"), "JPEG", {"progressive": True}),
        (color.convert("CMYK"), "JPEG", {}),
        (color.convert("P"), "GIF", {}),
        (color.convert("P"), "GIF", {"save_all": True, "append_images": [color.rotate(90).convert("P")]}),
        (color.convert("RGB"), "BMP", {}),
        (color.convert("P"), "BMP", {}),
        (color.convert("L"), "PPM", {}),
        (color, "TIFF", {}),
        (deep, "TIFF", {"compression": "tiff_lzw"}),
        (Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF", {}),
        (color.convert("RGB"), "TIFF", {"compression": "jpeg"}),
        (color, "WEBP", {}),
        (color, "AVIF", {"exif": exif}),
        (color, "WEBP", {"save_all": True, "append_images": [color.rotate(90)]}),
    ]
    files = []
    for image, format, options in kinds:
        file = io.BytesIO()
        image.save(file, format, **options)  # type: ignore[arg-type]
        files.append(file.getvalue())
    return files


def test_intact_images_are_decoded() -> None:
    for content in intact_images():
        assert load_image(io.BytesIO(content), "x").size in ((17, 13), (13, 17))


def decode(content: bytes) -> None:
    """Load an image and process it in every way, or check the error."""
    try:
        image = load_image(io.BytesIO(content), "x.png")
    except InputError as error:
        assert str(error).startswith("x.png: ")  # noqa: PT017 - an error is optional
        assert str(error).isprintable()  # noqa: PT017 - one line
        return
    assert image.mode in ("L", "RGB")
    for fit in FITS:
        assert resize_to_square(image, 8, 3, fit).shape == (3, 8, 8)
    if image.width * image.height < 1 << 20:
        assert prepare_digit(image).pixels.shape == (28, 28)


@cases(1000)
@given(
    start=st.sampled_from([b"", *(content[:n] for content in intact_images() for n in (4, 12, 30))]),
    rest=st.binary(max_size=300),
)
def test_any_bytes_are_an_image_or_refused(start: bytes, rest: bytes) -> None:
    decode(start + rest)


@cases(2500)
@given(
    content=st.sampled_from(intact_images()),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 2**16)),
    inserted=st.tuples(st.integers(0, 2**16), st.binary(max_size=8)),
)
def test_any_damage_to_an_image_is_handled(
    content: bytes, changes: list[tuple[int, int]], cut: int | None, inserted: tuple[int, bytes]
) -> None:
    assume(changes or cut or inserted[1])
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    place = inserted[0] % len(damaged)
    damaged[place:place] = inserted[1]
    decode(bytes(damaged if cut is None else damaged[: cut % len(damaged)]))


@cases(300)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
    kind=st.integers(0, 3),
)
def test_any_pixels_become_a_digit(width: int, height: int, seed: int, kind: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, [2, 256, 256, 30][kind], (height, width), np.uint8)
    pixels = pixels * 255 if kind == 0 else pixels
    if kind == 2:
        pixels[random.random((height, width)) < 0.9] = 255
    assert prepare_digit(Image.fromarray(pixels)).pixels.shape == (28, 28)
