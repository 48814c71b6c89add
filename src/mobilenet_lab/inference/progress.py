"""A progress bar for the classification of many images."""

import sys
from collections.abc import Iterable, Iterator

from mobilenet_lab.inference.writers import Named

DELAY_S = 1.0  # shorter work needs no bar


def with_progress(predictions: Iterable[Named], total: int, prints_answers: bool) -> Iterator[Named]:
    """Pass predictions on, and show their number on standard error if it is a terminal.

    Answers that are printed on the same terminal show the progress themselves.

    Args:
        predictions: The predictions.
        total: Number of images.
        prints_answers: Whether answers are written to standard output.
    """
    if not sys.stderr.isatty() or (prints_answers and sys.stdout.isatty()):
        yield from predictions
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    with (
        logging_redirect_tqdm(),
        tqdm(total=total, unit=" images", delay=DELAY_S, leave=False, dynamic_ncols=True) as bar,
    ):
        for named in predictions:
            bar.update()
            yield named
