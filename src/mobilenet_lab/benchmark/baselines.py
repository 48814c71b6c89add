"""Training baselines to compare with: plain PyTorch, torchvision, timm and Keras."""

import time
from typing import Any

import numpy as np

from mobilenet_lab.benchmark.settings import MEAN, STD, Figures, Settings
from mobilenet_lab.benchmark.timing import throughput
from mobilenet_lab.benchmark.training import as_reference, build_network, time_loop
from mobilenet_lab.benchmark.workspace import read_training_images

KERAS_WARM_UP = 3  # batches for Keras to build its graph; the PyTorch cases have no warm-up


def naive(settings: Settings) -> Figures:
    """Time plain PyTorch as first written: default layers, layout and allocator, single images."""
    return _time_plain_pytorch(settings, build_network(settings, cpu_layers=False))


def reference_stock(settings: Settings) -> Figures:
    """Time the reference recipe in plain PyTorch."""
    import torch

    settings = as_reference(settings)
    network = build_network(settings, cpu_layers=False, zero_init_residual=False)
    optimizer = torch.optim.RMSprop(network.parameters(), 0.0005, alpha=0.9, eps=1e-7)
    return _time_plain_pytorch(settings, network, optimizer, label_smoothing=0.0)


def torchvision(settings: Settings) -> Figures:
    """Time torchvision's MobileNetV2 in plain PyTorch."""
    from torchvision.models import mobilenet_v2  # type: ignore[import-not-found, unused-ignore]

    return _time_plain_pytorch(settings, mobilenet_v2(num_classes=10))


def timm(settings: Settings) -> Figures:
    """Time timm's MobileNetV2 in plain PyTorch."""
    from timm import create_model  # type: ignore[import-not-found, unused-ignore]

    network = create_model("mobilenetv2_100", num_classes=10, in_chans=settings.channels)
    return _time_plain_pytorch(settings, network)


def keras(settings: Settings) -> Figures:
    """Time `fit` of Keras's MobileNetV2."""
    import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

    images, labels = read_training_images(settings)
    padding = (settings.image_size - 28) // 2
    pixels = np.pad(images.numpy().transpose(0, 2, 3, 1), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    pixels = np.repeat((pixels / np.float32(255) - MEAN) / STD, settings.channels, axis=3)
    side = settings.image_size
    network = tf.keras.applications.MobileNetV2(
        (side, side, settings.channels), alpha=settings.filters / 8, weights=None, classes=10
    )
    network.compile(tf.keras.optimizers.SGD(0.1, 0.9, nesterov=True), loss="sparse_categorical_crossentropy")
    targets = labels.numpy()

    def fit(samples: slice) -> None:
        network.fit(pixels[samples], targets[samples], batch_size=settings.batch_size, epochs=1, verbose=0)

    fit(slice(KERAS_WARM_UP * settings.batch_size))
    began = time.perf_counter()
    fit(slice(None))
    return throughput(settings.steps * settings.batch_size, time.perf_counter() - began)


def _time_plain_pytorch(
    settings: Settings, network: Any, optimizer: Any = None, label_smoothing: float = 0.05
) -> Figures:
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, Dataset

    images, labels = read_training_images(settings)
    side, channels = settings.image_size, settings.channels

    class SingleImages(Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image = images[index].float() / 255
            if side > 32:
                image = F.interpolate(image[None], (side, side), mode="bilinear")[0]
            else:
                image = F.pad(image, ((side - 28) // 2,) * 4)
            return ((image - MEAN) / STD).expand(channels, -1, -1), int(labels[index])

    network = network.to(memory_format=torch.contiguous_format)
    optimizer = optimizer or torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True)
    batches = DataLoader(SingleImages(), batch_size=settings.batch_size, shuffle=True)
    return time_loop(settings, network, optimizer, iter(batches), label_smoothing)
