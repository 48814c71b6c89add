"""Check files that PyTorch before 1.6 wrote: pickles in sequence instead of an archive.

torchvision's oldest weights have this format. The file holds a magic number, a version, sizes of types, the
contents, the keys of the storages, and then the bytes of each storage.
"""

import io
import pickle
import pickletools
from pathlib import Path

from mobilenet_lab.checkpoints.plain_pickle import check_pickle
from mobilenet_lab.checkpoints.untrusted import MAX_BYTES, MAX_PICKLE

START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of PyTorch's magic number
NUM_PICKLES = 5


def is_legacy(path: Path) -> bool:
    """Return whether a file starts like those of PyTorch before 1.6."""
    with path.open("rb") as file:
        return file.read(len(START)) == START


def checked_legacy_copy(path: Path) -> io.BytesIO:
    """Check a file of PyTorch before 1.6, and return exactly the bytes that were checked.

    Raises:
        pickle.UnpicklingError: A pickle names something other than plain values and tensors, is malformed, or
            asks for more memory than the file has bytes.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise pickle.UnpicklingError(f"more than {MAX_BYTES:,} bytes")
    copy = io.BytesIO(path.read_bytes())
    view = copy.getbuffer()
    for _ in range(NUM_PICKLES):
        start = copy.tell()
        head = io.BytesIO(view[start : start + MAX_PICKLE])
        for _ in pickletools.genops(head):  # up to the end of this pickle
            pass
        content = head.getvalue()[: head.tell()]
        check_pickle(content, size)
        copy.seek(start + len(content))
    view.release()
    copy.seek(0)
    return copy
