"""What Linux tells about the machine and its processes in /proc."""

from pathlib import Path


def proc_field(file: str, field: str) -> str | None:
    """The value of a field of a file in /proc, such as ("meminfo", "MemAvailable").

    Returns:
        None where the system has no such file or field.
    """
    path = Path("/proc") / file
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return None
