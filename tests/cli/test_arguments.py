import pytest

from mobilenet_lab.cli.arguments import order_arguments
from mobilenet_lab.runtime.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        (["a=1", "-m", "b=2,3"], ["-m", "a=1", "b=2,3"]),
        (["--config-dir", "x", "a=1", "-cn", "t", "b=2"], ["--config-dir", "x", "-cn", "t", "a=1", "b=2"]),
        (["a=-1", "~b.c", "image=-"], ["a=-1", "~b.c", "image=-"]),
        (["a=1", "--cfg", "job"], ["--cfg", "job", "a=1"]),
        (["a=1", "--help"], ["--help", "a=1"]),
        ([], []),
    ],
)
def test_options_and_overrides_may_be_mixed(arguments: list[str], ordered: list[str]) -> None:
    assert order_arguments(arguments) == ordered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed=3", "a=1"], "--seed=3: a setting has no dashes; use seed=3"),
        (["a=1", "--seed", "3"], "--seed: a setting has no dashes; use seed=3"),
        (["--model.filters=4"], "--model.filters=4: a setting has no dashes; use model.filters=4"),
        (["--epochs=3"], "--epochs=3: a setting has no dashes; use trainer.max_epochs=3"),
        (["--weight-decay", "--nesterov"], "--weight-decay: a setting has no dashes; use weight_decay=..."),
        (["--cfg", "jobs"], "--cfg/-c: invalid choice: 'jobs'"),
        (["--config-dir"], "--config-dir/-cd: expected one argument; see --hydra-help"),
    ],
)
def test_wrong_option_is_one_line_with_the_fix(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        order_arguments(arguments)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
