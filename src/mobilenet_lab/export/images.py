"""Images to compare an export with its checkpoint on, and to calibrate it with."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor

from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.inference.evaluation_data import data_config, open_source, open_subset
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)

CALIBRATION_BATCH = 50
GENERATED, FEWEST_GENERATED = 64, 16  # images of each kind
GENERATED_PIXELS = 1 << 20  # of each kind; beyond them, fewer images suffice
GENERATED_BATCH = 32

LabeledBatch = tuple[Tensor, Tensor | None]  # images, uint8, (N, C, H, W), and labels, int64, (N,), if known


@dataclass(frozen=True)
class Images:
    """Images in the format in which the networks were trained.

    Attributes:
        source: A data set.
        data: Its configuration.
        ensemble: The networks.
    """

    source: DatasetSource
    data: DictConfig
    ensemble: Ensemble

    def batches(self, split: str) -> Iterator[LabeledBatch]:
        """Yield all images of a split, with labels.

        Raises:
            InputError: The split is empty, or an image cannot be read.
        """
        subset = self._subset(split)
        batch_size = min(self.data.eval_batch_size, self.ensemble.max_batch)
        sampler = BatchSampler(subset.index_range, batch_size, shuffle=False)
        for batch in batch_loader(subset.dataset, sampler, self.data.num_workers):
            yield batch["images"], batch["labels"]

    def calibration(self, count: int, channels: int) -> Iterator[np.ndarray]:
        """Yield batches of training images, evenly spaced over the split.

        Args:
            count: Number of images; all if the split has fewer.
            channels: Channels of the images, 1 or 3.
        """
        subset = self._subset("train")
        positions = np.linspace(0, len(subset) - 1, min(count, len(subset))).round().astype(np.int64)
        batch_size = min(CALIBRATION_BATCH, self.ensemble.max_batch)
        for start in range(0, len(positions), batch_size):
            images, _ = subset.dataset.read(subset.index_range(positions[start : start + batch_size]))
            yield with_channels(images, channels).numpy()

    def _subset(self, split: str) -> Subset:
        return open_subset(split, self.source, self.data, self.ensemble)


def open_images(cfg: DictConfig, ensemble: Ensemble) -> Images | None:
    """Open the data set of the command line, or else the one that the networks were trained on.

    Returns:
        None if `cfg.verify` is "generated", or "auto" and the data set of the networks cannot be opened.

    Raises:
        InputError: The data set cannot be opened, and `cfg.verify` is "data" or the command line has one.
        FileNotFoundError: Its folder does not exist.
    """
    if cfg.verify == "generated":
        return None
    try:
        data = data_config(cfg, ensemble.data[0])
        return Images(open_source(data, ensemble), data, ensemble)
    except (InputError, FileNotFoundError) as error:
        if cfg.verify == "data" or cfg.get("data"):
            raise
        log.warning("%s; the export is compared with the checkpoint on generated images, not on data", error)
        return None


def generated_batches(shape: tuple[int, int, int]) -> Iterator[LabeledBatch]:
    """Yield images without labels: noise, smooth patterns, stripes, and one color each.

    Args:
        shape: Channels, height and width.
    """
    generator = torch.Generator().manual_seed(0)
    channels, height, width = shape
    count = min(GENERATED, max(FEWEST_GENERATED, GENERATED_PIXELS // (height * width)))

    def random(*size: int) -> Tensor:
        return torch.randint(0, 256, (count, channels, *size), generator=generator).float()

    smooth = F.interpolate(random(4, 4), (height, width), mode="bilinear", align_corners=False)
    kinds = [random(height, width), smooth, random(1, width), random(height, 1), random(1, 1)]
    images = torch.cat([kind.expand(-1, -1, height, width) for kind in kinds]).to(torch.uint8)
    for batch in torch.split(images, GENERATED_BATCH):
        yield batch, None


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Return images (N, C, H, W) with the channels that an export takes; grayscale is repeated for 3.

    Raises:
        InputError: The images have color, and the export takes grayscale.
    """
    if images.shape[1] == 3 and channels == 1:
        raise InputError("channels=1: the data set has color images; use channels=3")
    return images.expand(-1, channels, -1, -1).contiguous()
