import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.inference.predictor import Predictor
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.class_weights import balanced_weights
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.schedulers import constant

PREPROCESSING = {"image_size": 28, "channels": 1, "mean": 0.5, "std": 0.5, "resize": "auto"}
MODEL = {"network": "mobilenet_v2", "filters": 1}
DATA = {"name": "idx", "native_size": 28, "mnist_style": False, "fit": "pad"}


def classifier(**arguments: object) -> ImageClassifier:
    settings = {"model": MODEL, "classes": ["a", "b", "c"], "preprocessing": PREPROCESSING, "data": DATA}
    return ImageClassifier(**(settings | arguments))  # type: ignore[arg-type]


def test_network_fits_channels_and_classes() -> None:
    module = classifier(preprocessing=PREPROCESSING | {"channels": 3})
    assert module(torch.zeros(2, 3, 28, 28)).shape == (2, 3)


def test_module_is_rebuilt_from_the_plain_values_in_a_checkpoint(tmp_path: Path) -> None:
    module = classifier(optimizer=partial(torch.optim.SGD, lr=0.1), scheduler=constant)
    path = tmp_path / "x.ckpt"
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    module.trainer = trainer
    trainer.save_checkpoint(path, weights_only=True)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["hyper_parameters"] == {
        "model": MODEL,
        "classes": ["a", "b", "c"],
        "preprocessing": PREPROCESSING,
        "data": DATA,
    }
    again = ImageClassifier.load_from_checkpoint(path, weights_only=True)
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(module.eval()(images), again.eval()(images))


def test_only_weights_of_convolutions_and_linear_layers_decay() -> None:
    module = classifier(optimizer=partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), scheduler=constant)
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=5)
    decayed, free = module.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(module.network.parameters()))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")  # Lightning 2.6 with torch 2.13
def test_defaults_train_on_mnist_with_a_plain_trainer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = ImageClassifier(model={"filters": 1})
    assert module.hparams["model"] == {"network": "mobilenet_v2", "filters": 1}
    images, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    loader = DataLoader(TensorDataset(images, labels), batch_size=8)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, loader, loader)
    assert trainer.global_step == 8
    group = trainer.optimizers[0].param_groups[0]
    assert (group["momentum"], group["nesterov"], group["initial_lr"]) == (0.9, True, 0.1)
    assert group["lr"] == pytest.approx(0.0)  # one cycle over all 8 steps
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert Predictor(tmp_path / "x.ckpt").classes == list("0123456789")


def test_label_smoothing_affects_only_the_training_loss() -> None:
    torch.manual_seed(0)
    module = classifier(label_smoothing=0.2).eval()
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    images, labels = torch.randn(6, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1, 2])
    log_probabilities = module(images).log_softmax(1)
    plain = -log_probabilities[range(6), labels].mean()
    smoothed = 0.8 * plain - 0.2 * log_probabilities.mean()
    torch.testing.assert_close(module.training_step((images, labels), 0), smoothed)
    module.validation_step((images, labels), 0)
    torch.testing.assert_close(module.val_metrics.compute()["loss"], plain.detach())


def test_class_weights_affect_only_the_training_loss() -> None:
    torch.manual_seed(0)
    module = classifier(class_weights=[1.0, 2.0, 5.0]).eval()
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    images, labels = torch.randn(3, 1, 28, 28), torch.tensor([0, 1, 2])
    losses = -module(images).log_softmax(1)[range(3), labels]
    weighted = (losses * torch.tensor([1.0, 2.0, 5.0])).sum() / 8
    torch.testing.assert_close(module.training_step((images, labels), 0), weighted)
    module.validation_step((images, labels), 0)
    torch.testing.assert_close(module.val_metrics.compute()["loss"], losses.mean().detach())


def test_balanced_weights_give_classes_equal_shares_of_the_loss() -> None:
    weights = balanced_weights([10, 30, 60])
    assert [weight * count for weight, count in zip(weights, [10, 30, 60], strict=True)] == pytest.approx(
        [100 / 3] * 3
    )
    module = classifier(class_weights="balanced", class_counts=[10, 30, 60])
    assert module.class_weights.tolist() == pytest.approx(weights)  # type: ignore[union-attr]
    assert not {"class_weights", "class_counts"} & set(module.hparams)


def test_wrong_class_weights_are_refused() -> None:
    with pytest.raises(InputError, match="has 2 numbers for 3 classes; use one per class"):
        classifier(class_weights=[1.0, 2.0])
    with pytest.raises(InputError, match="class 1 has no training images"):
        balanced_weights([3, 0])


def test_loss_of_mixed_targets_is_their_cross_entropy() -> None:
    torch.manual_seed(0)
    module = classifier().eval()
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    images, targets = torch.randn(2, 1, 28, 28), torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]])
    expected = -(targets * module(images).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(module.training_step((images, targets), 0), expected)
    assert module.train_metrics.confusion.sum(dim=1).tolist() == [1, 0, 1]


def test_class_weights_treat_one_hot_targets_like_labels() -> None:
    torch.manual_seed(0)
    module = classifier(class_weights=[1.0, 2.0, 5.0], label_smoothing=0.1).eval()
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    images, labels = torch.randn(4, 1, 28, 28), torch.tensor([0, 1, 2, 2])
    mixed = torch.nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(
        module.training_step((images, mixed), 0), module.training_step((images, labels), 0)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a module that torch.compile imports
def test_copy_does_not_keep_the_compiled_network() -> None:
    module = classifier(compile="default")
    assert module._compiled is not None
    assert copy.deepcopy(module)._compiled is None
