"""Labels of classes for plots, in fonts that have their characters."""

import logging
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from mobilenet_lab.runtime.text import printable

MAX_COLUMNS = 24  # of a label; Chinese and Japanese characters take two
PLACEHOLDER_FONTS = "Last Resort"  # part of matplotlib; it has a box for every character
REGULAR = range(300, 600)  # weights of fonts for text, from light to medium


@dataclass(frozen=True)
class ClassLabels:
    """How to write the names of classes in a plot.

    Attributes:
        ticks: The label of each class: its name, or its number if no installed font has all its characters.
        legend: Number and name of each of the latter, with these characters escaped.
        families: Font families, in the order in which a character is looked up.
    """

    ticks: list[str]
    legend: list[str]
    families: list[str]


def class_labels(classes: Sequence[str]) -> ClassLabels:
    """Return the labels of classes, at most `MAX_COLUMNS` wide."""
    names = [shortened(printable(name)) for name in classes]
    fonts, missing = fonts_for({character for name in names for character in name})
    ticks, legend = [], []
    for number, name in enumerate(names):
        if missing.isdisjoint(name):
            ticks.append(name)
        else:
            ticks.append(f"#{number}")
            escaped = "".join(
                c.encode("unicode_escape").decode() if c in missing else c for c in printable(classes[number])
            )
            legend.append(f"#{number}: {shortened(escaped, 2 * MAX_COLUMNS)}")
    return ClassLabels(ticks, legend, list(fonts))


def shortened(name: str, columns: int = MAX_COLUMNS) -> str:
    """Replace the middle of a name that is too wide, since many names differ at their ends only."""
    if _width(name) <= columns:
        return name
    head, tail = name[: columns // 2], name[-(columns // 2) :]
    while _width(head) + _width(tail) >= columns:
        head, tail = (head[:-1], tail) if _width(head) >= _width(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def fonts_for(characters: Set[str]) -> tuple[dict[str, str], set[str]]:
    """Return fonts that have as many characters as possible, and the characters that none has.

    Returns:
        The file of each font by its family, in the order in which to look up a character.
    """
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, findfont, get_font

    # Matplotlib would say that a fallback font has no weight called normal.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    families = list(rcParams["font.family"])
    default = str(findfont(FontProperties(family=families)))
    fonts = dict.fromkeys(families, default)
    missing = set(characters) - characters_of(get_font(default))
    for family, path in _other_fonts() if missing else ():
        found = missing & characters_of(get_font(path))
        if found:
            fonts[family] = path
            missing -= found
        if not missing:
            break
    return fonts, missing


def _other_fonts() -> Iterator[tuple[str, str]]:
    """Yield family and file of each installed font for text, the same file that matplotlib would choose."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    entries = {
        entry.name
        for entry in fontManager.ttflist
        if entry.style == "normal"
        and entry.weight in REGULAR
        and not entry.name.startswith(PLACEHOLDER_FONTS)
    }
    for family in sorted(entries):
        yield family, findfont(FontProperties(family=[family]), fallback_to_default=False)


def characters_of(font: object) -> set[str]:
    """Return the characters of a font that matplotlib has opened."""
    return {chr(code) for code in font.get_charmap()}  # type: ignore[attr-defined]
