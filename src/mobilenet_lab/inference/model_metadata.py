"""What an exported model says about itself: classes, and how images are read and prepared.

An ONNX file holds it as metadata, one JSON value per key; other formats hold the same keys.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mobilenet_lab.runtime.errors import InputError

INPUT = "images"  # uint8, shape (N, channels, native_size, native_size), as read from the data set
OUTPUT = "probabilities"  # float32, shape (N, number of classes)


@dataclass(frozen=True)
class ModelMetadata:
    """Description of an exported model.

    Attributes:
        classes: Class names, by label.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`, applied inside the model.
        data: `name`, `native_size`, `mnist_style` and `fit`; see `ImageDataModule.describe`.
        precision: "float32" or "int8".
    """

    classes: list[str]
    preprocessing: dict[str, Any]
    data: dict[str, Any]
    precision: str = "float32"

    def as_texts(self) -> dict[str, str]:
        """Return JSON by key."""
        return {key: json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], source: str) -> "ModelMetadata":
        """Read JSON by key; other keys are ignored.

        Args:
            texts: What `as_texts` returned.
            source: The file, for error messages.

        Raises:
            InputError: A key is missing, or a value is not JSON.
        """
        keys = [field.name for field in fields(cls)]
        if missing := [key for key in keys if key not in texts]:
            raise InputError(f"{source}: lacks the metadata {', '.join(missing)}; export it with export.py")
        try:
            return cls(**{key: json.loads(texts[key]) for key in keys})
        except ValueError as error:
            raise InputError(f"{source}: its metadata is not JSON; use another file") from error
