import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.ema import EMAWeights
from mobilenet_lab.models import build_network
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.tasks.freezing import Freezing
from mobilenet_lab.training.schedulers import constant, cosine, cosine_restarts, one_cycle, plateau

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # Lightning 2.6 with torch 2.13
]

STEPS = 3  # per epoch
STEM_TO_STAGE_2 = ("features.0.", "features.1.", "features.2.", "features.3.")
SGD = partial(torch.optim.SGD, lr=0.001, momentum=0.9, nesterov=True, weight_decay=0.1, fused=True)


class Record(Callback):
    """Keeps the weights, and what each step has left of gradients, at the end of each epoch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []
        self.gradients: list[set[str]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        named = pl_module.network.named_parameters()
        self.gradients.append({name for name, parameter in named if parameter.grad is not None})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.states.append(copy.deepcopy(pl_module.network.state_dict()))


def classifier(**arguments: Any) -> ImageClassifier:
    torch.manual_seed(0)
    defaults = {"optimizer": SGD, "scheduler": constant}
    module = ImageClassifier({"filters": 2, "stem_stride": 1, "dropout": 0.2}, **(defaults | arguments))
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):  # statistics of a trained network
            nn.init.normal_(norm.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return module


def fit(module: ImageClassifier, folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    torch.manual_seed(1)
    images, labels = torch.randn(STEPS * 8, 1, 28, 28), torch.arange(STEPS * 8) % 10
    loader = DataLoader(TensorDataset(images, labels), batch_size=8)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
        **({"max_epochs": 4} | settings),
    )
    trainer.fit(module, loader, loader)
    return trainer


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def frozen_names(module: ImageClassifier) -> set[str]:
    return {name for name in module.network.state_dict() if name.startswith(STEM_TO_STAGE_2)}


def test_frozen_stages_keep_every_bit_until_they_are_unfrozen(tmp_path: Path) -> None:
    module, record = classifier(freeze_stages=3, freeze_epochs=2), Record()
    start, frozen = copy.deepcopy(module.network.state_dict()), frozen_names(module)
    fit(module, tmp_path, record)
    of_rest = set(start) - frozen
    assert changed(start, record.states[1]) == of_rest
    assert changed(record.states[1], record.states[2]) == set(start)  # statistics, too
    gradients = {name for name, _ in module.network.named_parameters()}
    assert record.gradients == [gradients - frozen] * 2 * STEPS + [gradients] * 2 * STEPS


@pytest.mark.parametrize("stages", [9, "backbone"])
def test_linear_probe_trains_the_classifier_only(tmp_path: Path, stages: int | str) -> None:
    module, record = classifier(freeze_stages=stages), Record()
    start = copy.deepcopy(module.network.state_dict())
    trainer = fit(module, tmp_path, record, EMAWeights(0.9, every_n_steps=1, start_step=0))
    classifier_names = {"classifier.1.weight", "classifier.1.bias"}
    for state in (record.states[-1], module.network.state_dict()):  # current weights, and their average
        assert changed(start, state) == classifier_names
    in_optimizer = [p for group in trainer.optimizers[0].param_groups for p in group["params"]]
    assert {id(p) for p in in_optimizer} == {id(p) for p in module.network.classifier.parameters()}


def test_state_of_a_fused_optimizer_begins_when_stages_are_unfrozen(tmp_path: Path) -> None:
    """PyTorch's fused SGD would read momenta that do not exist, if they shared a group with others."""
    weights = []
    for fused in (True, False):
        for epochs in (2, 3):
            module = classifier(freeze_stages=3, freeze_epochs=2, optimizer=partial(SGD, fused=fused))
            # In double precision, because training amplifies the rounding of single precision
            (optimizer,) = fit(module, tmp_path, max_epochs=epochs, precision="64-true").optimizers
            trained = {id(p) for p in module.network.parameters() if p.requires_grad}
            assert {id(p) for p in optimizer.state} == trained
        assert len(trained) == len(list(module.network.parameters()))
        weights.append(module.network.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], msg=name)


def test_epochs_of_accumulated_gradients_unfreeze_exactly(tmp_path: Path) -> None:
    module, record = classifier(freeze_stages=3, freeze_epochs=1), Record()
    start, frozen = copy.deepcopy(module.network.state_dict()), frozen_names(module)
    fit(module, tmp_path, record, accumulate_grad_batches=2, max_epochs=2)
    assert changed(start, record.states[0]) == set(start) - frozen
    assert changed(record.states[0], record.states[1]) == set(start)


def test_frozen_modules_evaluate_whatever_the_mode_of_the_rest(tmp_path: Path) -> None:
    class CheckMode(Callback):
        steps = 0

        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            pl_module.train()
            layers = list(pl_module.network.features)
            assert not any(module.training for layer in layers[:4] for module in layer.modules())
            assert all(module.training for layer in layers[4:] for module in layer.modules())
            self.steps += 1

    module, check = classifier(freeze_stages=3), CheckMode()
    fit(module, tmp_path, check, max_epochs=2)
    assert check.steps == 2 * STEPS
    assert all(part.training for part in module.modules())
    fit(module, tmp_path, max_epochs=1)  # Lightning warns of modules in evaluation mode, which would fail


@pytest.mark.parametrize(
    "schedule",
    [constant, one_cycle, partial(cosine, warmup_steps=4), partial(cosine_restarts, cycles=[1, 2])],
)
@pytest.mark.parametrize("freeze", [{}, {"freeze_stages": 3, "freeze_epochs": 1}])
def test_backbone_has_its_share_of_every_learning_rate(schedule: Any, freeze: dict[str, Any]) -> None:
    module = classifier(scheduler=schedule, backbone_lr_factor=0.25, **freeze)
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=12)
    built = module.configure_optimizers()
    optimizer, scheduler = built["optimizer"], built["lr_scheduler"]["scheduler"]
    of_classifier = {id(p) for group in optimizer.param_groups[:2] for p in group["params"]}
    assert of_classifier == {id(p) for p in module.network.classifier.parameters()}
    everything = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in module.network.parameters())
    for _ in range(12):
        first, bias, *backbone = [group["lr"] for group in optimizer.param_groups]
        assert first == bias > 0
        assert backbone == pytest.approx([0.25 * first] * (4 if freeze else 2), rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_plateau_keeps_the_ratio_at_the_lowest_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.01)]
    optimizer = torch.optim.SGD(groups)
    scheduler = plateau(optimizer, factor=0.1, patience=0, min_lr=0.05)["scheduler"]
    for _ in range(5):
        scheduler.step(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])


class Odd(nn.Module):
    """A network with a parameter and a norm outside of its stages, and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.norm = nn.BatchNorm1d(4)
        self.body = nn.Linear(4, 4)
        self.middle = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
        self.head = nn.Sequential(nn.Linear(4, 4))
        self.head[0].weight = self.body.weight

    def stages(self) -> Iterator[tuple[str, list[nn.Module]]]:
        return {"body": [self.body], "middle": [self.middle], "empty": [], "head": [self.head]}  # type: ignore[return-value]


def test_backbone_is_everything_outside_of_the_last_stage() -> None:
    network = Odd()
    freezing = Freezing(network, "backbone")
    freezing.start_epoch(0)
    assert freezing.stages == ["body", "middle"]
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {"body.weight", "head.0.bias"}  # the tied weight belongs to the classifier
    training = {name for name, module in network.named_modules() if module.training}
    assert training == {"", "head", "head.0"}


@pytest.mark.parametrize("stages", [-1, 10, "head"])
def test_missing_stages_are_refused(stages: int | str) -> None:
    network = build_network("mobilenet_v2", filters=1)
    with pytest.raises(InputError, match=f"^task.freeze_stages={stages}: the network has 9 stages before"):
        Freezing(network, stages)


def test_description_names_stages_and_epochs() -> None:
    network = build_network("mobilenet_v2", filters=1)
    assert str(Freezing(network, 1)) == "stem in the whole run"
    assert str(Freezing(network, 4, epochs=1)) == "stem to stage 3 in the first epoch"
    assert str(Freezing(network, "backbone", epochs=5)) == "stem to head in the first 5 epochs"
