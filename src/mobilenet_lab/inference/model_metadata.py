"""What an exported model says about itself: classes, and how images are read and prepared.

An ONNX file holds it as metadata, one JSON value per key; other formats hold the same keys.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mobilenet_lab.checkpoints.description import has_short_texts, invalid_keys
from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.resize_modes import visible_side
from mobilenet_lab.runtime.errors import InputError

INPUT = "images"  # uint8, shape (N, channels, native_size, native_size), as read from the data set
OUTPUT = "probabilities"  # float32, shape (N, number of classes)
PRECISIONS = ("float32", "int8")
MAX_TEXT = 1 << 23  # characters of JSON; 32,768 class names of 255 characters have as many


@dataclass(frozen=True)
class ModelMetadata:
    """Description of an exported model.

    Attributes:
        classes: Class names, by label.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`, applied inside the model.
        data: The data set and its split; see `ImageDataModule.describe`. Prediction needs `native_size`,
            `mnist_style` and `fit`, evaluation all keys.
        precision: "float32" or "int8".
    """

    classes: list[str]
    preprocessing: dict[str, Any]
    data: dict[str, Any]
    precision: str = "float32"

    @property
    def visible_side(self) -> int:
        """Side of the centered square of an image that the model sees, in pixels of the image as read."""
        resize, side = self.preprocessing.get("resize", "auto"), self.data["native_size"]
        return min(side, visible_side(resize, side, self.preprocessing["image_size"]))

    def as_texts(self) -> dict[str, str]:
        """Return JSON by key."""
        return {key: json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], source: str) -> "ModelMetadata":
        """Read and check JSON by key; other keys are ignored.

        Args:
            texts: What `as_texts` returned. It may be untrusted.
            source: The file, for error messages.

        Raises:
            InputError: A key is missing; a value is not JSON, has another type or is out of range; or a text
                cannot be printed.
        """
        keys = [field.name for field in fields(cls)]
        if missing := [key for key in keys if key not in texts]:
            raise InputError(f"{source}: lacks the metadata {', '.join(missing)}; export it with export.py")
        if sum(len(texts[key]) for key in keys) > MAX_TEXT:
            raise InputError(f"{source}: has more than {MAX_TEXT:,} characters of metadata; use another file")
        try:
            values = {key: json.loads(texts[key]) for key in keys}
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}: its metadata is not JSON; use another file") from error
        if wrong := _invalid_values(values):
            raise InputError(f"{source}: has invalid metadata: {', '.join(wrong)}; use another file")
        check_class_names(values["classes"], source, "use another file")
        return cls(**values)


def _invalid_values(values: dict[str, Any]) -> list[str]:
    """Return the keys whose values cannot be used."""
    if wrong := [key for key in ("preprocessing", "data") if not isinstance(values[key], dict)]:
        return wrong
    wrong = invalid_keys(values["classes"], values["preprocessing"], values["data"])
    if not isinstance(values["precision"], str) or values["precision"] not in PRECISIONS:
        wrong.append("precision")
    return wrong if wrong or has_short_texts(values) else ["a text that cannot be printed"]
