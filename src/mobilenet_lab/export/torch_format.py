"""`.pt2` files of torch.export, which need PyTorch and nothing of this project."""

import io
from typing import IO

import torch

from mobilenet_lab.export.deployable import Deployable
from mobilenet_lab.export.quiet import quiet_exporters


def export_torch(model: Deployable) -> bytes:
    """Return the file of networks, with any number of images as input and the metadata as extra files."""
    with quiet_exporters():
        shapes = {"images": {0: torch.export.Dim("batch", min=1)}}
        program = torch.export.export(model, (model.example(2),), dynamic_shapes=shapes)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # has paths of source files
        file: IO[bytes] = io.BytesIO()
        torch.export.save(program, file, extra_files=model.metadata.as_texts())
    file.seek(0)
    return file.read()
