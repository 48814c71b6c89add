"""The list of benchmark cases."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from mobilenet_lab.benchmark import (
    baselines,
    inference,
    many_files,
    photos,
    reading,
    startup,
    training,
    transforms,
)
from mobilenet_lab.benchmark.settings import Figures, Settings


@dataclass(frozen=True)
class Case:
    """A measurement, which runs in a process of its own.

    Attributes:
        label: Row label in the table.
        run: Measures with the given settings.
        is_core: Whether `--quick` includes it.
        packages: Optional packages, one of which must be installed; empty if none is needed.
    """

    label: str
    run: Callable[[Settings], Figures]
    is_core: bool = False
    packages: tuple[str, ...] = ()

    def is_available(self) -> bool:
        """Return whether the packages that it compares with are installed."""
        return not self.packages or any(importlib.util.find_spec(name) for name in self.packages)


def _width(divisor: int) -> Callable[[Settings], Figures]:
    return lambda settings: training.train(replace(settings, filters=settings.filters // divisor))


def _rgb(case: Callable[[Settings], Figures]) -> Callable[[Settings], Figures]:
    """Measure at width 1.0 with three channels, as other libraries' networks are built."""
    return lambda settings: case(replace(settings, channels=3, filters=8))


def _transform(label: str, group: str, choice: str, part: str | None = None) -> Case:
    return Case(f"photographs: {label}", partial(transforms.transform, group=group, choice=choice, part=part))


CASES = {
    "train": Case("training: MobileNet Lab, end to end", training.train, is_core=True),
    "floor": Case("training: bare loop over tensors in memory", training.floor, is_core=True),
    "naive": Case("training: plain PyTorch as first written", baselines.naive, is_core=True),
    "train_050": Case("training: half the width", _width(2)),
    "train_025": Case("training: a quarter of the width", _width(4)),
    "train_rgb": Case(
        "training: MobileNet Lab, three channels",
        _rgb(training.train),
        packages=("tensorflow", "torchvision", "timm"),
    ),
    "keras": Case(
        "training: Keras's MobileNetV2 and fit, three channels",
        _rgb(baselines.keras),
        packages=("tensorflow",),
    ),
    "torchvision": Case(
        "training: torchvision's MobileNetV2, plain loop, three channels",
        _rgb(baselines.torchvision),
        packages=("torchvision",),
    ),
    "timm": Case(
        "training: timm's MobileNetV2, plain loop, three channels",
        _rgb(baselines.timm),
        packages=("timm",),
    ),
    "reference": Case("training: experiment=reference", training.reference),
    "reference_stock": Case("training: the reference recipe in plain PyTorch", baselines.reference_stock),
    "loader": Case("reading batches, one core", reading.loader, is_core=True),
    "loader_large": Case("reading batches of six million images, one core", reading.loader_large),
    "photos": Case("reading photographs with workers, 500 x 375 to 224 x 224", photos.read_photos),
    "photos_simplejpeg": Case(
        "reading the same photographs with data.source.decoder=simplejpeg",
        partial(photos.read_photos, decoder="simplejpeg"),
        packages=("simplejpeg",),
    ),
    "photos_disk": Case(
        "reading the same photographs again with data.cache=disk", partial(photos.read_photos, on_disk=True)
    ),
    "decode_photos": Case("decoding and resizing them with Pillow alone", photos.decode_photos),
    "decode_only": Case(
        "decoding them with Pillow, without resizing", partial(photos.decode_photos, resize=False)
    ),
    "photo": _transform("augmentation=photo", "augmentation", "photo"),
    "photo_crop": _transform("random resized crops", "augmentation", "photo", "crop"),
    "photo_flip": _transform("horizontal flips", "augmentation", "photo", "flip"),
    "photo_color": _transform("color jitter", "augmentation", "photo", "color"),
    "trivial_augment": _transform("augmentation=trivial_augment", "augmentation", "trivial_augment"),
    "trivial_augment_change": _transform("TrivialAugment", "augmentation", "trivial_augment", "change"),
    "trivial_augment_erase": _transform("random erasing", "augmentation", "trivial_augment", "erase"),
    "mixup": _transform("mixing=mixup", "mixing", "mixup"),
    "cutmix": _transform("mixing=cutmix", "mixing", "cutmix"),
    "start_small": Case(
        "train.py, one step, image folder of 10,000 files",
        partial(many_files.start, num_classes=many_files.SMALL),
    ),
    "start_first": Case(
        "train.py, one step, image folder of a million files, first time",
        partial(many_files.start, is_first=True),
    ),
    "start_again": Case("train.py, one step, image folder of a million files, again", many_files.start),
    "evaluate": Case(
        "evaluation: reading, preprocessing, forward pass, counting", inference.evaluate, is_core=True
    ),
    "forward": Case("evaluation: forward pass alone", inference.forward, is_core=True),
    "predict_one": Case("predict.py, one image, whole process", startup.predict_one, is_core=True),
    "import_torch": Case('python -c "import torch"', startup.import_torch, is_core=True),
    "predict_folder": Case("prediction of image files", inference.predict_folder),
    "decode_folder": Case("decoding the same files alone", inference.decode_folder),
    "help": Case("train.py --help", startup.show_help),
    "config_error": Case("train.py with a misspelled key", startup.config_error),
    "time_to_99": Case("experiment=fast, from process start to exit", startup.time_to_99),
}


def available_cases() -> dict[str, Case]:
    """Return the cases whose packages are installed, by name."""
    return {name: case for name, case in CASES.items() if case.is_available()}
