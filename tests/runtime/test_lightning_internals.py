"""A failure means that a new version changed an internal that runtime/lightning_internals.py relies on."""

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch import Tensor
from torch.distributed import distributed_c10d
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.runtime.lightning_internals import (
    batches_done,
    compile_error,
    complete_counters,
    disable_sigterm_broadcast,
    ends_epoch,
    handle_sigterm,
    is_accumulating,
    is_resumable_step,
    rank_observer,
    restore_callback_metrics,
    set_collective_timeout,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]

BATCHES = 7


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", torch.tensor(0.5))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(folder: Path, callback: Callback, **options: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **{"max_epochs": 2, **options},
    )
    batches = DataLoader(TensorDataset(torch.zeros(BATCHES, 1)))
    trainer.fit(Module(), batches, batches)
    return trainer


class Compare(Callback):
    """Compares public properties of the trainer with what Lightning does."""

    def __init__(self) -> None:
        self.resumable: list[tuple[int, int]] = []
        self.validated: list[tuple[int, int]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loop = trainer.fit_loop.epoch_loop
        assert trainer.fit_loop.batch_idx == batch_idx
        assert trainer.fit_loop.total_batch_idx == trainer.current_epoch * BATCHES + batch_idx
        assert ends_epoch(trainer) == loop._num_ready_batches_reached() == (batch_idx == BATCHES - 1)
        assert is_accumulating(trainer) == loop._should_accumulate()
        assert batches_done(trainer) == (batch_idx + 1) % BATCHES
        if is_resumable_step(trainer):
            self.resumable.append((trainer.current_epoch, batch_idx))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append((trainer.current_epoch, trainer.fit_loop.batch_idx))


@pytest.mark.parametrize(
    ("options", "resumable"),
    [
        ({}, {0, 1, 2, 3, 4, 5}),
        ({"accumulate_grad_batches": 2}, {1, 3, 5}),
        ({"accumulate_grad_batches": 4}, {3}),
        ({"val_check_interval": 3}, {0, 1, 3, 4}),
        ({"val_check_interval": 3, "accumulate_grad_batches": 2}, {1, 3}),
        ({"val_check_interval": 1}, set()),
        ({"limit_val_batches": 0}, {0, 1, 2, 3, 4, 5}),
    ],
)
def test_resumable_steps_are_those_between_steps_and_validations(
    tmp_path: Path, options: dict[str, Any], resumable: set[int]
) -> None:
    compare = Compare()
    trainer = fit(tmp_path, compare, **options)
    assert compare.resumable == [(epoch, batch) for epoch in range(2) for batch in sorted(resumable)]
    assert not set(compare.validated) & set(compare.resumable)
    assert trainer.current_epoch == 2


def test_validation_interval_across_epochs_counts_all_batches(tmp_path: Path) -> None:
    compare = Compare()
    fit(tmp_path, compare, val_check_interval=4, check_val_every_n_epoch=None)
    assert compare.validated == [(0, 3), (1, 0), (1, 4)]
    last_batches = {(0, BATCHES - 1), (1, BATCHES - 1)}
    everything = {(epoch, batch) for epoch in range(2) for batch in range(BATCHES)}
    assert set(compare.resumable) == everything - last_batches - set(compare.validated)


def test_restored_metrics_stay_until_they_are_logged_again(tmp_path: Path) -> None:
    seen: list[float] = []

    class Restore(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            restore_callback_metrics(trainer, {"val/loss": 0.25})

        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            seen.append(float(trainer.callback_metrics["val/loss"]))

        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            seen.append(float(trainer.callback_metrics["val/loss"]))

    fit(tmp_path, Restore(), max_epochs=1)
    assert seen == [0.25] * BATCHES + [0.5]


def test_trainer_restores_a_checkpoint_between_setup_and_the_start_of_training(tmp_path: Path) -> None:
    """`training.restore_errors` relies on this order to recognize errors of the checkpoint."""
    order: list[str] = []

    class Observe(Callback):
        def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
            order.append("setup")

        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            order.append(f"start at step {trainer.global_step}")

        def state_dict(self) -> dict[str, Any]:
            return {"a": 1}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            order.append("load callback")

    trainer = fit(tmp_path, Observe(), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    order.clear()
    trainer.fit_loop.max_epochs = 2
    batches = DataLoader(TensorDataset(torch.zeros(BATCHES, 1)))
    trainer.fit(Module(), batches, batches, ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    assert order == ["setup", "load callback", f"start at step {BATCHES}"]


def test_checkpoint_callbacks_are_called_last_in_the_given_order() -> None:
    class First(Checkpoint): ...

    class Second(Checkpoint): ...

    class Other(Callback): ...

    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[First(), Second(), Other()])
    ours = [c for c in trainer.callbacks if isinstance(c, First | Second | Other)]  # type: ignore[attr-defined]
    assert [type(callback) for callback in ours] == [Other, First, Second]
    assert [type(callback) for callback in trainer.checkpoint_callbacks] == [First, Second]
    assert LastCheckpoint("x", None, None).state_key == "LastCheckpoint"


def test_sigterm_broadcast_is_the_method_that_the_training_loop_calls() -> None:
    assert list(inspect.signature(_TrainingEpochLoop._broadcast_sigterm_tensor).parameters) == ["self"]
    assert "self._broadcast_sigterm_tensor()" in inspect.getsource(_TrainingEpochLoop.advance)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    disable_sigterm_broadcast(trainer)
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor()  # would fail without a process group


def test_sigterm_handler_is_the_method_that_lightning_installs() -> None:
    source = inspect.getsource(_SignalConnector.register_signal_handlers)
    assert "[self._sigterm_notifier_fn]" in source
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    received: list[int] = []
    handle_sigterm(trainer, lambda number, frame: received.append(number))
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    trainer._signal_connector.register_signal_handlers()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        trainer._signal_connector.teardown()
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_collective_timeout_applies_to_the_group_that_exists(tmp_path: Path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        set_collective_timeout(7)
        backend = distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))
        assert backend.options._timeout.total_seconds() == 7
    finally:
        torch.distributed.destroy_process_group()


def test_rank_observer_is_the_function_that_the_launcher_calls() -> None:
    original = subprocess_script._launch_process_observer  # type: ignore[attr-defined]
    assert list(inspect.signature(original).parameters) == ["child_processes"]
    launch = inspect.getsource(subprocess_script._SubprocessScriptLauncher.launch)
    assert "_launch_process_observer(self.procs)" in launch
    observed: list[Any] = []
    with rank_observer(observed.append):
        assert subprocess_script._launch_process_observer == observed.append  # type: ignore[attr-defined]
    assert subprocess_script._launch_process_observer is original  # type: ignore[attr-defined]


def test_weight_averaging_swaps_in_the_hooks_that_ema_overrides() -> None:
    """`callbacks.ema` creates `_average_model` itself, and skips these hooks before the first update."""
    assert "self._average_model = AveragedModel(" in inspect.getsource(WeightAveraging.setup)
    for hook in (WeightAveraging.on_validation_epoch_start, WeightAveraging.on_validation_epoch_end):
        assert "self._swap_models(pl_module)" in inspect.getsource(hook)
    assert "self._copy_average_to_current(pl_module)" in inspect.getsource(WeightAveraging.on_train_end)
    source = inspect.getsource(WeightAveraging)
    assert source.count("self._swap_models(") == 2
    assert source.count("self._copy_average_to_current(") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a module that torch.compile imports
def test_compile_error_is_the_base_of_the_compilers_errors() -> None:
    from torch._dynamo.exc import BackendCompilerFailed, Unsupported

    assert issubclass(BackendCompilerFailed, compile_error())
    assert issubclass(Unsupported, compile_error())


@pytest.mark.run
def test_tensorboard_uses_its_stub_if_the_module_exists() -> None:
    program = """
import sys
from mobilenet_lab.runtime.lightning_internals import hide_tensorflow_from_tensorboard
hide_tensorflow_from_tensorboard()
from tensorboard.compat import tf
print(tf.__version__, 'tensorflow' in sys.modules)
"""
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=source, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["stub", "False"]


def test_test_is_logged_at_the_last_step_and_epoch(tmp_path: Path) -> None:
    """Both counters lag behind in a run that resumes with nothing left to train, as they are set here."""

    class Tested(Module):
        def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
            self.log("test/loss", torch.tensor(0.5))

    options = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    logger = CSVLogger(tmp_path, name="", version="")
    limits = {"max_epochs": 2, "limit_val_batches": 0, "log_every_n_steps": 1}
    trainer = Trainer(accelerator="cpu", logger=logger, **limits, **options)  # type: ignore[arg-type]
    module, loader = Tested(), DataLoader(TensorDataset(torch.zeros(BATCHES)))
    trainer.fit(module, loader, loader)
    trainer.fit_loop.epoch_loop._batches_that_stepped -= 1
    trainer.fit_loop.epoch_progress.current.completed -= 1  # type: ignore[attr-defined]
    complete_counters(trainer)
    trainer.test(module, loader, verbose=False)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "epoch,step,test/loss",
        f"2,{2 * BATCHES},0.5",
    ]


def test_ddp_strategy_wraps_its_model_again() -> None:
    """tests/training/test_fine_tuning.py checks the result of `wrap_model_again` on two ranks."""
    source = inspect.getsource(DDPStrategy.configure_ddp)
    assert "self.model = self._setup_model(self.model)" in source
    assert "self._register_ddp_hooks()" in source
