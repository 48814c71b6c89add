"""What this machine can compute on."""

import torch

from mobilenet_lab.runtime.errors import InputError


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
