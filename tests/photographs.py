"""Photographs of digits, drawn with matplotlib's fonts: light, shadows, lines and what lies around the paper.

python tests/photographs.py CHECKPOINT prints the accuracy per condition, and writes photographs.jpg: each
photograph with what the network sees.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobilenet_lab.runtime.opencv import cv2

FONT_FOLDER = Path(mpl.get_data_path()) / "fonts/ttf"
STYLES = ("", "-Bold", "-Oblique", "-BoldOblique")
FONTS = (
    *(f"{family}{style}" for family in ("DejaVuSans", "DejaVuSansMono") for style in STYLES),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmss10", "cmtt10", "cmb10"),
)
INK, PAPER = 45, 225


class Scene:
    """A sheet with one digit.

    Args:
        font: File name without suffix.
        text: The digit.
        seed: Seed of sizes, places and noise.
        height: Of the digit, in pixels; None chooses a third to a half of the image.
    """

    def __init__(self, font: str, text: str, seed: int, height: int | None = None) -> None:
        self.random = np.random.default_rng([seed, FONTS.index(font), *map(ord, text)])
        self.width = self.height = 300
        digit = _render(font, text, height or int(self.random.uniform(100, 160)))
        angle = self.random.uniform(-5, 5)
        digit = digit.rotate(angle, expand=True, resample=Image.Resampling.BICUBIC)
        x, y = ((300 - side) * self.random.uniform(0.3, 0.7) for side in digit.size)
        self.box = int(x), int(y), int(x) + digit.width, int(y) + digit.height
        canvas = Image.new("L", (300, 300))
        canvas.paste(digit, self.box[:2])
        self.ink = np.asarray(canvas, np.float32) / 255
        self.y, self.x = np.mgrid[0:300, 0:300].astype(np.float32)

    def sheet(self) -> np.ndarray:
        """Return the gray levels of the paper with the digit, shape (300, 300)."""
        return PAPER + (INK - PAPER) * self.ink

    def with_drawing(self, draw: Callable[[ImageDraw.ImageDraw], object], level: float) -> np.ndarray:
        """Return the sheet with lines in a gray level."""
        canvas = Image.new("L", (300, 300))
        draw(ImageDraw.Draw(canvas))
        return np.minimum(self.sheet(), PAPER + (level - PAPER) * np.asarray(canvas, np.float32) / 255)

    def photograph(self, levels: np.ndarray, light: np.ndarray | float = 1.0) -> Image.Image:
        """Return the image that a camera takes, with blur and noise."""
        blurred = cv2.GaussianBlur((levels * light).astype(np.float32), (0, 0), 0.7)
        noisy = blurred + self.random.normal(0, 4, levels.shape)
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

    def distance(self) -> np.ndarray:
        """Return the distance of each pixel from the center of the digit."""
        left, top, right, bottom = self.box
        return np.hypot(self.x - (left + right) / 2, self.y - (top + bottom) / 2)


def _render(font: str, text: str, height: int) -> Image.Image:
    face = ImageFont.truetype(str(FONT_FOLDER / f"{font}.ttf"), height)
    image = Image.new("L", (2 * height * len(text), 2 * height))
    ImageDraw.Draw(image).text((height // 4, height // 4), text, fill=255, font=face)
    digit = image.crop(image.getbbox())
    return digit.resize((max(1, digit.width * height // digit.height), height), Image.Resampling.BICUBIC)


def plain(scene: Scene) -> Image.Image:
    return scene.photograph(scene.sheet())


def line(scene: Scene) -> Image.Image:
    y = min(scene.box[3] + scene.random.integers(6, 30), 294)
    slope = int(scene.random.integers(-3, 4))
    return scene.photograph(
        scene.with_drawing(lambda d: d.line([(0, y - slope), (299, y + slope)], fill=255, width=4), 60)
    )


def underline(scene: Scene) -> Image.Image:
    left, _, right, bottom = scene.box
    y, more = bottom + scene.random.integers(8, 20), int(scene.random.integers(0, 30))
    return scene.photograph(
        scene.with_drawing(lambda d: d.line([(left - more, y), (right + more, y)], fill=255, width=4), INK)
    )


def ruled(scene: Scene) -> Image.Image:
    start, step = scene.random.integers(5, 25), int(scene.random.integers(25, 50))

    def draw(d: ImageDraw.ImageDraw) -> None:
        for y in range(start, 300, step):
            d.line([(0, y), (299, y)], fill=255, width=2)

    return scene.photograph(scene.with_drawing(draw, scene.random.uniform(110, 180)))


def frame(scene: Scene) -> Image.Image:
    margin = scene.random.integers(6, 20)
    corners = [margin, margin, 299 - margin, 299 - margin]
    return scene.photograph(scene.with_drawing(lambda d: d.rectangle(corners, outline=255, width=3), 70))


def desk(scene: Scene) -> Image.Image:
    left, top, right, bottom = scene.box
    free = left, top, 300 - right, 300 - bottom
    near_left, near_top, near_right, near_bottom = (int(n * scene.random.uniform(0.2, 0.6)) for n in free)
    corners = [
        (near_left, near_top),
        (300 - near_right, near_top + 5),
        (296 - near_right, 300 - near_bottom),
        (near_left + 5, 300 - near_bottom),
    ]
    canvas = Image.new("L", (300, 300))
    ImageDraw.Draw(canvas).polygon(corners, fill=255)
    is_sheet = np.asarray(canvas) > 0
    return scene.photograph(np.where(is_sheet, scene.sheet(), scene.random.uniform(25, 90)))


def spotlight(scene: Scene) -> Image.Image:
    return scene.photograph(scene.sheet(), 0.08 + 0.9 * np.exp(-((scene.distance() / 110) ** 2)))


def vignette(scene: Scene) -> Image.Image:
    radius = np.hypot(scene.x - 150, scene.y - 150) / 212
    return scene.photograph(scene.sheet(), 1 - scene.random.uniform(0.6, 0.9) * radius**2)


def _signed_distance(scene: Scene) -> np.ndarray:
    """Return the distance from a line through the middle of the image, in any direction."""
    angle, offset = scene.random.uniform(0, 2 * np.pi), scene.random.uniform(-40, 40)
    distance: np.ndarray = (scene.x - 150) * np.cos(angle) + (scene.y - 150) * np.sin(angle) - offset
    return distance


def hard_shadow(scene: Scene) -> Image.Image:
    return scene.photograph(scene.sheet(), np.where(_signed_distance(scene) > 0, 1, 0.5))


def soft_shadow(scene: Scene) -> Image.Image:
    return scene.photograph(scene.sheet(), 0.4 + 0.6 / (1 + np.exp(-_signed_distance(scene) / 20)))


def red_on_green(scene: Scene) -> Image.Image:
    red, green = np.array([200, 40, 40]), np.array([40, 121.5, 40])  # of equal luma
    return scene.photograph(green + (red - green) * scene.ink[..., None])


def chalk(scene: Scene) -> Image.Image:
    return scene.photograph(255 - scene.sheet())


CONDITIONS: dict[str, Callable[[Scene], Image.Image]] = {
    "plain paper": plain,
    "line under the digit": line,
    "short underline": underline,
    "ruled paper": ruled,
    "thin frame": frame,
    "desk around the paper": desk,
    "spotlight": spotlight,
    "vignette": vignette,
    "hard shadow": hard_shadow,
    "soft shadow": soft_shadow,
    "red ink on green paper": red_on_green,
    "36-pixel digit": plain,
    "chalk on a blackboard": chalk,
}


def take(condition: str, font: str, text: str, seed: int = 0) -> Image.Image:
    """Return one photograph."""
    scene = Scene(font, text, seed, height=36 if condition == "36-pixel digit" else None)
    return CONDITIONS[condition](scene)


def main(checkpoint: str) -> None:
    from mobilenet_lab import Predictor

    predictor = Predictor(checkpoint)
    sheet = Image.new("RGB", (10 * 72, len(CONDITIONS) * 104))
    for row, condition in enumerate(CONDITIONS):
        right = 0
        for digit in range(10):
            images = [take(condition, font, str(digit)) for font in FONTS]
            prepared = [predictor.prepare(image) for image in images]
            right += sum(answer.class_name == str(digit) for answer in predictor.classify(prepared))
            example = (7 * row + 3 * digit) % len(FONTS)
            sheet.paste(images[example].resize((70, 70)), (72 * digit, 104 * row))
            seen = Image.fromarray(prepared[example].pixels[0])
            sheet.paste(seen, (72 * digit + 21, 104 * row + 72))
        print(f"{condition:24s} {right / len(FONTS) / 10:.1%}")
    sheet.save("photographs.jpg", quality=80)


if __name__ == "__main__":
    main(sys.argv[1])
