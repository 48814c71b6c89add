import pytest

from mobilenet_lab.cli.argument_checks import check_arguments
from mobilenet_lab.runtime.errors import InputError


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.py", ["hydra.run.dir=/x"], "hydra.run.dir=/x: has no effect; use output_dir=/x"),
        ("train.py", ["++hydra.run.dir=x"], "hydra.run.dir=x: has no effect; use output_dir=x"),
        ("train.py", ["-m", "hydra.run.dir=x"], "hydra.run.dir=x: has no effect; use hydra.sweep.dir=x"),
        ("predict.py", ["hydra.run.dir=x"], "hydra.run.dir=x: has no effect; remove it, the script writes"),
        ("train.py", ["hydra.sweep.dir=x"], "hydra.sweep.dir=x: has an effect only in a sweep; add -m, or "),
    ],
)
def test_argument_without_effect_is_refused(script: str, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        check_arguments(f"/somewhere/{script}", arguments)
    assert str(refused.value).startswith(message)


def test_other_arguments_are_accepted() -> None:
    check_arguments("train.py", ["-m", "hydra.sweep.dir=x", "hydra.run.dir=.", "seed=1,2", "output_dir=画像"])
