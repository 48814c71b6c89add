"""Settings shared by all benchmark cases."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MEAN, STD = 0.1307, 0.3081  # of MNIST's training images, as in conf/data/mnist.yaml

Figures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """Settings of a benchmark.

    Attributes:
        filters: Channel unit of the network.
        image_size: Height and width of the network's input, in pixels.
        channels: Channels of the network's input.
        batch_size: Images per training batch.
        steps: Number of timed training steps.
        images: Number of images to evaluate and predict.
        data: Data folder.
        work: Folder filled by `workspace.prepare`, shared by all cases.
    """

    filters: int
    image_size: int
    channels: int
    batch_size: int
    steps: int
    images: int
    data: Path
    work: Path

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values that JSON can hold."""
        return asdict(self) | {"data": str(self.data), "work": str(self.work)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """Invert `to_dict`."""
        return cls(**values | {"data": Path(values["data"]), "work": Path(values["work"])})
