"""Tell a checkpoint of this framework from any other file, without PyTorch."""

from pathlib import Path

from mobilenet_lab.checkpoints.state import DATA_POSITION, HYPER_PARAMETERS, TRAIN_METRICS

CONTENTS = "/data.pkl"  # end of the name of the archive's entry with everything but the tensors
MAX_CONTENTS = 1 << 26  # bytes; the contents of the largest network take less than one percent of it
KEYS = (DATA_POSITION, HYPER_PARAMETERS, TRAIN_METRICS)


def is_own_checkpoint(path: Path) -> bool:
    """Return whether a run of this framework wrote a file; False for a damaged one."""
    if not path.is_file():
        return False
    import zipfile  # takes 10 ms, which a command without such a file need not spend

    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(CONTENTS)]
            if len(entries) != 1 or entries[0].file_size > MAX_CONTENTS:
                return False
            contents = archive.read(entries[0])
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):  # the last: encrypted entries
        return False
    return all(key.encode() in contents for key in KEYS)
