"""The two checkpoints of a run: the last, to go on from, and the best, to use."""

from lightning.pytorch import Trainer


def is_resumable_step(trainer: Trainer) -> bool:
    """Whether a run that stops in `on_train_batch_end` can go on exactly where it was.

    Not before a validation, which Lightning leaves out when it goes on, and not between the batches whose
    gradients are added up.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    if progress.is_last_batch or trainer.fit_loop._should_accumulate():
        return False
    every, counts_over_epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch is None
    counted = progress.total.ready if counts_over_epochs else progress.current.processed  # type: ignore[attr-defined]
    return every in (None, float("inf")) or counted % int(every) > 0
