"""Open a file in the default browser: `python -m mobilenet_lab.export.open_page FILE`."""

import os
import sys
import webbrowser
from pathlib import Path


def open_in_browser(path: Path) -> None:
    """Open a file in the default browser, if there is a desktop, and print its address."""
    address = path.resolve().as_uri()
    print(f"open in any browser: {address}")
    if _has_desktop():
        webbrowser.open(address)


def _has_desktop() -> bool:
    """Return False where only browsers for terminals could start."""
    is_unix = sys.platform not in ("darwin", "win32")
    return not is_unix or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    open_in_browser(Path(sys.argv[1]))
