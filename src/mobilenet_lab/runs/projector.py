"""The files of TensorBoard's projector."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.text import printable

MAX_SPRITE = 8192  # pixels per side that TensorBoard shows
CONFIG = """embeddings {{
  tensor_name: "test images"
  tensor_path: "{folder}/{tensors}"
  metadata_path: "{folder}/{metadata}"
  sprite {{
    image_path: "{folder}/{sprite}"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def write_projector(
    run: RunFolder, features: np.ndarray, labels: Sequence[str], images: Sequence[np.ndarray]
) -> None:
    """Write features with the labels and images of their points.

    `SummaryWriter.add_embedding` would add another set of files for each step.

    Args:
        run: The run folder.
        features: float32, shape (N, features).
        labels: Class name of each point.
        images: Square images, uint8, shape (H, W) or (H, W, 3).
    """
    run.projector.mkdir(exist_ok=True)
    np.savetxt(run.projector_tensors, features, fmt="%.5g", delimiter="\t")
    run.projector_metadata.write_text("".join(f"{printable(label)}\n" for label in labels))
    columns = math.ceil(math.sqrt(len(images)))
    side = min(len(images[0]), MAX_SPRITE // columns)
    sprite = Image.new("RGB", (columns * side, columns * side))
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        small = Image.fromarray(image).resize((side, side))
        sprite.paste(small, (column * side, row * side))
    sprite.save(run.projector_sprite)
    run.projector_config.write_text(
        CONFIG.format(
            folder=run.projector.name,
            tensors=run.projector_tensors.name,
            metadata=run.projector_metadata.name,
            sprite=run.projector_sprite.name,
            side=side,
        )
    )
