from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, idx_bytes
from lightning.pytorch import Trainer

from mobilenet_lab.config.yaml_rules import rules_in
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.datasets.mnist import IdxSource, idx_folder
from mobilenet_lab.data.limits import MAX_SIDE
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.permutation import Permutation
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import split_dataset
from mobilenet_lab.data.transforms.augmentation import RandomTranslate
from mobilenet_lab.data.transforms.mixup import MixUp, NoMixing
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def datamodule(tiny_idx: Path) -> ImageDataModule:
    module = ImageDataModule(
        source=idx_folder,
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


def test_subsets_have_their_sizes(datamodule: ImageDataModule) -> None:
    assert {name: len(subset) for name, subset in datamodule.subsets.items()} == {
        "train": 90,
        "val": 30,
        "test": 40,
    }


def test_loaders_read_every_image_of_their_subset_once(datamodule: ImageDataModule) -> None:
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


def test_augmentation_applies_to_training_batches_only(datamodule: ImageDataModule) -> None:
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


def test_mixing_applies_to_training_batches_only(datamodule: ImageDataModule) -> None:
    datamodule.mixing = MixUp(1.0, 1.0)
    datamodule.trainer = Trainer(logger=False, enable_checkpointing=False)
    batch = next(iter(datamodule.test_dataloader()))
    datamodule.trainer.training = True
    _, targets = datamodule.on_after_batch_transfer(batch, 0)
    assert targets.shape == (32, 10)
    datamodule.trainer.testing = True
    _, labels = datamodule.on_after_batch_transfer(batch, 0)
    assert torch.equal(labels, batch["labels"])


def test_count_classes_counts_one_subset(datamodule: ImageDataModule) -> None:
    for subset in datamodule.subsets.values():
        loader = batch_loader(subset.dataset, BatchSampler(subset.index_range, 7, shuffle=False))
        labels = torch.cat([batch["labels"] for batch in loader])
        assert subset.count_classes(10) == torch.bincount(labels, minlength=10).tolist()


def test_unknown_source_error_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"source=cifar: must be one of mnist, fashion_mnist, idx"):
        ImageDataModule("cifar")


def test_unknown_on_corrupt_image_error_lists_the_known_ones(tiny_idx: Path) -> None:
    datamodule = ImageDataModule("idx", root=str(tiny_idx), on_corrupt_image="ignore")
    with pytest.raises(InputError, match=r"data\.on_corrupt_image=ignore: must be one of error, skip"):
        datamodule.setup()


@pytest.mark.parametrize(
    ("val_split", "max_train_samples", "expected"), [(0, None, 120), (20, 50, 50), (0.5, None, 60)]
)
def test_val_split_is_a_count_or_fraction(
    tiny_idx: Path, val_split: float, max_train_samples: int | None, expected: int
) -> None:
    subsets = split_dataset(idx_folder(str(tiny_idx)), val_split, max_train_samples=max_train_samples)
    assert len(subsets["train"]) == expected


def test_val_split_without_remaining_images_is_refused(tiny_idx: Path) -> None:
    with pytest.raises(InputError, match="val_split=120"):
        split_dataset(idx_folder(str(tiny_idx)), 120, None, 0)


def test_largest_image_is_the_same_everywhere(tmp_path: Path) -> None:
    """Configuration, data and checkpoints agree, so that a trained network can predict."""
    rule = rules_in(ROOT / "conf/data/mnist.yaml", "data")["data.image_size"]
    assert rule.accepts(MAX_SIDE)
    assert not rule.accepts(MAX_SIDE + 1)
    for prefix in ("train", "t10k"):
        images = np.zeros((2, 1, MAX_SIDE + 1), np.uint8)
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1], np.uint8)))
    with pytest.raises(InputError, match=r"^data: idx: images have 4,097 pixels per side; use 1 to 4,096$"):
        ImageDataModule("idx", root=str(tmp_path), image_size=28).setup()


@pytest.mark.parametrize("size", [-1, MAX_SIDE + 1])
def test_size_that_no_checkpoint_may_have_is_refused(tiny_idx: Path, size: int) -> None:
    with pytest.raises(InputError, match=f"^data.image_size={size}: images have"):
        ImageDataModule("idx", root=str(tiny_idx), image_size=size).setup()


@pytest.mark.parametrize(("name", "is_random"), [("mnist", True), ("fashion_mnist", True), ("idx", False)])
def test_published_data_sets_keep_their_random_split(tiny_idx: Path, name: str, is_random: bool) -> None:
    source = IdxSource(name, tiny_idx, known_classes=tuple("0123456789"))
    data = ImageDataModule(source, val_split=20)
    assert data.describe()["data"]["stratified"] != is_random
    order = Permutation(120, (0,))(np.arange(120))
    positions = {"val": np.arange(20), "train": np.arange(20, 120)}
    for subset, expected in positions.items():
        indices = data.subsets[subset].index_range(np.arange(len(expected)))
        assert np.array_equal(indices, order[expected]) == is_random
    val = data.subsets["val"].count_classes(10)
    assert (val == [2] * 10) != is_random


def test_split_can_be_chosen(tiny_idx: Path) -> None:
    random = split_dataset(idx_folder(str(tiny_idx)), 20, split="random")["val"]
    assert np.array_equal(random.index_range(np.arange(20)), Permutation(120, (0,))(np.arange(20)))
    with pytest.raises(InputError, match=r"data\.split=by_class: must be one of auto, random, stratified"):
        ImageDataModule("idx", str(tiny_idx), split="by_class")
