"""What this machine can compute on."""

from collections.abc import Sequence

import torch

from mobilenet_lab.errors import InputError


def check_accelerator(accelerator: str, devices: int | str | Sequence[int]) -> None:
    """Refuse what the machine does not have.

    Args:
        accelerator: As Lightning's Trainer takes it.
        devices: How many, which, or "auto".

    Raises:
        InputError: there is no such accelerator, or there are fewer devices.
    """
    available = {
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    available["gpu"] = available["cuda"] or available["mps"]
    if accelerator not in available:
        if accelerator == "cpu" and not isinstance(devices, int | str):
            raise InputError(f"trainer.devices={devices}: on the CPU, a number of processes")
        return
    count = available[accelerator]
    if count == 0:
        raise InputError(
            f"trainer.accelerator={accelerator}: PyTorch {torch.__version__} finds no such device here; "
            "use trainer.accelerator=cpu or auto"
        )
    wanted = devices if isinstance(devices, int) else 0 if isinstance(devices, str) else len(devices)
    if wanted > count:
        raise InputError(f"trainer.devices={devices}: this machine has {count}")


def pick_device(accelerator: str) -> torch.device:
    """The device for prediction and evaluation: "cpu", "gpu", or "auto" for a GPU where there is one.

    Raises:
        InputError: "gpu" where there is none.
    """
    if torch.cuda.is_available() and accelerator != "cpu":
        return torch.device("cuda")
    if torch.backends.mps.is_available() and accelerator != "cpu":
        return torch.device("mps")
    if accelerator == "gpu":
        raise InputError(
            f"accelerator=gpu: PyTorch {torch.__version__} finds no GPU here; use accelerator=cpu"
        )
    return torch.device("cpu")
