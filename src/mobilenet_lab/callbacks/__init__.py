"""Callbacks of a training run.

Checkpoints:
    `last_checkpoint` writes the checkpoint to resume from, `best_checkpoint` the one to use.
End of a run:
    `max_steps` ends it after a number of steps, `early_stopping` when a metric no longer improves, `signals`
    after SIGINT or SIGTERM, and `nan_guard` when the loss is NaN or infinite. `monitor_check` refuses metrics
    that nobody logs.
Several ranks:
    `config_consistency` compares their settings, and `rank_watchdog` ends all when one dies.
Weights and learning rate:
    `ema` averages the weights, and `lr_finder` runs a learning-rate range test. `current_lr` is their mixin.
Reports:
    `history` keeps the metrics of each epoch, and `throughput` measures images per second. `progress` prints
    lines or, with `terminal_progress`, a bar; `epoch_lines` and `run_clock` are parts of both.
    `dashboard` logs what TensorBoard shows besides loss and accuracy, with `gradient_norm`, `embeddings` and
    `network_panels`.

Lightning calls subclasses of its `Checkpoint` after all other callbacks, in the order they are given in. So
`EpochHistory`, `MonitorCheck` and `StopOnSignal` are subclasses, too: the first two before the checkpoints,
the last after them.
"""
