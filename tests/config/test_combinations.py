"""Settings that are valid by themselves but not together end in one line that says how to fix them."""

from pathlib import Path

import pytest
from conftest import composed

from mobilenet_lab.runtime.errors import InputError

CPU = "trainer.accelerator=cpu"
STOP = "lightning.pytorch.callbacks.EarlyStopping"
NO_STEPS = "trainer.max_epochs=-1 trainer.max_time=00:01:00:00"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            "data.image_size=8",
            "data.image_size=8: model.stem_stride=1 and model.strides=[1, 2, 2, 2, 1, 2, 1] reduce it to one",
        ),
        (
            "data.image_size=40 model.strides=[2,2,2,2,2,2,2]",
            "data.image_size=40: model.stem_stride=2 and model.strides=[2, 2, 2, 2, 2, 2, 2] reduce it to",
        ),
        ("data.mean=[0.1,0.2,0.3]", "data.mean=[0.1, 0.2, 0.3]: has 3 numbers; use 1 or data.channels=1"),
        (
            "data.channels=3 data.std=[0.1,0.2]",
            "data.std=[0.1, 0.2]: has 2 numbers; use 1 or data.channels=3",
        ),
        ("augmentation.pixels=28", "augmentation.pixels=28: moves images of 28 pixels out of the frame"),
        (
            "augmentation=flip augmentation.translate.pixels=99",
            "augmentation.translate.pixels=99: moves images of 28 pixels out of the frame",
        ),
        (
            f"{CPU} trainer.precision=16-mixed",
            "trainer.precision=16-mixed: needs a GPU; on a CPU use 32-true or bf16-mixed",
        ),
        (f"{CPU} trainer.sync_batchnorm=true", "trainer.sync_batchnorm=true: needs GPUs; on a CPU use"),
        (f"{CPU} trainer.devices=[0,1]", "trainer.devices=[0, 1]: on a CPU use a number of processes"),
        (f"{CPU} trainer.devices=-1", "trainer.devices=-1: on a CPU use a number of processes"),
        (
            "trainer.deterministic=true task.compile=max-autotune",
            "task.compile=max-autotune: chooses kernels by measured time, which varies; with",
        ),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1: the run would never end; set trainer.max_steps or"),
        (
            "trainer.val_check_interval=0.5 trainer.check_val_every_n_epoch=null",
            "trainer.val_check_interval=0.5: is a fraction of an epoch; with",
        ),
        (
            "trainer.check_val_every_n_epoch=5 trainer.max_epochs=2",
            "trainer.check_val_every_n_epoch=5: trainer.max_epochs=2 ends the run before; to train",
        ),
        (
            "trainer.num_nodes=2",
            "trainer.num_nodes=2: needs a launcher; on every node use torchrun --nnodes=2",
        ),
        (
            "optimizer.momentum=0",
            "optimizer.nesterov=true: needs optimizer.momentum above 0 and optimizer.dampening=0; or use",
        ),
        (
            "optimizer=adamw optimizer.lr=0.5 optimizer.weight_decay=2",
            "optimizer.weight_decay=2: with optimizer.lr=0.5, a single step would reduce the weights to 0",
        ),
        (
            "scheduler=plateau scheduler.min_lr=0.1",
            "scheduler.min_lr=0.1: is not below optimizer.lr=0.1, the rate at the start; use a",
        ),
        ("optimizer.dampening=0.1", "optimizer.nesterov=true: needs optimizer.momentum above 0"),
        (
            "trainer.precision=16-mixed trainer.gradient_clip_val=1",
            "trainer.gradient_clip_val=1: trainer.precision=16-mixed cannot clip for a fused optimizer",
        ),
        *(
            (f"scheduler={name} {NO_STEPS}", f"scheduler={name}: needs the number of steps; set")
            for name in ("onecycle", "cosine", "cosine_restarts", "range_test")
        ),
        (
            "scheduler=plateau trainer.check_val_every_n_epoch=2",
            "trainer.check_val_every_n_epoch=2: scheduler=plateau needs a validation after every epoch",
        ),
        (
            "scheduler=plateau trainer.check_val_every_n_epoch=null trainer.val_check_interval=5",
            "trainer.check_val_every_n_epoch=null: scheduler=plateau needs",
        ),
        (
            "callbacks.best.mode=min",
            "callbacks.best.mode=min: does not fit callbacks.best.monitor=val/accuracy; use",
        ),
        (
            "callbacks.best.monitor=val/loss callbacks.best.mode=max",
            "callbacks.best.mode=max: does not fit callbacks.best.monitor=val/loss; use",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.mode=max",
            "callbacks.early_stopping.mode=max: does not fit callbacks.early_stopping.monitor=val/loss; use",
        ),
        (
            f"+callbacks.stop._target_={STOP} +callbacks.stop.monitor=val_loss",
            "callbacks.stop.monitor=val_loss: no such metric is logged; did you mean val/loss?",
        ),
        (
            "callbacks.best.monitor=speed",
            "callbacks.best.monitor=speed: no such metric is logged; use one of train/accuracy, ",
        ),
    ],
)
def test_conflicting_settings_are_one_line(overrides: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        composed(*overrides.split())
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["none", "plateau"])
def test_schedule_without_a_number_of_steps_runs_for_a_time(name: str) -> None:
    composed(f"scheduler={name}", *NO_STEPS.split())


def test_schedule_is_recognized_in_a_users_own_file(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/mine.yaml").write_text("defaults:\n  - plateau\n\npatience: 5\n")
    (tmp_path / "scheduler/bow.yaml").write_text("defaults:\n  - onecycle\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    with pytest.raises(InputError, match="scheduler=mine needs a validation after every epoch"):
        composed(search, "scheduler=mine", "trainer.check_val_every_n_epoch=2")
    with pytest.raises(InputError, match="scheduler=bow: needs the number of steps"):
        composed(search, "scheduler=bow", *NO_STEPS.split())


@pytest.mark.parametrize("size", [8, 9, 16, 17, 28, 33, 39, 40, 41, 64, 65])
@pytest.mark.parametrize("strides", ["[1,2,2,2,1,2,1]", "[2,2,2,2,2,2,2]", "[1,1,1,1,1,1,1]"])
def test_strides_are_checked_as_the_network_applies_them(size: int, strides: str) -> None:
    import torch

    from mobilenet_lab.models import build_network

    settings = {"filters": 1, "strides": [int(stride) for stride in strides[1:-1].split(",")]}
    network = build_network("mobilenet_v2", image_size=size, stem_stride=None, **settings).eval()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.stride != (1, 1)]
    sides: list[int] = []
    for convolution in convolutions:
        convolution.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[-1]))
    network(torch.zeros(1, 1, size, size))
    overrides = (f"data.image_size={size}", f"model.strides={strides}", "augmentation=none")
    if 1 in sides:
        with pytest.raises(InputError, match="one pixel before the last stride"):
            composed(*overrides)
    else:
        composed(*overrides)


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
def test_torchrun_must_start_the_configured_processes(
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


@pytest.mark.parametrize("name", ["train", "bash"])
def test_slurm_tasks_without_a_number_per_node_are_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", name)
    if name == "bash":  # an interactive shell in an allocation
        composed()
        return
    with pytest.raises(InputError, match=r"^SLURM_NTASKS=2: Slurm does not .* use --ntasks-per-node=2"):
        composed()
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    composed()
