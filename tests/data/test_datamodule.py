from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.datasets.mnist import idx_folder
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import split_dataset
from mobilenet_lab.data.transforms.augmentation import RandomTranslate
from mobilenet_lab.data.transforms.mixup import MixUp, NoMixing
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def datamodule(tiny_idx: Path) -> ImageDataModule:
    module = ImageDataModule(
        source=partial(idx_folder),
        root=str(tiny_idx),
        augmentation=RandomTranslate(2),
        mixing=NoMixing(),
        channels=1,
        image_size=32,
        resize="auto",
        mean=0.5,
        std=0.5,
        batch_size=16,
        eval_batch_size=32,
        val_split=0.25,
        test_split=None,
        split_seed=0,
        max_train_samples=None,
        num_workers=0,
        cache="mmap",
        seed=0,
    )
    module.prepare_data()
    module.setup()
    return module


def test_parts_have_their_sizes(datamodule: ImageDataModule) -> None:
    assert {name: len(part) for name, part in datamodule.subsets.items()} == {
        "train": 90,
        "val": 30,
        "test": 40,
    }


def test_loaders_read_every_image_of_their_part_once(datamodule: ImageDataModule) -> None:
    loaders = {
        "train": datamodule.train_dataloader(),
        "val": datamodule.val_dataloader(),
        "test": datamodule.test_dataloader(),
    }
    for name, loader in loaders.items():
        batches = list(loader)
        assert all(batch["images"].dtype == torch.uint8 for batch in batches)
        images = {tuple(image.flatten().tolist()) for batch in batches for image in batch["images"]}
        assert len(images) == len(datamodule.subsets[name])


def test_training_batches_are_augmented_and_others_are_not(datamodule: ImageDataModule) -> None:
    datamodule.trainer = Trainer(logger=False, enable_checkpointing=False)
    batch = next(iter(datamodule.test_dataloader()))
    datamodule.trainer.training = True
    augmented, labels = datamodule.on_after_batch_transfer(batch, 0)
    again, _ = datamodule.on_after_batch_transfer(batch, 0)
    datamodule.trainer.testing = True
    plain, _ = datamodule.on_after_batch_transfer(batch, 0)
    assert plain.shape == (32, 1, 32, 32)
    assert torch.equal(augmented, again)  # a function of the batch's seed
    assert not torch.equal(augmented, plain)
    assert torch.equal(plain, datamodule.preprocessing(batch["images"]))
    assert torch.equal(labels, batch["labels"])


def test_training_batches_are_mixed_and_others_are_not(datamodule: ImageDataModule) -> None:
    datamodule.mixing = MixUp(1.0, 1.0)
    datamodule.trainer = Trainer(logger=False, enable_checkpointing=False)
    batch = next(iter(datamodule.test_dataloader()))
    datamodule.trainer.training = True
    _, targets = datamodule.on_after_batch_transfer(batch, 0)
    assert targets.shape == (32, 10)
    datamodule.trainer.testing = True
    _, labels = datamodule.on_after_batch_transfer(batch, 0)
    assert torch.equal(labels, batch["labels"])


def test_classes_are_counted_in_the_part_alone(datamodule: ImageDataModule) -> None:
    for part in datamodule.subsets.values():
        loader = batch_loader(part.dataset, BatchSampler(part.index_range, 7, shuffle=False))
        labels = torch.cat([batch["labels"] for batch in loader])
        assert part.count_classes(10) == torch.bincount(labels, minlength=10).tolist()


@pytest.mark.parametrize(
    ("val_split", "max_train_samples", "expected"), [(0, None, 120), (20, 50, 50), (0.5, None, 60)]
)
def test_split_by_count_or_fraction(
    tiny_idx: Path, val_split: float, max_train_samples: int | None, expected: int
) -> None:
    parts = split_dataset(idx_folder(str(tiny_idx)), val_split, None, 0, max_train_samples)
    assert len(parts["train"]) == expected


def test_split_that_leaves_nothing_is_refused(tiny_idx: Path) -> None:
    with pytest.raises(InputError, match="val_split=120"):
        split_dataset(idx_folder(str(tiny_idx)), 120, None, 0)
