"""Everything that relies on undocumented parts of Lightning, PyTorch and TensorBoard.

Written for lightning 2.6.6, torch 2.13 and tensorboard 2.20. tests/runtime/test_lightning_internals.py fails
when one of these parts changes: read that test before raising a version limit in pyproject.toml.
"""

import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import subprocess_script
from torch.distributed import distributed_c10d


def ends_epoch(trainer: Trainer) -> bool:
    """Return whether the current batch is the last one of the epoch.

    Relies on: `fit_loop.batch_idx`. `trainer.is_last_batch` alone depends on how batches are prefetched.
    """
    return trainer.is_last_batch or trainer.fit_loop.batch_idx + 1 == trainer.num_training_batches


def is_accumulating(trainer: Trainer) -> bool:
    """Return whether the current batch only adds to the gradients, without an optimizer step.

    Relies on: Lightning steps after the last batch of an epoch, even if fewer batches have been accumulated.
    """
    batches = trainer.fit_loop.batch_idx + 1
    return not ends_epoch(trainer) and batches % trainer.accumulate_grad_batches > 0


def is_resumable_step(trainer: Trainer) -> bool:
    """Return whether a checkpoint written now, in `on_train_batch_end`, resumes exactly.

    Three kinds of batches are not resumable:

    - the last batch of an epoch: Lightning would skip the validation and the hooks of the epoch's end;
    - a batch before a validation within the epoch: Lightning would skip this validation;
    - a batch that only adds to the gradients, which no checkpoint holds.

    Relies on: `fit_loop.batch_idx` and `fit_loop.total_batch_idx`; `trainer.val_check_batch`, which counts
    batches of the epoch, or of all epochs if `check_val_every_n_epoch` is None.
    """
    if ends_epoch(trainer) or is_accumulating(trainer):
        return False
    interval, loop = trainer.val_check_batch, trainer.fit_loop
    if interval in (None, float("inf")):
        return True
    batches = (loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx) + 1
    return batches % int(interval) > 0


def batches_done(trainer: Trainer) -> int:
    """Return the number of batches done in the current epoch; 0 at its end.

    Relies on: `fit_loop.batch_idx`.
    """
    return 0 if trainer.is_last_batch else trainer.fit_loop.batch_idx + 1


def complete_counters(trainer: Trainer) -> None:
    """Set the step and the epoch that `trainer.test` logs to those done; call it after the last `fit`.

    Both lag behind if a run resumes from a checkpoint that has nothing left to train.

    Relies on: `fit_loop.epoch_loop._batches_that_stepped` and `fit_loop.epoch_progress`.
    """
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
    current: Any = trainer.fit_loop.epoch_progress.current
    current.completed = current.processed


def restore_callback_metrics(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Set metrics that `trainer.callback_metrics` returns until they are logged again.

    `LightningModule.log` is no substitute: it would override a later validation at the end of the epoch.

    Relies on: `callback_metrics` returns the trainer's own dictionary, not a copy.
    """
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})


def disable_sigterm_broadcast(trainer: Trainer) -> None:
    """Keep Lightning from asking all ranks for SIGTERM before every batch, which waits for the device.

    Relies on: the training loop calls its method `_broadcast_sigterm_tensor` in `advance`. If the method is
    renamed, training only gets slower, and two mechanisms answer SIGTERM.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def handle_sigterm(trainer: Trainer, handler: Callable[[int, types.FrameType | None], None]) -> None:
    """Replace Lightning's handler of SIGTERM, which it installs before it loads data, validates or tests.

    Lightning's own waits for the other ranks inside the handler, and a run that loads data or tests ends only
    when it has finished.

    Relies on: `_SignalConnector.register_signal_handlers` installs its method `_sigterm_notifier_fn`.
    """
    trainer._signal_connector._sigterm_notifier_fn = handler  # type: ignore[method-assign,assignment]


def wrap_model_again(trainer: Trainer) -> None:
    """Let the ranks average the gradients of all parameters that have them now.

    DistributedDataParallel fixes these parameters when it wraps the module. It waits forever for a gradient
    that is missing, and never averages a new one.

    Relies on: `DDPStrategy.configure_ddp` wraps `strategy.model`, the bare module.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def set_collective_timeout(seconds: float) -> None:
    """Limit the time that a collective operation waits for other ranks.

    The timeout of `init_process_group` would also limit how long ranks may take to start.

    Relies on: `distributed_c10d._set_pg_timeout`, which has no public name.
    """
    distributed_c10d._set_pg_timeout(timedelta(seconds=seconds))


@contextmanager
def rank_observer(observe: Callable[[list[subprocess.Popen[Any]]], None]) -> Iterator[None]:
    """Replace Lightning's thread that watches the ranks of this machine while the block runs.

    Lightning's own looks every five seconds and kills all ranks, rank 0 included, without a message.

    Args:
        observe: Called once with the started processes.

    Relies on: the launcher calls the module's function `_launch_process_observer` after it starts the ranks.
    """
    original = subprocess_script._launch_process_observer  # type: ignore[attr-defined]
    subprocess_script._launch_process_observer = observe  # type: ignore[attr-defined,assignment]
    try:
        yield
    finally:
        subprocess_script._launch_process_observer = original  # type: ignore[attr-defined]


def compile_error() -> type[Exception]:
    """Return the base class of the errors of `torch.compile`.

    Relies on: `torch._dynamo.exc`; `torch.compiler` has no public name for it. The import takes a second.
    """
    from torch._dynamo.exc import TorchDynamoException

    return TorchDynamoException


def hide_tensorflow_from_tensorboard() -> None:
    """Keep TensorBoard's writer from importing all of TensorFlow if it is installed.

    Relies on: TensorBoard uses its own stub of TensorFlow if the module `tensorboard.compat.notf` exists.
    """
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
