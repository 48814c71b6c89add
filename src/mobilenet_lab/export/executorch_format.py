"""`.pte` files of ExecuTorch, for phones and other devices, with XNNPACK's kernels."""

import torch

from mobilenet_lab.export.deployable import Deployable
from mobilenet_lab.export.quiet import quiet_exporters
from mobilenet_lab.runtime.standard_error import discard_stderr


def export_executorch(model: Deployable) -> bytes:
    """Return the file of networks, for one image at a time.

    ExecuTorch 1.5 plans the memory of a batch of bytes for another size than it needs, and fails at run time.

    Returns:
        The file. Besides `forward`, it has a method for each text in the metadata, without arguments.
    """
    with quiet_exporters(), discard_stderr():  # where the search for ARM's registers is reported
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered = to_edge_transform_and_lower(
            torch.export.export(model, (model.example(1),)),
            partitioner=[XnnpackPartitioner()],
            constant_methods=model.metadata.as_texts(),
        )
        return bytes(lowered.to_executorch().buffer)
