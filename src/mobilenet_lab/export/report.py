"""Report an export as text or JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from mobilenet_lab.export.speed import Speed
from mobilenet_lab.runtime.text import printable, table

COLUMNS = ("", "size", "accuracy", "difference", "latency", "images/s")


@dataclass(frozen=True)
class Row:
    """A model of the report.

    Attributes:
        name: "checkpoint" or a format.
        size: Bytes of its file.
        accuracy: In [0, 1]; None for images without labels.
        largest_difference: Of a probability from the checkpoint's.
        speed: On one thread.
    """

    name: str
    size: int
    accuracy: float | None
    largest_difference: float
    speed: Speed

    def as_json(self) -> dict[str, Any]:
        """Return plain values; those of `speed` are at the top."""
        values = asdict(self)
        speed = values.pop("speed")
        return values | speed

    def cells(self) -> list[str]:
        """Return the texts of a row."""
        return [
            self.name,
            f"{self.size / 1e6:.2f} MB",
            "" if self.accuracy is None else f"{self.accuracy:.4f}",
            f"{self.largest_difference:.1e}" if self.largest_difference else "",
            f"{self.speed.latency_ms:.2f} ms",
            f"{self.speed.images_per_second:,.0f}",
        ]


@dataclass(frozen=True)
class Report:
    """What export.py prints.

    Attributes:
        output: The file.
        checkpoints: Checkpoint files.
        data: What the models were compared on, for example "mnist, test".
        images: Number of images.
        batch_size: Images per batch of the throughput.
        rows: The checkpoint, and the formats.
    """

    output: str
    checkpoints: list[str]
    data: str
    images: int
    batch_size: int
    rows: list[Row]

    def as_json(self) -> str:
        """Return one JSON object."""
        values = {key: value for key, value in asdict(self).items() if key != "rows"}
        return json.dumps({**values, "models": [row.as_json() for row in self.rows]}, allow_nan=False)

    def as_text(self) -> str:
        """Return a table."""
        model = self.checkpoints[0]
        if len(self.checkpoints) > 1:
            model = f"mean of {len(self.checkpoints)} checkpoints"
        return "\n".join(
            [
                f"exported {printable(model)} to {printable(self.output)}",
                "",
                *table([COLUMNS, *(row.cells() for row in self.rows)]),
                "",
                f"accuracy and largest difference of a probability: {printable(self.data)}, "
                f"{self.images:,} images",
                f"latency: median for one image; images/s: batches of {self.batch_size}; both on one thread",
            ]
        )
