"""Operate the page of export/page.py as a user does."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pen_strokes import Stroke

if TYPE_CHECKING:
    from playwright.sync_api import Page

READY = "body[data-state=ready]"
DROP = """([base64, name, type]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  const pad = document.getElementById("pad");
  for (const kind of ["dragover", "drop"]) {
    pad.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
  }
}"""
PASTE = """([base64, name, type]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true }));
}"""
SEEN = """() => {
  const canvas = document.getElementById("seen");
  return [canvas.width, [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]];
}"""


def open_page(tab: "Page", path: Path) -> None:
    """Open a page from its file and wait for the network."""
    tab.goto(path.as_uri())
    tab.wait_for_selector(READY, timeout=20_000)


def settle(tab: "Page") -> None:
    """Wait until the page has drawn and classified the last change."""
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
    tab.wait_for_selector(".answer[aria-busy=false]", state="attached")


def draw(tab: "Page", strokes: Sequence[Stroke]) -> None:
    """Draw with the mouse; x and y are shares of the pad's side."""
    box = tab.locator("#pad").bounding_box()
    assert box is not None
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for place in places[1:]:
            tab.mouse.move(*place)
        tab.mouse.up()
    settle(tab)


def clear(tab: "Page") -> None:
    tab.click("#clear", force=True)
    settle(tab)


def give_file(
    tab: "Page", content: bytes, how: str = DROP, name: str = "x.png", kind: str = "image/png"
) -> None:
    """Drop or paste a file."""
    tab.evaluate(how, [base64.b64encode(content).decode(), name, kind])
    tab.wait_for_timeout(100)
    settle(tab)


def answer(tab: "Page") -> str:
    """Return the class that the page shows; empty without an answer."""
    return tab.locator("#class").text_content() or ""


def note(tab: "Page") -> str:
    return tab.locator("#note").text_content() or ""


def network_input(tab: "Page") -> np.ndarray:
    """Return the pixels that the page shows as the network's input, shape (side, side, 3)."""
    side, values = tab.evaluate(SEEN)
    return np.array(values, np.uint8).reshape(side, side, 4)[..., :3]
