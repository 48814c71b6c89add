"""Statistics of the predictions of an evaluation: exact over all images and ranks, in bounded memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.runs.quality import Calibration, Quality, ScoreHistograms
from mobilenet_lab.tasks.metrics import ClassificationMetrics
from mobilenet_lab.tasks.worst_mistakes import WorstMistakes

CALIBRATION_BINS = 15  # as in Guo et al. 2017, arXiv:1706.04599
SCORE_BINS = 127  # TensorBoard's largest number of thresholds
MAX_SCORED_CLASSES = 20  # classes with a precision-recall curve
ONE = 1 << 30  # a confidence of 1 as an integer: sums of integers do not depend on the order


class QualityMetrics(ClassificationMetrics):
    """Loss, confusion matrix, calibration, scores and worst mistakes, without waiting for the device.

    Args:
        classes: Class names, by label.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`, to show images.
    """

    calibration: Tensor
    scores: Tensor

    def __init__(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        super().__init__(len(classes))
        self._classes = list(classes)
        self._worst = WorstMistakes(preprocessing)
        scored = min(len(classes), MAX_SCORED_CLASSES)
        # Rows: images, sum of confidences, correct predictions
        calibration = torch.zeros(3, CALIBRATION_BINS, dtype=torch.int64)
        self.add_state("calibration", calibration, dist_reduce_fx="sum")
        # First dimension: images of other classes, images of the class
        self.add_state("scores", torch.zeros(2, scored, SCORE_BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, images: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            loss: Mean over the batch, a scalar.
            logits: Shape (N, num_classes).
            labels: Shape (N,), int64.
            images: Shape (N, C, H, W), as the network sees them; None keeps no mistakes of the batch.
        """
        super().update(loss, logits, labels)
        logits = logits.detach()
        probabilities = logits.float().softmax(dim=1).nan_to_num_(0.0)  # NaN has no bin
        predictions = logits.argmax(dim=1)
        confidence = probabilities.gather(1, predictions[:, None])[:, 0]
        self._count_calibration(confidence, predictions == labels)
        self._count_scores(probabilities, labels)
        if images is not None:
            self._worst.update(images, labels, predictions, confidence)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self._worst.reset()

    def quality(self) -> Quality:
        """Return the statistics of all ranks; all ranks must call it."""
        with self.sync_context():
            confusion, calibration, scores = (
                state.cpu().numpy().copy() for state in (self.confusion, self.calibration, self.scores)
            )
        counts, confidence_sums, correct = calibration
        return Quality(
            classes=self._classes,
            confusion=confusion,
            calibration=Calibration(counts, confidence_sums.astype(np.float64) / ONE, correct),
            mistakes=self._worst.compute(),
            scores=ScoreHistograms(positives=scores[1], negatives=scores[0]),
        )

    def _count_calibration(self, confidence: Tensor, is_correct: Tensor) -> None:
        bins = (confidence * CALIBRATION_BINS).long().clamp_(max=CALIBRATION_BINS - 1)
        values = torch.stack([torch.ones_like(bins), (confidence * ONE).long(), is_correct.long()])
        self.calibration.scatter_add_(1, bins.expand(3, -1), values)

    def _count_scores(self, probabilities: Tensor, labels: Tensor) -> None:
        num_scored = self.scores.shape[1]
        bins = (probabilities[:, :num_scored] * (SCORE_BINS - 1)).long()  # (N, num_scored)
        rows = torch.arange(num_scored, device=labels.device)
        is_label = (labels[:, None] == rows).long()
        cells = (is_label * num_scored + rows) * SCORE_BINS + bins
        self.scores.view(-1).scatter_add_(0, cells.flatten(), torch.ones_like(cells).flatten())
