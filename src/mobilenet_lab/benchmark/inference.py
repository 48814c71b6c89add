"""Evaluation and prediction, each with the step that it cannot do without."""

import time

import numpy as np

from mobilenet_lab.benchmark.settings import MEAN, STD, Figures, Settings
from mobilenet_lab.benchmark.timing import throughput, time_second_run
from mobilenet_lab.benchmark.training import build_network
from mobilenet_lab.benchmark.workspace import image_files, read_test_images

BATCH_SIZE = 250


def evaluate(settings: Settings) -> Figures:
    """Time reading, preprocessing, forward pass and counting, as in evaluate.py."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    from mobilenet_lab.data.datasets.mnist import mnist
    from mobilenet_lab.data.splits import IndexRange, Subset
    from mobilenet_lab.data.transforms.preprocessing import Preprocessing
    from mobilenet_lab.inference.measure import measure

    subset = Subset(mnist(str(settings.data)).open("test"), IndexRange(0, settings.images))
    preprocessing = Preprocessing(settings.image_size, settings.channels, MEAN, STD)
    network = build_network(settings).eval()

    def run() -> None:
        measure(lambda images: network(preprocessing(images)), subset, BATCH_SIZE, num_classes=10)

    return time_second_run(run, settings.images)


def forward(settings: Settings) -> Figures:
    """Time the forward pass alone, over the same images preprocessed in advance."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    import torch

    from mobilenet_lab.data.transforms.preprocessing import Preprocessing

    images, _ = read_test_images(settings)
    prepared = Preprocessing(settings.image_size, settings.channels, MEAN, STD)(images)
    network = build_network(settings).eval()

    @torch.inference_mode()
    def run() -> None:
        for start in range(0, len(prepared), BATCH_SIZE):
            network(prepared[start : start + BATCH_SIZE])

    return time_second_run(run, settings.images)


def predict_folder(settings: Settings) -> Figures:
    """Time decoding, preparing and classifying a folder of image files, without the start of a process."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    from mobilenet_lab.inference.predict import predict_files
    from mobilenet_lab.inference.predictor import Predictor

    files = image_files(settings)
    predictor = Predictor(settings.work / "run")
    failures: list[str] = []
    began = time.perf_counter()
    count = sum(1 for _ in predict_files(predictor, files, BATCH_SIZE, failures))
    assert count == settings.images
    return throughput(count, time.perf_counter() - began)


def decode_folder(settings: Settings) -> Figures:
    """Time decoding the same files with Pillow."""
    from PIL import Image

    files = image_files(settings)
    began = time.perf_counter()
    for file in files:
        with Image.open(file) as image:
            np.asarray(image)
    return throughput(len(files), time.perf_counter() - began)
