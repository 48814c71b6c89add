"""Devices that the machine does not have give a one-line error."""

import re

import pytest
import torch

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.hardware_checks import check_machine


def test_missing_devices_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for devices, has in ((3, "has 2"), ([0, 2], "has 0 to 1")):
        with pytest.raises(
            InputError, match=re.escape(f"trainer.devices={devices}: this machine {has}; use")
        ):
            check_machine({"accelerator": "gpu", "devices": devices, "num_nodes": 1})
    assert check_machine({"accelerator": "gpu", "devices": 2, "num_nodes": 1}) == 2


def test_processes_of_all_nodes_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    trainer = {"accelerator": "cpu", "num_nodes": 3, "precision": "32-true", "sync_batchnorm": False}
    assert check_machine(trainer | {"devices": "auto"}) == 3
    assert check_machine(trainer | {"devices": 4096}) == 3 * 4096
    assert "trainer.devices=4096: more processes than this machine's" in caplog.text
