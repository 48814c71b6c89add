"""What is measured: each case runs in a process of its own and returns its figures.

Cases of training share network, image size, batch and optimizer:

    train  this project's train.py, whole: reading, augmentation, logging, Lightning
    floor  a hand-written loop over prepared tensors in memory, with the same layers, layout and allocator
    naive  what people write first: the default layers, layout and allocator, a data set of single images
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_lab.runtime.machine import ROOT, proc_field

MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels, as in conf/data/mnist.yaml
LARGE = 6_000_000  # images of the large file
EVAL_BATCH = 250
WARM_UP = 3  # batches that Keras builds its graph with; elsewhere the first steps count

Numbers = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What all cases share.

    Attributes:
        filters, image_size, channels, batch_size: Of the network and its input.
        steps: Training steps that are timed.
        images: How many are evaluated and predicted.
        data: The data folder.
        work: A folder that outlives a case, with `images/*.png`, `large/` and a run `run/`.
    """

    filters: int
    image_size: int
    channels: int
    batch_size: int
    steps: int
    images: int
    data: Path
    work: Path


def prepare(settings: Settings, large: bool) -> None:
    """Make what several cases use: MNIST, a run with a checkpoint, image files, a large data set."""
    from PIL import Image

    from mobilenet_lab.data.datasets.mnist import mnist

    source = mnist(str(settings.data))
    source.prepare()
    _train_py(replace(settings, batch_size=2), "data.max_train_samples=2")
    images, _ = source.open("test").read(np.arange(settings.images))
    folder = settings.work / "images"
    folder.mkdir()
    for i, image in enumerate(images[:, 0].numpy()):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    if large:
        _write_large(settings.work / "large")


# Training


def train(settings: Settings, *overrides: str) -> Numbers:
    """The whole path, as a user runs it."""
    with tempfile.TemporaryDirectory() as folder:
        _train_py(settings, f"trainer.limit_train_batches={settings.steps}", *overrides, cwd=folder)
        result = json.loads((Path(folder) / "run/result.json").read_text())
    return _with_memory({"images_per_second": result["images_per_second"]}, of_children=True)


def floor(settings: Settings) -> Numbers:
    """The bare floor."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    import torch

    from mobilenet_lab.data.transforms.preprocessing import Preprocessing

    network = _network(settings)
    images, labels = _training_images(settings)
    prepared = Preprocessing(settings.image_size, settings.channels, MEAN, STD)(images)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True, fused=True)
    size = settings.batch_size

    def batches() -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(labels), size):
            yield prepared[start : start + size], labels[start : start + size]

    return _time_training(settings, network, optimizer, batches())


def naive(settings: Settings) -> Numbers:
    """Plain PyTorch as people write it first."""
    return _time_plain(settings, _network(settings, cpu_layers=False))


def torchvision(settings: Settings) -> Numbers:
    """Torchvision's MobileNetV2 in the same plain loop."""
    from torchvision.models import mobilenet_v2  # type: ignore[import-not-found, unused-ignore]

    return _time_plain(settings, mobilenet_v2(num_classes=10))


def timm(settings: Settings) -> Numbers:
    """Timm's MobileNetV2 in the same plain loop."""
    from timm import create_model  # type: ignore[import-not-found, unused-ignore]

    return _time_plain(settings, create_model("mobilenetv2_100", num_classes=10, in_chans=settings.channels))


def keras(settings: Settings) -> Numbers:
    """Keras' MobileNetV2 with `fit`."""
    import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

    images, labels = _training_images(settings)
    padding = (settings.image_size - 28) // 2
    pixels = np.pad(images.numpy().transpose(0, 2, 3, 1), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    pixels = np.repeat((pixels / np.float32(255) - MEAN) / STD, settings.channels, axis=3)
    side = settings.image_size
    network = tf.keras.applications.MobileNetV2(
        (side, side, settings.channels), alpha=settings.filters / 8, weights=None, classes=10
    )
    network.compile(tf.keras.optimizers.SGD(0.1, 0.9, nesterov=True), loss="sparse_categorical_crossentropy")
    targets = labels.numpy()

    def fit(batches: slice) -> None:
        network.fit(pixels[batches], targets[batches], batch_size=settings.batch_size, epochs=1, verbose=0)

    fit(slice(WARM_UP * settings.batch_size))
    began = time.perf_counter()
    fit(slice(None))
    return _rate(settings.steps * settings.batch_size, time.perf_counter() - began)


def reference(settings: Settings) -> Numbers:
    """experiment=reference, whole."""
    return train(_as_reference(settings), "experiment=reference", "trainer.max_epochs=1")


def reference_stock(settings: Settings) -> Numbers:
    """The same recipe in plain PyTorch."""
    import torch

    as_there = _as_reference(settings)
    network = _network(as_there, cpu_layers=False, zero_init_residual=False)
    optimizer = torch.optim.RMSprop(network.parameters(), 0.0005, alpha=0.9, eps=1e-7)
    return _time_plain(as_there, network, optimizer, label_smoothing=0.0)


# Reading


def loader(settings: Settings) -> Numbers:
    """Batches of MNIST, read and shuffled, on one core."""
    from mobilenet_lab.data.datasets.mnist import mnist

    return _time_loader(mnist(str(settings.data)), settings.batch_size)


def loader_large(settings: Settings) -> Numbers:
    """Batches of six million images."""
    from mobilenet_lab.data.datasets.mnist import idx_folder

    folder = settings.work / "large"
    with (folder / "train-images-idx3-ubyte").open("rb") as file:  # into the page cache, as MNIST is
        while file.read(1 << 24):
            pass
    return _time_loader(idx_folder(str(folder)), settings.batch_size)


# Evaluation and prediction


def evaluate(settings: Settings) -> Numbers:
    """Reading, preprocessing, forward pass and counting, as evaluate.py does."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    from mobilenet_lab.data.datasets.mnist import mnist
    from mobilenet_lab.data.splits import IndexRange, Subset
    from mobilenet_lab.data.transforms.preprocessing import Preprocessing
    from mobilenet_lab.inference.measure import measure

    test = mnist(str(settings.data)).open("test")
    part = Subset(test, IndexRange(0, settings.images))
    preprocessing = Preprocessing(settings.image_size, settings.channels, MEAN, STD)
    network = _network(settings).eval()

    def run() -> None:
        measure(lambda images: network(preprocessing(images)), part, EVAL_BATCH, num_classes=10)

    return _time_twice(run, settings.images)


def forward(settings: Settings) -> Numbers:
    """The bare forward pass over the same images, prepared beforehand."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    import torch

    from mobilenet_lab.data.datasets.mnist import mnist
    from mobilenet_lab.data.transforms.preprocessing import Preprocessing

    images, _ = mnist(str(settings.data)).open("test").read(np.arange(settings.images))
    prepared = Preprocessing(settings.image_size, settings.channels, MEAN, STD)(images)
    network = _network(settings).eval()

    @torch.inference_mode()
    def run() -> None:
        for start in range(0, len(prepared), EVAL_BATCH):
            network(prepared[start : start + EVAL_BATCH])

    return _time_twice(run, settings.images)


def predict_one(settings: Settings) -> Numbers:
    """predict.py on one image, from the start of the process to its end."""
    return _time_process(settings, "predict.py", f"ckpt={settings.work}/run", "image=images/00000.png")


def import_torch(settings: Settings) -> Numbers:
    """What PyTorch itself takes to start."""
    return _time_process(settings, "-c", "import torch")


def predict_folder(settings: Settings) -> Numbers:
    """Decoding, preparing and naming every image of a folder, within a process."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    from mobilenet_lab.inference.predict import predict_files
    from mobilenet_lab.inference.predictor import Predictor

    files = _files(settings)
    predictor = Predictor(settings.work / "run")
    began = time.perf_counter()
    failures: list[str] = []
    count = sum(1 for _ in predict_files(predictor, files, EVAL_BATCH, failures))
    assert count == settings.images
    return _rate(count, time.perf_counter() - began)


def decode_folder(settings: Settings) -> Numbers:
    """Decoding the same images with Pillow, and nothing else."""
    from PIL import Image

    files = _files(settings)
    began = time.perf_counter()
    for file in files:
        with Image.open(file) as image:
            np.asarray(image)
    return _rate(len(files), time.perf_counter() - began)


# Start-up


def show_help(settings: Settings) -> Numbers:
    """train.py --help."""
    return _time_process(settings, "train.py", "--help")


def config_error(settings: Settings) -> Numbers:
    """A misspelt key."""
    return _time_process(settings, "train.py", "model.filtrs=4", expected=2)


def time_to_99(settings: Settings) -> Numbers:
    """experiment=fast from the start of the process to its end, without the test images."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        _run(
            "train.py",
            *("experiment=fast", f"data.root={settings.data.resolve()}", "trainer.limit_test_batches=0"),
            *("trainer.accelerator=cpu", "output_dir=run"),
            cwd=folder,
        )
        seconds = time.perf_counter() - began
        result = json.loads((Path(folder) / "run/result.json").read_text())
    return {"seconds": seconds, "val_accuracy": result["val/accuracy"]}


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


CORE: dict[str, Callable[[Settings], Numbers]] = {
    "train": train,
    "floor": floor,
    "naive": naive,
    "loader": loader,
    "evaluate": evaluate,
    "forward": forward,
    "predict_one": predict_one,
    "import_torch": import_torch,
}
CASES: dict[str, Callable[[Settings], Numbers]] = CORE | {
    "train_050": lambda settings: train(replace(settings, filters=settings.filters // 2)),
    "train_025": lambda settings: train(replace(settings, filters=settings.filters // 4)),
    "reference": reference,
    "reference_stock": reference_stock,
    "loader_large": loader_large,
    "predict_folder": predict_folder,
    "decode_folder": decode_folder,
    "help": show_help,
    "config_error": config_error,
    "time_to_99": time_to_99,
}
# With three channels and at width 1.0, as their users train them
OTHERS: dict[str, tuple[str, Callable[[Settings], Numbers]]] = {
    "keras": ("tensorflow", keras),
    "torchvision": ("torchvision", torchvision),
    "timm": ("timm", timm),
}


def available() -> dict[str, Callable[[Settings], Numbers]]:
    """All cases, with those that compare with packages which are installed."""

    def in_colour(case: Callable[[Settings], Numbers]) -> Callable[[Settings], Numbers]:
        return lambda settings: case(replace(settings, channels=3, filters=8))

    others = {name: in_colour(case) for name, (package, case) in OTHERS.items() if _is_installed(package)}
    return CASES | ({"train_rgb": in_colour(train), **others} if others else {})


# Shared by several cases


def _as_reference(settings: Settings) -> Settings:
    return replace(settings, filters=8, image_size=56, channels=3, batch_size=32)


def _network(settings: Settings, cpu_layers: bool = True, zero_init_residual: bool = True) -> Any:
    from mobilenet_lab.models import build_network

    return build_network(
        "mobilenet_v2",
        cpu_layers,
        filters=settings.filters,
        in_channels=settings.channels,
        dropout=0.0,
        zero_init_residual=zero_init_residual,
    )


def _training_images(settings: Settings) -> tuple[Any, Any]:
    """As many as all steps take; MNIST begins again where it ends."""
    from mobilenet_lab.data.datasets.mnist import mnist

    images = mnist(str(settings.data)).open("train")
    return images.read(np.arange(settings.steps * settings.batch_size) % len(images))


def _time_plain(
    settings: Settings, network: Any, optimizer: Any = None, label_smoothing: float = 0.05
) -> Numbers:
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, Dataset

    images, labels = _training_images(settings)
    side, channels = settings.image_size, settings.channels

    class OneImage(Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image = images[index].float() / 255
            if side > 32:
                image = F.interpolate(image[None], (side, side), mode="bilinear")[0]
            else:
                image = F.pad(image, ((side - 28) // 2,) * 4)
            return ((image - MEAN) / STD).expand(channels, -1, -1), int(labels[index])

    network = network.to(memory_format=torch.contiguous_format)
    optimizer = optimizer or torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True)
    batches = DataLoader(OneImage(), batch_size=settings.batch_size, shuffle=True)
    return _time_training(settings, network, optimizer, iter(batches), label_smoothing)


def _time_training(
    settings: Settings,
    network: Any,
    optimizer: Any,
    batches: Iterator[tuple[Any, Any]],
    label_smoothing: float = 0.05,
) -> Numbers:
    import torch.nn.functional as F

    network.train()
    began = time.perf_counter()
    for images, labels in batches:
        loss = F.cross_entropy(network(images), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _rate(settings.steps * settings.batch_size, time.perf_counter() - began)


def _time_loader(source: Any, batch_size: int) -> Numbers:
    import torch

    from mobilenet_lab.data.loader import batch_loader
    from mobilenet_lab.data.sampler import BatchSampler
    from mobilenet_lab.data.splits import split_dataset

    torch.set_num_threads(1)
    part = split_dataset(source, 0, None, 0)["train"]
    before = _anonymous_memory_mb()
    sampler = BatchSampler(part.index_range, batch_size)
    batches = batch_loader(part.dataset, sampler)

    def run() -> None:
        count = sum(len(batch["labels"]) for batch in batches)
        assert count == len(part)

    return _time_twice(run, len(part)) | {"anonymous_memory_mb": _anonymous_memory_mb() - before}


def _time_twice(run: Callable[[], None], images: int) -> Numbers:
    """The second time counts: the first brings files into memory and chooses kernels."""
    run()
    began = time.perf_counter()
    run()
    return _rate(images, time.perf_counter() - began)


def _time_process(settings: Settings, *arguments: str, expected: int = 0) -> Numbers:
    began = time.perf_counter()
    _run(*arguments, cwd=settings.work, expected=expected)
    return {"seconds": time.perf_counter() - began}


def _train_py(settings: Settings, *overrides: str, cwd: str | Path | None = None) -> None:
    _run(
        "train.py",
        *(f"data.root={settings.data.resolve()}", f"model.filters={settings.filters}"),
        *("model.stem_stride=2", f"data.image_size={settings.image_size}"),
        *(f"data.channels={settings.channels}", f"data.batch_size={settings.batch_size}"),
        *("trainer.max_epochs=1", "trainer.limit_val_batches=0", "trainer.limit_test_batches=0"),
        *("trainer.accelerator=cpu", "output_dir=run", *overrides),
        cwd=cwd or settings.work,
    )


def _run(script: str, *arguments: str, cwd: str | Path, expected: int = 0) -> None:
    program = script if script.startswith("-") else str(ROOT / script)
    done = subprocess.run(
        [sys.executable, program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != expected:
        raise SystemExit(f"{script} ended with {done.returncode}:\n{done.stderr}")


def _files(settings: Settings) -> list[str]:
    return sorted(str(path) for path in (settings.work / "images").iterdir())


def _write_large(folder: Path) -> None:
    """A sparse file: it takes no space on disk, and reads as black images."""
    folder.mkdir()
    for part, count in (("train", LARGE), ("t10k", 10)):
        for name, shape in ((f"{part}-images-idx3", (count, 28, 28)), (f"{part}-labels-idx1", (count,))):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            with (folder / f"{name}-ubyte").open("wb") as file:
                file.write(header)
                file.truncate(len(header) + int(np.prod(shape)))


def _rate(images: int, seconds: float) -> Numbers:
    return _with_memory({"images_per_second": images / seconds})


def _with_memory(numbers: Numbers, of_children: bool = False) -> Numbers:
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        numbers = numbers | {"peak_memory_mb": resource.getrusage(who).ru_maxrss * unit / 1e6}
    return numbers


def _anonymous_memory_mb() -> float:
    """What the process holds beside mapped files; not a number where the system does not tell."""
    anonymous = proc_field("self/status", "RssAnon")
    return float(anonymous.split()[0]) * 1024 / 1e6 if anonymous else float("nan")
