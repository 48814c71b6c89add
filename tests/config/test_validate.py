"""Wrong keys, types and values end in one line that says how to fix them."""

from pathlib import Path

import pytest
from conftest import Script, composed, seconds_of_children

from mobilenet_lab.runtime.errors import InputError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+model.filtrs=4", r"model\.filtrs: no such key; did you mean model\.filters\?"),
        ("+filters=4", r"filters: no such key; did you mean model\.filters\?"),
        ("+model.label_smoothing=0", r"no such key; did you mean task\.label_smoothing\?"),
        ("+trainer.max_epoch=4", r"did you mean trainer\.max_epochs\?"),
        ("+model.color=red", r"model\.color: no such key; model has network, weights, filters"),
        ("~model.filters", r"model\.filters: the key is missing"),
        ("model.filters=0", r"model\.filters=0: must be a number from 1 to 1,024"),
        ("model.filters=4.5", r"model\.filters=4\.5: makes fractions of channels"),
        ("model.filters=many", r"model\.filters=many: must be a number"),
        ("model.filters=true", r"model\.filters=true: must be a number"),
        ("model.filters=null", r"model\.filters=null: must be a number"),
        ("model.strides=[1,2]", r"model\.strides=\[1, 2\]: must be a list of 7 integers from 1 to 8"),
        ("model.zero_init_residual=3", "must be true or false"),
        ("model.dropout=1.0", r"must be a number from 0 to 1 \(excluding 1\)"),
        ("model.bn_momentum=0", "must be a number from 0.0001 to 1"),
        ("task.class_weights=[1]", "must be balanced or a list of at least 2 numbers above 0 or null"),
        (
            "task.class_weights={cat:0}",
            r"class_weights=\{'cat': 0\}: must be .* or names with numbers above 0",
        ),
        ("task.compile=max", "must be one of default, reduce-overhead, max-autotune or null"),
        ("data.channels=2", "must be one of 1, 3"),
        ("data.image_size=0", "must be an integer from 8 to 4,096"),
        ("data.batch_size=1", "must be an integer of at least 2"),
        ("data.val_split=-1", r"must be a fraction from 0 to 1 \(excluding 1\) or a count"),
        ("data.val_split=1.0", r"must be a fraction from 0 to 1 \(excluding 1\) or a count"),
        ("data.val_split=2.5", r"must be a fraction from 0 to 1 \(excluding 1\) or a count"),
        ("data.resize=padd", r"must be one of auto, crop, pad, scale; did you mean pad\?"),
        ("data.mean=[]", "must be a number from 0 to 1 or a list of numbers from 0 to 1"),
        ("data.std=[0]", "must be a number from 0.001 to 1 or a list of numbers from 0.001 to 1"),
        ("data=image_folder", r"data\.root=null: must be a path"),
        ("augmentation=affine augmentation.scale=[1.1,0.9]", "a list of 2 ascending numbers from 0.1 to 10"),
        ("augmentation=flip augmentation.erase.area=[0.3,0.1]", "a list of 2 ascending numbers from 0 to 1"),
        ("optimizer.lr=0", "must be a number from 1e-12 to 1,000"),
        ("optimizer.lr=fast", "must be a number from 1e-12 to 1,000"),
        ("optimizer.lr=inf", "must be a number from 1e-12 to 1,000"),
        ("optimizer.lr=1e-320", "must be a number from 1e-12 to 1,000; only integers below 2.63 and numbers"),
        ("optimizer.weight_decay=nan", "must be a number from 0 to 10"),
        ("optimizer.weight_decay=1e10", "must be a number from 0 to 10"),
        ("task.label_smoothing=0.999", "must be a number from 0 to 0.5"),
        # Values that are equal to an accepted one, but of another type
        ("data.channels=true", "data.channels=true: must be one of 1, 3"),
        ("data.channels=1.0", "data.channels=1.0: must be one of 1, 3"),
        ("trainer.precision=32.0", "trainer.precision=32.0: must be one of 32-true, 32"),
        # The rules of data.image_size and output_dir, to whose values these keys default
        ("data=image_folder data.root=x data.source.size=4097", "must be an integer from 8 to 4,096"),
        ("callbacks.best.folder=7", r"callbacks\.best\.folder=7: must be a folder"),
        ("logger.csv.save_dir=null", r"logger\.csv\.save_dir=null: must be a folder"),
        ("data.image_size=28.0", "must be an integer from 8 to 4,096"),
        # Numbers that neither PyTorch nor Lightning can take
        (f"trainer.accumulate_grad_batches={10**23}", r"an integer of at least 1; only integers below 2\^63"),
        (f"data.eval_batch_size={10**400}", r"an integer of at least 1; only integers below 2\^63"),
        ("scheduler=range_test scheduler.start_factor=0", r"a number from 0 to 1 \(excluding 0\)"),
        *(
            (f"scheduler=cosine_restarts scheduler.cycles={wrong}", "a list of integers of at least 1")
            for wrong in ("[]", "[1,0]", "[1.5]", "3")
        ),
        ("trainer.accelerator=gpuu", r"must be one of cpu, gpu, .* did you mean gpu\?"),
        ("trainer.devices=0", "an integer of at least 1 or one of auto, -1 or a list of distinct integers"),
        ("trainer.devices=[0,0]", "a list of distinct integers of at least 0"),
        ("trainer.limit_train_batches=0", r"a fraction from 0 to 1 \(excluding 0\) or a count of at least 1"),
        ("trainer.limit_val_batches=inf", "must be a fraction from 0 to 1 or a count"),
        ("trainer.val_check_interval=0", r"a fraction from 0 to 1 \(excluding 0\) or a count of at least 1"),
        ("trainer.max_epochs=0", "must be an integer of at least 1 or -1"),
        ("trainer.max_time=00:00:00:00", "must be a time above 0"),
        ("trainer.max_time=soon", "must be a time above 0 as DD:HH:MM:SS or null"),
        ("trainer.accumulate_grad_batches=1.5", "must be an integer of at least 1"),
        ("trainer.use_distributed_sampler=true", r"use_distributed_sampler=true: must be false"),
        ("trainer.sync_batchnorm=maybe", "must be true or false"),
        ("trainer.precision=bf17-mixed", r"did you mean bf16-mixed\?"),
        ("trainer.strategy=dpp", r"did you mean ddp\?"),
        ("seed=-1", "must be an integer from 0 to 4,294,967,295"),
        ("output_dir=", "must be a folder"),
        ("objective=val/acc", r"must be one of val/accuracy, .*; did you mean val/accuracy\?"),
        ("callbacks.best.monitor=val/acc", r"did you mean val/accuracy\?"),
        ("+callbacks.mine._target_=5", r"callbacks\.mine: needs a class; set callbacks\.mine\._target_="),
        ("+callbacks.mine.patience=3", r"callbacks\.mine: needs a class; set callbacks\.mine\._target_="),
    ],
)
def test_wrong_setting_is_one_line_with_the_fix(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        composed(*override.split())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("folder", ["~/run", "~", "$HOME/run", "file:///tmp/run", "memory://run", "a::b"])
def test_output_dir_that_libraries_expand_is_refused(folder: str) -> None:
    with pytest.raises(InputError, match=r"output_dir=.*: must be a folder without ~ at its start"):
        composed(f"output_dir='{folder}'")


@pytest.mark.parametrize(
    "override",
    [
        "model.stem_stride=2",
        "task.compile=reduce-overhead",
        "data.val_split=0",
        "data.mean=[0.4]",
        "callbacks.best=null",
        "trainer.deterministic=warn",
        "trainer.devices=-1",
        "trainer.val_check_interval=50 trainer.check_val_every_n_epoch=null",
        "callbacks.best.monitor=val/loss callbacks.best.mode=min",
        "callbacks.best.monitor=train/loss",
        "callbacks.best.monitor=val/mine +callbacks.mine._target_=my_package.Mine",
        "callbacks=[ema,early_stopping] callbacks.early_stopping.monitor=val/accuracy",
        "optimizer.momentum=0 optimizer.nesterov=false",
        "data.image_size=16",
        "task.class_weights={cat:2.5,10:1,a.b:2}",
        "data.resize=pad data.image_size=56",
        "trainer.devices=[0,1]",
        "trainer.limit_train_batches=10",
        "callbacks.checkpoint.every_n_train_steps=50",
        "~callbacks.best",
        "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        "trainer.max_time=00:00:05:00",
    ],
)
def test_valid_settings_pass(override: str) -> None:
    composed(*override.split())


def test_unknown_key_in_an_experiment_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/typo.yaml").write_text("# @package _global_\nmodel:\n  filtrs: 4\n")
    with pytest.raises(InputError, match=r"model\.filtrs: no such key"):
        composed(f"hydra.searchpath=[file://{tmp_path}]", "experiment=typo")


@pytest.mark.parametrize(
    ("script_name", "formats"), [("predict", "text, json, csv or null"), ("evaluate", "text, json")]
)
def test_formats_differ_between_scripts(script_name: str, formats: str) -> None:
    image = ["image=x.png"] if script_name == "predict" else []
    composed("format=json", *image, script=script_name)
    with pytest.raises(InputError, match=f"must be one of {formats}$"):
        composed("format=xml", *image, script=script_name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.filtrs=4"], "model.filtrs: no such key; did you mean model.filters?"),
        (["+model.filtrs=4"], "model.filtrs: no such key; did you mean model.filters?"),
        (["optimizer=adamww"], "optimizer=adamww: must be one of adam, adamw, rmsprop, sgd"),
        (["modle=mobilenetv2"], "modle: no such key; did you mean model?"),
        (["model.filters=(1"], "cannot read 'model.filters=(1' as key=value"),
        (["model.filters=0"], "model.filters=0: must be a number"),
        (["optimizer=null"], "a group cannot be null"),
        (["callbacks.best.mode=min"], "callbacks.best.mode=min: does not fit callbacks.best.monitor"),
        (["resume=nowhere"], "resume=nowhere: no checkpoint"),
    ],
)
def test_script_fails_fast_in_one_line(fresh_script: Script, arguments: list[str], message: str) -> None:
    began = seconds_of_children()
    done = fresh_script("train.py", *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_unlimited_run_is_refused_without_importing_torch(fresh_script: Script) -> None:
    arguments = ("trainer.max_epochs=-1", "trainer.max_time=00:00:05:00")
    began = seconds_of_children()
    done = fresh_script("train.py", *arguments)
    assert seconds_of_children() - began < 1.5
    assert done.stderr.startswith("error: scheduler=onecycle: needs the number of steps")


@pytest.mark.parametrize(
    ("name", "arguments", "key"),
    [
        ("train.py", ["resume=outputs/2026-01-02/rum"], "resume"),
        ("evaluate.py", ["ckpt=outputs/2026-01-02/rum"], "ckpt"),
        ("export.py", ["ckpt=outputs/2026-01-02/rum", "format=torch_export"], "ckpt"),
        ("predict.py", ["ckpt=outputs/2026-01-02/rum", "image=x.png"], "ckpt"),
    ],
)
def test_missing_checkpoint_is_one_line_with_the_closest_run(
    fresh_script: Script, tmp_path: Path, name: str, arguments: list[str], key: str
) -> None:
    for run in ("2026-01-01/new", "2026-01-02/run"):
        (tmp_path / "outputs" / run / "checkpoints").mkdir(parents=True)
    began = seconds_of_children()
    done = fresh_script(name, *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {key}=outputs/2026-01-02/rum: no checkpoint")
    assert "; did you mean outputs/2026-01-02/run? " in done.stderr
    assert done.stderr.count("\n") == 1


def test_sweep_refuses_one_folder_for_all_jobs(script: Script) -> None:
    done = script("train.py", "-m", "seed=1,2", "output_dir=x")
    assert done.returncode == 2
    assert done.stderr.startswith("error: output_dir")


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
@pytest.mark.parametrize("name", ["train.py", "predict.py", "evaluate.py"])
def test_help_and_configuration_are_fast(fresh_script: Script, name: str, arguments: list[str]) -> None:
    began = seconds_of_children()
    done = fresh_script(name, *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 0, done.stderr
    assert "accelerator" in done.stdout
