"""Choose the device to compute on."""

import torch

from mobilenet_lab.runtime.errors import InputError


def pick_device(accelerator: str) -> torch.device:
    """Return the device for prediction and evaluation.

    Args:
        accelerator: "cpu", "gpu", or "auto" for a GPU if there is one.

    Raises:
        InputError: There is no GPU, but "gpu" was requested.
    """
    if torch.cuda.is_available() and accelerator != "cpu":
        return torch.device("cuda")
    if torch.backends.mps.is_available() and accelerator != "cpu":
        return torch.device("mps")
    if accelerator == "gpu":
        raise InputError(
            f"accelerator=gpu: PyTorch {torch.__version__} finds no GPU on this machine; use accelerator=cpu"
        )
    return torch.device("cpu")
