"""Show a network on TensorBoard: histograms of weights and gradients, and its graph."""

import copy
import warnings

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter


def add_histograms(writer: SummaryWriter, module: LightningModule, step: int) -> None:
    """Write histograms of the trainable parameters and of their gradients, which may have been clipped.

    Args:
        writer: The writer.
        module: The module with the parameters.
        step: The step to show them at.
    """
    for name, parameter in module.named_parameters():
        tensors = {"weights": parameter.detach(), "gradients": parameter.grad}
        for kind, tensor in tensors.items():
            if tensor is not None and tensor.isfinite().all():  # TensorBoard has no bin for infinity
                writer.add_histogram(f"{kind}/{name}", tensor.float(), step)


def add_graph(writer: SummaryWriter, network: nn.Module, image: Tensor) -> None:
    """Write the graph of a network, traced on a copy, which leaves training as it is.

    Args:
        writer: The writer.
        network: The network.
        image: A batch of one image, shape (1, C, H, W).
    """
    traced = copy.deepcopy(network).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer is deprecated, but TensorBoard's writer uses it
        writer.add_graph(traced, image)
