import atexit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.sweeps.sweep_folder import claim_sweep_folder


@pytest.fixture(autouse=True)
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
    """Release at the end of the test what is released at the end of the process."""
    monkeypatch.chdir(tmp_path)
    calls: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", calls.append)
    yield calls
    for call in calls:
        call()


def sweep(folder: str, *task: str, is_given: bool = True) -> Any:
    given = [f"hydra.sweep.dir={folder}"] if is_given else []
    return OmegaConf.create(
        {"hydra": {"sweep": {"dir": folder}, "overrides": {"hydra": given, "task": list(task)}}}
    )


def test_sweeps_of_the_same_second_get_folders_of_their_own() -> None:
    name = "outputs/multirun/2026-01-31/12-00-00"
    configs = [sweep(name, is_given=False) for _ in range(3)]
    for config in configs:
        OmegaConf.set_readonly(config.hydra, True)  # as Hydra does
        claim_sweep_folder(config)
    assert [config.hydra.sweep.dir for config in configs] == [name, f"{name}-2", f"{name}-3"]


def test_folder_of_another_sweep_is_refused(releases: list[Callable[[], object]]) -> None:
    Path("mine/0").mkdir(parents=True)
    for is_given in (True, False):  # on the command line or in a file
        with pytest.raises(InputError, match=r"^hydra.sweep.dir=mine: the folder holds other files \(0\); "):
            claim_sweep_folder(sweep("mine", "seed=1,2", is_given=is_given))
    assert releases == []
    assert [path.name for path in Path("mine").iterdir()] == ["0"]
    for setting in ("resume='auto'", "overwrite=True"):
        claim_sweep_folder(sweep("mine", setting))


def test_link_to_the_newest_run_is_no_folder_of_a_sweep() -> None:
    with pytest.raises(InputError, match=r"^hydra.sweep.dir=outputs/latest: outputs/latest is the name of "):
        claim_sweep_folder(sweep("outputs/latest"))
