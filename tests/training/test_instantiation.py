import pytest
from hydra.errors import InstantiationException
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.instantiation import build_member

STOP = "lightning.pytorch.callbacks.EarlyStopping"
CSV = "lightning.pytorch.loggers.CSVLogger"


class Fragile(Callback):
    def __init__(self, size: "UnknownType" = 0) -> None:  # type: ignore[name-defined]  # noqa: F821
        _ = 1 / size


def node(target: str, **arguments: object) -> DictConfig:
    return OmegaConf.create({"_target_": target, **arguments})


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        (STOP, {}, "callbacks.x: EarlyStopping needs monitor; set +callbacks.x.monitor=..."),
        (
            STOP,
            {"monitor": "a", "patienc": 1},
            "callbacks.x.patienc: EarlyStopping has no such argument; did ",
        ),
        (STOP, {"monitor": "a", "patience": "b"}, "callbacks.x.patience=b: must be an integer"),
        (
            STOP,
            {"monitor": "a", "stopping_threshold": [1]},
            "callbacks.x.stopping_threshold=[1]: must be a nu",
        ),
        (STOP, {"monitor": "a", "verbose": 1}, "callbacks.x.verbose=1: must be true or false"),
        (STOP, {"monitor": "a", "mode": "maxx"}, "callbacks.x: `mode` can be min, max, got maxx"),
        (
            CSV,
            {"save_dir": "."},
            f"callbacks.x._target_={CSV}: is not a Lightning callback; use another class",
        ),
        (STOP, {"_args_": ["a"]}, "callbacks.x._args_: is not supported; set each argument by its name, "),
        ("math.pi", {}, "callbacks.x._target_=math.pi: is not a Lightning callback; use another class"),
        ("math.sqrt", {"x": 4}, "callbacks.x.x: sqrt has no such argument; it takes none"),
        ("fractions.gcd", {}, None),
    ],
)
def test_wrong_callback_is_one_line(target: str, arguments: dict[str, object], message: str | None) -> None:
    # The class is missing in the last case, which Hydra reports.
    with pytest.raises(InputError if message else InstantiationException) as raised:
        build_member("callbacks.x", node(target, **arguments), Callback)
    assert str(raised.value).startswith(message or "Error locating target")


def test_right_callback_is_built() -> None:
    stop = build_member(
        "callbacks.x", node(STOP, monitor="a", min_delta=1, stopping_threshold=None), Callback
    )
    assert stop.monitor == "a"
    assert isinstance(build_member("logger.x", node(CSV, save_dir="."), Logger), Logger)


def test_bug_in_a_callback_keeps_its_traceback() -> None:
    with pytest.raises(InstantiationException, match="ZeroDivisionError"):
        build_member("callbacks.x", node(f"{__name__}.Fragile"), Callback)
