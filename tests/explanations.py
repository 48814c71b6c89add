"""Write docs/explain.png: cards of photographs of digits, with explanations.

python tests/explanations.py outputs/latest
"""

import sys
from pathlib import Path

from photographs import CONDITIONS, FONTS, take
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.inference.answer_card import card_painter, draw_card, thumbnail

SHEET = Path(__file__).parents[1] / "docs/explain.png"
SHOWN = ("ruled paper", "spotlight", "hard shadow", "chalk on a blackboard")


def main(checkpoint: str) -> None:
    predictor = Predictor(checkpoint)
    assert set(SHOWN) <= set(CONDITIONS)
    images = [take(condition, FONTS[3 * i], str(2 * i + 2)) for i, condition in enumerate(SHOWN)]
    prepared = [predictor.prepare(image) for image in images]
    painter = card_painter(predictor.classes)
    cards = [
        draw_card(painter, thumbnail(image), one.pixels, answer, 3, heat)
        for image, one, answer, heat in zip(
            images, prepared, predictor.classify(prepared), predictor.explain(images), strict=True
        )
    ]
    sheet = Image.new("RGB", (cards[0].width, sum(card.height for card in cards)))
    for i, card in enumerate(cards):
        sheet.paste(card, (0, i * card.height))
    small = sheet.resize((sheet.width * 2 // 3, sheet.height * 2 // 3), Image.Resampling.LANCZOS)
    small.quantize(200, method=Image.Quantize.MAXCOVERAGE).save(SHEET, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
