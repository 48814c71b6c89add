"""One test for each error text of Hydra and OmegaConf that cli/hydra_messages.py matches."""

import sys

import hydra
import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate

from mobilenet_lab.cli.errors import is_user_fixable, one_line_errors
from mobilenet_lab.cli.hydra_messages import explain_hydra_error, explain_instantiation


@pytest.fixture(autouse=True)
def train_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])


def explanation(*overrides: str) -> str:
    """Return the explanation of an error in composing overrides."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        with pytest.raises(HydraException) as raised:
            compose("train", overrides=list(overrides))
        return explain_hydra_error(raised.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.filtrs=4", "model.filtrs: no such key; did you mean model.filters?"),
        ("sed=1", "sed: no such key; did you mean seed?"),
        ("model=mobilenet", "model=mobilenet: must be one of "),
        (
            "output_dir=a b=c",
            "cannot read 'output_dir=a b=c' as key=value; quote a value with special characters: ",
        ),
    ],
)
def test_composition_error_says_what_to_type(override: str, expected: str) -> None:
    assert explanation(override).startswith(expected)


@pytest.mark.parametrize("target", ["os.system", "subprocess.run", "builtins.eval"])
def test_target_that_runs_programs_is_one_line(target: str) -> None:
    with pytest.raises(InstantiationException) as raised:
        instantiate({"callbacks": {"evil": {"_target_": target}}})
    message = explain_instantiation(raised.value, is_user_fixable)
    assert (
        message
        == f"callbacks.evil._target_={target}: can run any program, which Hydra refuses; use another class"
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--resolve"],
            "error: The --resolve flag can only be used in conjunction with --cfg or --help; see",
        ),
        (
            ["--run", "--multirun"],
            "error: Only one of --run, --multirun, --cfg, --info and --shell_completion",
        ),
        (["--experimental-rerun", "x"], "error: File x does not exist; see --hydra-help"),
    ],
)
@pytest.mark.filterwarnings("ignore:Experimental rerun")
def test_wrong_options_of_hydra_are_one_line(
    options: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *options])
    main = hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="train")(
        lambda cfg: None
    )
    with pytest.raises(SystemExit), one_line_errors():
        main()
    assert capsys.readouterr().err.startswith(line)


def test_value_error_of_another_module_is_a_bug() -> None:
    with pytest.raises(ValueError, match="The --resolve flag is mine"), one_line_errors():
        raise ValueError("The --resolve flag is mine")


def test_null_group_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(SystemExit),
        one_line_errors(),
        initialize_config_dir(str(ROOT / "conf"), version_base="1.3"),
    ):
        compose("train", overrides=["optimizer=null"])
    assert capsys.readouterr().err.startswith("error: a group cannot be null or a number; ")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("no_such_package.Thing", "logger.wandb: No module named 'no_such_package'"),
        (
            "mobilenet_lab.models.NoSuchNetwork",
            "logger.wandb: No module named 'mobilenet_lab.models.NoSuchNetwork'",
        ),
    ],
)
def test_missing_target_names_its_key(target: str, expected: str) -> None:
    with pytest.raises(InstantiationException) as raised:
        instantiate({"logger": {"wandb": {"_target_": target}}})
    message = explain_instantiation(raised.value, is_user_fixable)
    assert message is not None
    assert message.startswith(expected)


def test_bug_in_a_constructor_is_not_explained() -> None:
    with pytest.raises(InstantiationException) as raised:
        instantiate({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 0})
    assert explain_instantiation(raised.value, is_user_fixable) is None


def test_missing_primary_config_names_the_option() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        with pytest.raises(HydraException) as raised:
            compose("foo")
        message = explain_hydra_error(raised.value)
    assert message == f"--config-name=foo: {ROOT / 'conf'} has no foo.yaml; leave out --config-name"
