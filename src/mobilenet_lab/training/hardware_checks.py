"""Check that the machine has the devices that a run asks for."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch

from mobilenet_lab.config.combinations import check_cpu
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import available_cores

log = logging.getLogger(__name__)

DEFAULT_WORKERS = 2  # of conf/data/image_folder.yaml, for machines of any size


def check_machine(trainer: Mapping[str, Any]) -> int:
    """Refuse devices that the machine does not have.

    Args:
        trainer: The configuration of Lightning's Trainer.

    Returns:
        The number of processes that will train, on all nodes together.

    Raises:
        InputError: There is no such accelerator or device, or it does not support a setting.
    """
    accelerator, devices = trainer["accelerator"], trainer["devices"]
    available = {
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    available["gpu"] = available["auto"] = available["cuda"] or available["mps"]
    available["cpu"] = 0
    count = available[accelerator]
    if count == 0:
        if accelerator not in ("cpu", "auto"):
            raise InputError(
                f"trainer.accelerator={accelerator}: PyTorch {torch.__version__} finds no such device; "
                "use trainer.accelerator=cpu or auto"
            )
        check_cpu(trainer)
        return _count_cpu_processes(devices) * trainer["num_nodes"]
    if devices in ("auto", -1):
        return count * trainer["num_nodes"]
    indices = range(devices) if isinstance(devices, int) else devices
    if len(indices) > count or max(indices) >= count:
        has = f"has {count}" if count == 1 or isinstance(devices, int) else f"has 0 to {count - 1}"
        raise InputError(f"trainer.devices={devices}: this machine {has}; use fewer")
    return len(indices) * trainer["num_nodes"]


def check_workers(num_workers: int) -> None:
    """Warn about more workers than cores, unless it is no more than the default of `data=image_folder`."""
    cores = available_cores()
    if num_workers > max(cores, DEFAULT_WORKERS) and os.environ.get("LOCAL_RANK", "0") == "0":
        log.warning("data.num_workers=%d: more processes than this machine's %d cores", num_workers, cores)


def _count_cpu_processes(devices: int | str) -> int:
    processes = 1 if devices == "auto" else int(devices)
    if processes > (cores := available_cores()) and os.environ.get("LOCAL_RANK", "0") == "0":
        log.warning("trainer.devices=%d: more processes than this machine's %d cores", processes, cores)
    return processes
