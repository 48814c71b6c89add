"""Matplotlib figures as inline SVG that takes colors and font from the page around it."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures are drawn in these colors, which are replaced by what the style sheet says.
TEXT, MUTED, LINE = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606", "#070707")
PAGE_COLORS = {
    TEXT: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES, start=1)},
}
FONT_SIZE = re.compile(r"font: [^;]*?(\d[\d.]*px) [^;]*")
FONT_FAMILY = re.compile(r"font-family: [^;]*; ?")
REFERENCE = re.compile(r"(?<=url\(#)([^)]+)(?=\))|(?<=^#)(.+)")
SVG_NAMESPACES = re.compile(r"\{[^}]*\}")


@contextmanager
def page_style() -> Iterator[None]:
    """Let figures that are created inside follow the colors of the page."""
    from cycler import cycler
    from matplotlib import rc_context

    style: Any = {
        "axes.edgecolor": MUTED,
        "axes.facecolor": "none",
        "axes.labelcolor": TEXT,
        "axes.prop_cycle": cycler(color=SERIES),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.facecolor": "none",
        "grid.color": LINE,
        "legend.frameon": False,
        "savefig.facecolor": "none",
        "svg.fonttype": "none",
        "svg.hashsalt": "report",
        "text.color": TEXT,
        "xtick.color": MUTED,
        "xtick.labelcolor": TEXT,
        "ytick.color": MUTED,
        "ytick.labelcolor": TEXT,
    }
    with rc_context(style):
        yield


def inline_svg(figure: "Figure", name: str, description: str) -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: Created within `page_style`.
        name: Prefix of the ids in it; unique on the page.
        description: What a screen reader says.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(file.getvalue())
    _remove_metadata(root)
    used: set[str] = set()
    for element in root.iter():
        element.tag = SVG_NAMESPACES.sub("", element.tag)
        element.attrib = {
            SVG_NAMESPACES.sub("", key): _value(key, value, name, used)
            for key, value in element.attrib.items()
        }
    _rename_ids(root, name, used)
    root.attrib = {
        "class": "chart",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": description,
    }
    # Safe: it comes from an XML serializer, which escapes texts and attributes.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _remove_metadata(root: ElementTree.Element) -> None:
    """Remove the description of the file, and the style sheet, which would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)


def _value(key: str, value: str, name: str, used: set[str]) -> str:
    """Return an attribute with the colors and the font of the page; collect the ids that it refers to."""
    if key == "style":
        for color, page_color in PAGE_COLORS.items():
            value = value.replace(color, page_color)
        value = FONT_FAMILY.sub("", FONT_SIZE.sub(r"font-size: \1", value))
    if key == "id" or "#" not in value:
        return value
    used.update(found[1] or found[2] for found in REFERENCE.finditer(value))
    return REFERENCE.sub(rf"{name}-\g<0>", value)


def _rename_ids(root: ElementTree.Element, name: str, used: set[str]) -> None:
    """Add the prefix to the ids that are referred to, and remove the others."""
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")
