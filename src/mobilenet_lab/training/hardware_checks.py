"""What this machine can compute on."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch

from mobilenet_lab.config.combinations import check_cpu
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import available_cores

log = logging.getLogger(__name__)


def check_machine(trainer: Mapping[str, Any]) -> int:
    """Refuse what the machine does not have.

    Args:
        trainer: The configuration of Lightning's Trainer.

    Returns:
        How many processes will train, those of other nodes included.

    Raises:
        InputError: there is no such accelerator, fewer devices, or they cannot do what is asked for.
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
                f"trainer.accelerator={accelerator}: PyTorch {torch.__version__} finds no such device here; "
                "use trainer.accelerator=cpu or auto"
            )
        check_cpu(trainer)
        processes = 1 if devices == "auto" else int(devices)
        if processes > (cores := available_cores()) and os.environ.get("LOCAL_RANK", "0") == "0":
            log.warning("trainer.devices=%d: more processes than the %d cores here", processes, cores)
        return processes * trainer["num_nodes"]
    if devices in ("auto", -1):
        return count * trainer["num_nodes"]
    numbers = range(devices) if isinstance(devices, int) else devices
    if len(numbers) > count or max(numbers) >= count:
        has = f"has {count}" if count == 1 or isinstance(devices, int) else f"has 0 to {count - 1}"
        raise InputError(f"trainer.devices={devices}: this machine {has}")
    return len(numbers) * trainer["num_nodes"]
