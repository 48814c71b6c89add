"""Draw text in any script onto images."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from PIL import ImageDraw, ImageFont

from mobilenet_lab.runs.class_labels import characters_of, fonts_for
from mobilenet_lab.runtime.text import printable

ASCII = {chr(code) for code in range(32, 127)} | {"…"}
Font = ImageFont.FreeTypeFont


class TextPainter:
    """Draws text with the fonts that have its characters; a character that none has is drawn as its escape.

    Args:
        texts: All texts besides ASCII, so that their fonts can be searched once.
        sizes: Font sizes in pixels.
    """

    def __init__(self, texts: Iterable[str], sizes: Iterable[int]) -> None:
        from matplotlib.font_manager import get_font

        files = list(
            dict.fromkeys(fonts_for(ASCII | {c for text in texts for c in printable(text)})[0].values())
        )
        sizes = list(sizes)
        self._characters: list[set[str]] = []
        self._fonts: dict[int, list[Font]] = {size: [] for size in sizes}
        for file in files:
            try:
                fonts = [ImageFont.truetype(file, size) for size in sizes]
            except OSError:  # a font of bitmaps, such as emoji in color, lacks these sizes
                continue
            self._characters.append(characters_of(get_font(file)))
            for size, font in zip(sizes, fonts, strict=True):
                self._fonts[size].append(font)

    def draw(
        self,
        canvas: ImageDraw.ImageDraw,
        position: tuple[int, int],
        text: str,
        size: int,
        fill: str,
        max_width: int,
    ) -> None:
        """Draw one line of text, shortened by an ellipsis if it is too wide.

        Args:
            canvas: Where to draw.
            position: The left end of the baseline, in pixels.
            text: The text.
            size: One of the sizes.
            fill: Color.
            max_width: Room in pixels.
        """
        shown = self.drawable(text)
        if self.width(shown, size) > max_width:
            while shown and self.width(f"{shown}…", size) > max_width:
                shown = shown[:-1]
            shown += "…"
        x, y = position
        for font, part in self._runs(shown, size):
            canvas.text((x, y), part, fill=fill, font=font, anchor="ls")
            x += round(font.getlength(part))

    def width(self, text: str, size: int) -> int:
        """Return the width of a text in pixels."""
        return sum(round(font.getlength(part)) for font, part in self._runs(text, size))

    def drawable(self, text: str) -> str:
        """Return the text with characters that no font has as their escapes."""
        return "".join(
            c if any(c in characters for characters in self._characters) else _escape(c)
            for c in printable(text)
        )

    def _runs(self, text: str, size: int) -> Iterator[tuple[Font, str]]:
        """Yield neighboring characters of one font together, which joins letters and marks."""
        for number, part in groupby(text, self._font_of):
            yield self._fonts[size][number], "".join(part)

    def _font_of(self, character: str) -> int:
        return next((i for i, known in enumerate(self._characters) if character in known), 0)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
