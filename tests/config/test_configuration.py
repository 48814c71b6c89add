import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, Script, composed, seconds_of_children
from hydra.utils import get_class, get_method
from omegaconf import OmegaConf

from mobilenet_lab.config.fingerprint import flat_settings
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.hardware_checks import check_machine

CONF = ROOT / "conf"
CHOICES = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted(CONF.iterdir())
    if folder.is_dir()
}
TRAINED_GROUPS = [group for group in CHOICES if group not in ("experiment", "debug")]
NEEDS_A_FOLDER = ("idx", "image_folder")


def choose(group: str, choice: str) -> list[str]:
    root = ["data.root=somewhere"] if choice in NEEDS_A_FOLDER else []
    return [f"{group}={choice}", *root]


def test_groups_are_all_there() -> None:
    assert set(CHOICES) == {
        "augmentation",
        "callbacks",
        "data",
        "debug",
        "experiment",
        "logger",
        "mixing",
        "model",
        "optimizer",
        "scheduler",
        "trainer",
    }
    assert all(CHOICES.values())


@pytest.mark.parametrize(("group", "choice"), [(g, c) for g in CHOICES for c in CHOICES[g]])
def test_every_choice_composes_and_passes_the_check(group: str, choice: str) -> None:
    cfg = composed(*choose(group, choice))
    assert OmegaConf.to_container(cfg, resolve=True)


def covering_combinations() -> list[dict[str, str]]:
    """Choices for all groups at once, until every two choices of two groups have met."""
    open_pairs = {
        ((one, a), (other, b))
        for one, other in itertools.combinations(CHOICES, 2)
        for a, b in itertools.product(CHOICES[one], CHOICES[other])
    }
    assert len(open_pairs) > 300
    combinations, random = [], np.random.default_rng(0)
    while open_pairs:
        candidates = [{g: str(random.choice(c)) for g, c in CHOICES.items()} for _ in range(30)]
        # Begin from a pair that is still open, so that each round covers something.
        pair = sorted(open_pairs)[0]
        best = max(
            ({**candidate, **dict(pair)} for candidate in candidates),
            key=lambda c: len(open_pairs & set(itertools.combinations(c.items(), 2))),
        )
        open_pairs -= set(itertools.combinations(best.items(), 2))
        combinations.append(best)
    return combinations


def test_every_two_choices_compose_together() -> None:
    for combination in covering_combinations():
        root = ["data.root=somewhere"] if combination["data"] in NEEDS_A_FOLDER else []
        composed(*(f"{group}={choice}" for group, choice in combination.items()), *root)


def targets(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [target for child in node for target in targets(child)]
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node else []
    return own + [target for child in node.values() for target in targets(child)]


@pytest.mark.parametrize(
    ("group", "choice"),
    [(g, c) for g in TRAINED_GROUPS for c in CHOICES[g] if c not in ("wandb", "mlflow")],
)
def test_every_target_takes_its_arguments(group: str, choice: str) -> None:
    cfg: Any = OmegaConf.to_container(composed(*choose(group, choice)), resolve=True)
    found = targets(cfg[group])
    assert found or choice == "none"
    for node in found:
        path = node["_target_"]
        target = get_class(path) if path.rpartition(".")[2][0].isupper() else get_method(path)
        arguments = {key: value for key, value in node.items() if not key.startswith("_")}
        inspect.signature(target).bind_partial(**arguments)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+model.filtrs=4", r"model\.filtrs: no such key; did you mean model\.filters\?"),
        ("+filters=4", r"filters: no such key; did you mean model\.filters\?"),
        ("+trainer.max_epoch=4", r"did you mean trainer\.max_epochs\?"),
        ("+model.colour=red", r"model\.colour: no such key; model has network, filters"),
        ("~model.filters", r"model\.filters: the key is missing"),
        ("model.filters=0", r"model\.filters=0: must be a whole number from 1 to 1,024"),
        ("model.filters=4.5", r"model\.filters=4\.5: must be a whole number"),
        ("model.filters=many", r"model\.filters=many: must be a whole number"),
        ("model.filters=true", r"model\.filters=True: must be a whole number"),
        ("model.filters=null", r"model\.filters=null: must be a whole number"),
        ("model.strides=[1,2]", r"model\.strides=\[1, 2\]: must be a list of 7"),
        ("model.zero_init_residual=3", "must be true or false"),
        ("model.dropout=1.0", "must be a number from 0 to 1, less than that"),
        ("data.channels=2", "must be one of 1, 3"),
        ("data.image_size=0", "must be a whole number from 8 to 4,096"),
        ("data.batch_size=1", "of at least 2"),
        ("data.val_split=-1", "must be a fraction below 1 or a whole count"),
        ("data.val_split=2.5", "must be a fraction below 1 or a whole count"),
        ("data.resize=padd", r"did you mean pad\?"),
        ("data=image_folder", r"data\.root=null: must be a folder"),
        ("optimizer.lr=0", "must be a number above 0"),
        ("optimizer.lr=fast", "must be a number above 0"),
        ("trainer.accelerator=gpuu", r"must be one of cpu, gpu, .* did you mean gpu\?"),
        ("trainer.devices=0", "of at least 1 or one of auto, -1 or a list"),
        ("trainer.devices=[0,0]", "a list of the devices' numbers, each once"),
        (
            "trainer.limit_train_batches=0",
            "must be a fraction above 0, up to 1, or a whole count of at least 1",
        ),
        ("trainer.max_time=00:00:00:00", "must be a time above 0"),
        ("trainer.accumulate_grad_batches=1.5", "must be a whole number of at least 1"),
        ("trainer.use_distributed_sampler=true", "must be false, as the order of images knows the ranks"),
        ("trainer.sync_batchnorm=maybe", "must be true or false"),
        ("model.bn_momentum=0", "must be a number above 0, up to 1"),
        ("optimizer.lr=inf", "must be a number above 0"),
        ("optimizer.weight_decay=nan", "must be a number of at least 0"),
        ("output_dir=", "must be a folder's path"),
        ("trainer.max_epochs=0", "of at least 1"),
        ("trainer.precision=bf17-mixed", r"did you mean bf16-mixed\?"),
        ("seed=-1", "from 0 to 4,294,967,295"),
        ("trainer.limit_val_batches=inf", "must be a fraction from 0 to 1 or a whole count"),
        ("trainer.max_time=soon", "must be a time above 0 as DD:HH:MM:SS"),
        ("trainer.strategy=dpp", r"did you mean ddp\?"),
        (
            "trainer.val_check_interval=0",
            "must be a fraction above 0, up to 1, or a whole count of at least 1",
        ),
        ("trainer.max_epochs=-1", "needs an end"),
        ("data.mean=[]", "a list with a number for each channel"),
        ("data.mean=[0.1,0.2,0.3]", "needs 1 or data.channels=1 numbers"),
        ("data.std=[0]", "a list with a number above 0"),
        ("data.val_split=1.0", "must be a fraction below 1 or a whole count"),
        ("callbacks.best.monitor=val/acc", r"did you mean val/accuracy\?"),
        ("+callbacks.mine.patience=3", r"callbacks\.mine: needs a class"),
    ],
)
def test_wrong_settings_are_named_with_the_mend(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        composed(override)


CPU = "trainer.accelerator=cpu"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            "data.image_size=8",
            "data.image_size=8: model.stem_stride=1 and model.strides=[1, 2, 2, 2, 1, 2, 1] leave one pixel",
        ),
        (
            "data.image_size=40 model.strides=[2,2,2,2,2,2,2]",
            "data.image_size=40: model.stem_stride=2 and model.strides=[2, 2, 2, 2, 2, 2, 2] leave one pixel",
        ),
        (
            "data.channels=3 data.std=[0.1,0.2]",
            "data.std=[0.1, 0.2]: must be a number above 0 or a list with",
        ),
        ("data.channels=1 data.std=[1,1,1]", "data.std=[1, 1, 1]: needs 1 or data.channels=1 numbers"),
        (
            "augmentation=affine augmentation.scale=[1.1,0.9]",
            "augmentation.scale=[1.1, 0.9]: must be a list of 2 numbers above 0, the smaller first",
        ),
        (
            "augmentation=flip augmentation.erase.area=[0.3,0.1]",
            "augmentation.erase.area=[0.3, 0.1]: must be a list of 2 fractions from 0 to 1, the smaller",
        ),
        ("augmentation.pixels=28", "augmentation.pixels=28: shifts images of 28 pixels out of sight"),
        (
            "augmentation=flip augmentation.shift.pixels=99",
            "augmentation.shift.pixels=99: shifts images of 28 pixels out of sight",
        ),
        (
            f"{CPU} trainer.precision=16-mixed",
            "trainer.precision=16-mixed: for GPUs; on the CPU use 32-true or bf16-mixed",
        ),
        (f"{CPU} trainer.sync_batchnorm=true", "trainer.sync_batchnorm=true: for GPUs; on the CPU each rank"),
        (f"{CPU} trainer.devices=[0,1]", "trainer.devices=[0, 1]: on the CPU, a number of processes"),
        (f"{CPU} trainer.devices=-1", "trainer.devices=-1: on the CPU, a number of processes"),
        (
            "trainer.deterministic=true model.compile=max-autotune",
            "model.compile=max-autotune: chooses by the clock, so not with trainer.deterministic=true",
        ),
        (
            "trainer.val_check_interval=0.5 trainer.check_val_every_n_epoch=null",
            "trainer.val_check_interval=0.5: with trainer.check_val_every_n_epoch=null a whole",
        ),
        (
            "trainer.check_val_every_n_epoch=5 trainer.max_epochs=2",
            "trainer.check_val_every_n_epoch=5: never comes in trainer.max_epochs=2; to train",
        ),
        ("trainer.num_nodes=2", "trainer.num_nodes=2: to be started on every node, with torchrun --nnodes=2"),
        (
            "optimizer.momentum=0",
            "optimizer.nesterov=true: needs optimizer.momentum above 0 and optimizer.dampening=0; or use",
        ),
        ("optimizer.dampening=0.1", "optimizer.nesterov=true: needs optimizer.momentum above 0"),
        (
            "trainer.max_epochs=-1 trainer.max_time=00:01:00:00",
            "scheduler=onecycle: needs to know the run's steps: set trainer.max_epochs or trainer.max_steps",
        ),
        (
            "scheduler=cosine trainer.max_epochs=-1 trainer.max_time=00:01:00:00",
            "scheduler=cosine: needs to know the run's steps",
        ),
        (
            "scheduler=cosine_restarts trainer.max_epochs=-1 trainer.max_time=00:01:00:00",
            "scheduler=cosine_restarts: needs to know the run's steps",
        ),
        (
            "scheduler=plateau trainer.check_val_every_n_epoch=2",
            "trainer.check_val_every_n_epoch=2: scheduler=plateau looks at a validation after every epoch",
        ),
        *(
            (f"scheduler=cosine_restarts scheduler.cycles={wrong}", "scheduler.cycles=")
            for wrong in ("[]", "[1,0]", "[1.5]", "3")
        ),
        ("scheduler=range_test scheduler.start_factor=0", "scheduler.start_factor=0: must be above 0"),
        ("callbacks.best.mode=min", "callbacks.best.mode=min: val/accuracy needs callbacks.best.mode=max"),
        (
            "callbacks.best.monitor=val/loss",
            "callbacks.best.mode=max: val/loss needs callbacks.best.mode=min",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(overrides: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        composed(*overrides.split())
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            [],
            "trainer.devices=1 trainer.num_nodes=1: torchrun has started 2 processes; use trainer.devices=2",
        ),
        (["trainer.devices=2", "trainer.num_nodes=2"], "trainer.devices=2 trainer.num_nodes=2: torchrun has"),
        (["trainer.devices=2"], None),
        (["trainer.devices=auto"], None),
    ],
)
def test_torchrun_has_to_start_what_is_configured(
    monkeypatch: pytest.MonkeyPatch, settings: list[str], line: str | None
) -> None:
    place = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    if line is None:
        composed(*settings)
        return
    with pytest.raises(InputError, match=f"^{line}"):
        composed(*settings)


@pytest.mark.parametrize("folder", ["~/run", "~", "$HOME/run", "file:///tmp/run", "memory://run", "a::b"])
def test_a_folder_that_libraries_would_expand_is_refused(folder: str) -> None:
    with pytest.raises(InputError, match=r"output_dir=.*: must be a folder's path, without ~"):
        composed(f"output_dir='{folder}'")


def test_more_devices_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for devices, has in ((3, "has 2"), ([0, 2], "has 0 to 1")):
        with pytest.raises(InputError, match=re.escape(f"trainer.devices={devices}: this machine {has}")):
            check_machine({"accelerator": "gpu", "devices": devices, "num_nodes": 1})
    assert check_machine({"accelerator": "gpu", "devices": 2, "num_nodes": 1}) == 2


def test_a_setting_that_names_the_folder_alone_is_left_out() -> None:
    settings = flat_settings(composed("output_dir=a", "optimizer.lr=0.1"))
    assert (settings["optimizer.lr"], settings["trainer.accelerator"]) == (0.1, "auto")
    assert not {"output_dir", "callbacks.best.dirpath"} & settings.keys()


@pytest.mark.parametrize(
    "override",
    [
        "model.stem_stride=2",
        "data.val_split=0",
        "data.mean=[0.4]",
        "callbacks.best=null",
        "trainer.deterministic=warn",
        "trainer.devices=-1",
        "trainer.val_check_interval=50 trainer.check_val_every_n_epoch=null",
        "callbacks.best.monitor=val/loss callbacks.best.mode=min",
        "optimizer.momentum=0 optimizer.nesterov=false",
        "data.image_size=16",
        "data.resize=pad data.image_size=56",
        "trainer.devices=[0,1]",
        "trainer.limit_train_batches=10",
        "callbacks.checkpoint.every_n_train_steps=50",
        "~callbacks.best",
        "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        "trainer.max_time=00:00:05:00",
    ],
)
def test_right_settings_pass(override: str) -> None:
    composed(*override.split())


def test_unknown_key_in_an_experiment_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/typo.yaml").write_text("# @package _global_\nmodel:\n  filtrs: 4\n")
    with pytest.raises(InputError, match=r"model\.filtrs: no such key"):
        composed(f"hydra.searchpath=[file://{tmp_path}]", "experiment=typo")


@pytest.mark.parametrize("script_name", ["predict", "evaluate"])
def test_format_depends_on_the_script(script_name: str) -> None:
    image = ["image=x.png"] if script_name == "predict" else []
    composed("format=json", *image, script=script_name)
    with pytest.raises(InputError, match="must be one of text, json"):
        composed("format=xml", *image, script=script_name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.filtrs=4"], "model.filtrs: no such key; did you mean model.filters?"),
        (["+model.filtrs=4"], "model.filtrs: no such key; did you mean model.filters?"),
        (["optimizer=adamww"], "optimizer=adamww: must be one of adam, adamw, rmsprop, sgd"),
        (["modle=mobilenetv2"], "modle: no such key; did you mean model?"),
        (["model.filters=(1"], "cannot read 'model.filters=(1' as key=value"),
        (["model.filters=0"], "model.filters=0: must be a whole number"),
        (["optimizer=null"], "a group cannot be null"),
        (["callbacks.best.mode=min"], "callbacks.best.mode=min: val/accuracy needs callbacks.best.mode=max"),
        (["resume=nowhere"], "resume=nowhere: no checkpoint found; train a model first"),
    ],
)
def test_scripts_fail_fast_in_one_line(fresh_script: Script, arguments: list[str], message: str) -> None:
    began = seconds_of_children()
    done = fresh_script("train.py", *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "arguments", "key"),
    [
        ("train.py", ["resume=outputs/2026-01-02/rum"], "resume"),
        ("evaluate.py", ["ckpt=outputs/2026-01-02/rum"], "ckpt"),
        ("predict.py", ["ckpt=outputs/2026-01-02/rum", "image=x.png"], "ckpt"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_one_line_with_the_nearest(
    fresh_script: Script, tmp_path: Path, name: str, arguments: list[str], key: str
) -> None:
    for run in ("2026-01-01/new", "2026-01-02/run"):
        (tmp_path / "outputs" / run / "checkpoints").mkdir(parents=True)
    began = seconds_of_children()
    done = fresh_script(name, *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: {key}=outputs/2026-01-02/rum: no checkpoint found; did you mean outputs/2026-01-02/run? "
    )
    assert done.stderr.count("\n") == 1


def test_a_sweep_refuses_a_folder_for_all(script: Script) -> None:
    done = script("train.py", "-m", "seed=1,2", "output_dir=x")
    assert done.returncode == 2
    assert done.stderr.startswith("error: output_dir: a sweep numbers its runs' folders")


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
@pytest.mark.parametrize("name", ["train.py", "predict.py", "evaluate.py"])
def test_help_and_configuration_are_quick(fresh_script: Script, name: str, arguments: list[str]) -> None:
    began = seconds_of_children()
    done = fresh_script(name, *arguments)
    assert seconds_of_children() - began < 2
    assert done.returncode == 0, done.stderr
    assert "accelerator" in done.stdout
