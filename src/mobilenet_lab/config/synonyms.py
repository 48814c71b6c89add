"""The names that other tools have for settings; docs/configuration.md lists them."""

from collections.abc import Container

# The names of other tools, in lower case with underscores, and the settings that a script may have instead
SYNONYMS: dict[str, tuple[str, ...]] = {
    "learning_rate": ("optimizer.lr",),
    "lr0": ("optimizer.lr",),
    "wd": ("optimizer.weight_decay",),
    "decay": ("optimizer.weight_decay",),
    "epochs": ("trainer.max_epochs",),
    "num_epochs": ("trainer.max_epochs",),
    "n_epochs": ("trainer.max_epochs",),
    "steps": ("trainer.max_steps",),
    "iterations": ("trainer.max_steps",),
    "num_steps": ("trainer.max_steps",),
    "batch": ("data.batch_size", "batch_size"),
    "bs": ("data.batch_size", "batch_size"),
    "train_batch_size": ("data.batch_size",),
    "val_batch_size": ("data.eval_batch_size",),
    "test_batch_size": ("data.eval_batch_size",),
    "workers": ("data.num_workers",),
    "num_workers": ("data.num_workers",),
    "lr": ("optimizer.lr",),
    "batch_size": ("data.batch_size", "batch_size"),
    "gpus": ("trainer.devices",),
    "num_gpus": ("trainer.devices",),
    "gpu": ("trainer.accelerator", "accelerator"),
    "cuda": ("trainer.accelerator", "accelerator"),
    "device": ("trainer.accelerator", "accelerator"),
    "nodes": ("trainer.num_nodes",),
    "amp": ("trainer.precision",),
    "fp16": ("trainer.precision",),
    "half": ("trainer.precision",),
    "mixed_precision": ("trainer.precision",),
    "img_size": ("data.image_size",),
    "imgsz": ("data.image_size",),
    "imgsize": ("data.image_size",),
    "input_size": ("data.image_size",),
    "resolution": ("data.image_size",),
    "width": ("model.filters",),
    "width_mult": ("model.filters",),
    "alpha": ("model.filters",),
    "drop": ("model.dropout",),
    "drop_rate": ("model.dropout",),
    "smoothing": ("task.label_smoothing",),
    "dataset": ("data",),
    "data_dir": ("data.root",),
    "data_path": ("data.root",),
    "dataset_path": ("data.root",),
    "validation_split": ("data.val_split",),
    "clip": ("trainer.gradient_clip_val",),
    "clip_grad": ("trainer.gradient_clip_val",),
    "grad_clip": ("trainer.gradient_clip_val",),
    "accumulate": ("trainer.accumulate_grad_batches",),
    "gradient_accumulation_steps": ("trainer.accumulate_grad_batches",),
    "warmup": ("scheduler.warmup_steps",),
    "opt": ("optimizer",),
    "optim": ("optimizer",),
    "sched": ("scheduler",),
    "lr_scheduler": ("scheduler",),
    "aug": ("augmentation",),
    "augment": ("augmentation",),
    "arch": ("model",),
    "network": ("model",),
    "logging": ("logger",),
    "random_seed": ("seed",),
    "manual_seed": ("seed",),
    "threads": ("num_threads",),
    "out": ("output_dir",),
    "output": ("output_dir",),
    "out_dir": ("output_dir",),
    "outdir": ("output_dir",),
    "save_dir": ("output_dir",),
    "log_dir": ("output_dir",),
    "run_dir": ("output_dir",),
    "checkpoint": ("ckpt", "resume"),
    "ckpt": ("resume",),
    "ckpt_path": ("ckpt", "resume"),
    "model_path": ("ckpt", "resume"),
    "weights": ("model.weights", "ckpt"),
    "pretrained": ("model.weights", "ckpt"),
    "pretrained_weights": ("model.weights", "ckpt"),
    "init_from": ("model.weights", "ckpt"),
    "freeze": ("task.freeze_stages",),
    "freeze_backbone": ("task.freeze_stages",),
    "freeze_layers": ("task.freeze_stages",),
    "backbone_lr": ("task.backbone_lr_factor",),
    "input": ("image",),
    "images": ("image",),
    "file": ("image",),
    "path": ("image", "data.root"),
}
# Settings of other tools that have no key here, and what to do instead
ADVICE = {
    "num_classes": "the data set sets the number of classes",
    "classes": "the data set sets the classes",
    "patience": "use callbacks=early_stopping callbacks.early_stopping.patience=...",
    "early_stop": "use callbacks=early_stopping",
    "early_stopping": "use callbacks=early_stopping",
    "ema": "use callbacks=ema",
    "mixup": "use mixing=mixup",
    "cutmix": "use mixing=cutmix",
    "wandb": "use logger=wandb",
    "tensorboard": "use logger=tensorboard",
    "ddp": "use trainer=ddp",
    "multirun": "use -m",
    "sweep": "use -m",
}


def translate(key: str, known: Container[str]) -> str | None:
    """Return the setting that a key of another tool means.

    Args:
        key: A dotted key; only its last name counts.
        known: The keys of the configuration.
    """
    compact = {name.replace("_", ""): settings for name, settings in SYNONYMS.items()}
    settings = compact.get(spelled(key.rpartition(".")[2]).replace("_", ""), ())
    return next((setting for setting in settings if setting in known), None)


def advice(key: str) -> str | None:
    """Return what to do instead of setting a key of another tool that has no counterpart here."""
    return ADVICE.get(spelled(key.rpartition(".")[2]))


def spelled(name: str) -> str:
    """Return a name in lower case, with underscores instead of dashes."""
    return name.lower().replace("-", "_")
