import pytest

from mobilenet_lab.runtime.invocation import config_options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["-m", "a=1", "--config-dir", "x y"], ["--config-dir=x y"]),
        (["-cn", "mine", "--config-path=/p", "-m"], ["--config-path=/p", "--config-name=mine"]),
        (["-c", "job", "config-dir=x"], []),
    ],
)
def test_options_that_say_where_the_configuration_is(arguments: list[str], options: list[str]) -> None:
    assert config_options(arguments) == options
