"""Random transforms of photographs: a batch of 64 x 3 x 224 x 224 on one thread."""

import statistics
import time

from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.benchmark.timing import throughput
from mobilenet_lab.config.folder import CONF

BATCH_SIZE, CHANNELS = 64, 3
IMAGE_SIZE, NATIVE_SIZE = 224, 256  # of the network's input, and of the images as data=photos reads them
BATCHES = 5  # that are timed, after one that selects kernels


def transform(settings: Settings, group: str, choice: str, part: str | None = None) -> Figures:
    """Time a choice of `augmentation` or `mixing`.

    Args:
        settings: The benchmark's settings.
        group: "augmentation" or "mixing".
        choice: A choice of the group.
        part: One transform of the choice; None for all of them.
    """
    import torch
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from mobilenet_lab.data.transforms.augmentation import takes_native_size

    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["data=photos", "data.root=photos", f"{group}={choice}"])[group]
    function = instantiate(cfg[part] if part else cfg, _convert_="all")
    side = NATIVE_SIZE if takes_native_size(function) else IMAGE_SIZE
    images = torch.rand(BATCH_SIZE, CHANNELS, side, side)
    labels = {"labels": torch.arange(BATCH_SIZE), "num_classes": BATCH_SIZE} if group == "mixing" else {}
    seconds = []
    for seed in range(BATCHES + 1):
        generator = torch.Generator().manual_seed(seed)
        began = time.perf_counter()
        function(images, generator=generator, **labels)
        seconds.append(time.perf_counter() - began)
    return throughput(BATCH_SIZE, statistics.median(seconds[1:]))
