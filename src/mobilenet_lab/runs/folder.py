"""The layout of a run folder: the one place that spells the names inside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"  # a symbolic link to the newest run; see `runs.latest`
RESOLVED_CONFIG = "config"  # stem of the resolved configuration, Hydra's --config-name
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
LOCK = ".run.lock"
CHECKPOINTS = "checkpoints"
# Exported models, by format
EXPORTS = {
    "onnx": "model.onnx",
    "onnx_int8": "model_int8.onnx",
    "html": "model.html",
    "torch_export": "model.pt2",
    "executorch": "model.pte",
}


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    The files need not exist.

    Args:
        path: The run folder, `output_dir` in the configuration.
    """

    path: Path

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder":
        """Return the folder of the run that wrote a checkpoint."""
        return cls(checkpoint.parent.parent)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def last(self) -> Path:
        """Checkpoint to resume from."""
        return self.checkpoints / LAST

    @property
    def previous(self) -> Path:
        """The checkpoint before `last`; kept while the run is in progress."""
        return self.checkpoints / PREVIOUS

    @property
    def pending(self) -> Path:
        """State of a run that stopped within an epoch; becomes `last` after the final validation."""
        return self.checkpoints / f"{LAST}.pending"

    @property
    def best(self) -> Path:
        """Checkpoint with the best validation metric."""
        return self.checkpoints / BEST

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / f"{RESOLVED_CONFIG}.yaml"

    @property
    def job_config(self) -> Path:
        """The resolved configuration that a sweep starts the run from."""
        return self.path / ".hydra" / f"{RESOLVED_CONFIG}.yaml"

    @property
    def job_failure(self) -> Path:
        """Why the job of a sweep failed."""
        return self.job_config.with_name("failure.json")

    @property
    def result(self) -> Path:
        """Final metrics; a run that has this file is finished."""
        return self.path / "result.json"

    @property
    def metrics(self) -> Path:
        """Every logged metric."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """Plot of loss and accuracy over the epochs."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Plot of the confusion matrix."""
        return self.path / "confusion.png"

    @property
    def report(self) -> Path:
        """The run as a web page."""
        return self.path / "report.html"

    @property
    def projector(self) -> Path:
        """Folder of the embeddings that TensorBoard's projector shows."""
        return self.path / "projector"

    @property
    def projector_tensors(self) -> Path:
        """Features of the images, a row per image."""
        return self.projector / "tensors.tsv"

    @property
    def projector_metadata(self) -> Path:
        """Class name of each image."""
        return self.projector / "metadata.tsv"

    @property
    def projector_sprite(self) -> Path:
        """All images in one."""
        return self.projector / "sprite.png"

    @property
    def projector_config(self) -> Path:
        """Names of the projector's files; TensorBoard looks for it next to the event files."""
        return self.path / "projector_config.pbtxt"

    @property
    def exports(self) -> Path:
        """Folder of the exported models."""
        return self.path / "export"

    def exported(self, name: str) -> Path:
        """Return the path of the exported model in a format, a key of `EXPORTS`."""
        return self.exports / EXPORTS[name]

    @property
    def lr_find(self) -> Path:
        """Plot of the learning-rate range test."""
        return self.path / "lr_find.png"

    @property
    def hparams(self) -> Path:
        """Empty file that Lightning's TensorBoard logger leaves behind."""
        return self.path / "hparams.yaml"

    @property
    def provenance(self) -> Path:
        """Recipe, machine and versions of a run that `make results` started."""
        return self.path / "provenance.json"

    @property
    def record(self) -> Path:
        """Cached record of the run for `make results`."""
        return self.path / "record.json"

    @property
    def train_log(self) -> Path:
        """Output of a run that `make results` started."""
        return self.path / "train.log"

    @property
    def lock(self) -> Path:
        """File that is locked as long as a process writes to the folder; see `runs.lock`."""
        return self.path / LOCK

    def event_files(self) -> list[Path]:
        """Return TensorBoard's event files, sorted by name."""
        return sorted(self.path.glob("events.out.tfevents.*"))

    def checkpoint_files(self) -> list[Path]:
        """Return the run's checkpoints that exist; other files next to them are not the run's."""
        return [path for path in (self.best, self.last, self.previous) if path.is_file()]

    def written_checkpoints(self) -> list[Path]:
        """Return the paths of the checkpoints that a run writes."""
        return [self.best, self.last, self.previous, self.pending]

    def written_files(self) -> list[Path]:
        """Return the paths of the other files that a run writes, those that exist among event files."""
        projector = [
            self.projector_config,
            self.projector_tensors,
            self.projector_metadata,
            self.projector_sprite,
        ]
        return [*self.shown_files(), self.hparams, *projector, *self.event_files()]

    def shown_files(self) -> list[Path]:
        """Return the paths of the files that a run writes for its user, except event files."""
        plots = [self.curves, self.confusion, self.lr_find]
        return [self.config, self.result, self.metrics, *plots, self.report]

    def members(self) -> list[Path]:
        """Return the paths of what a run contains for its user, except event files."""
        return [self.checkpoints, self.exports, *self.shown_files()]

    def exported_files(self) -> list[Path]:
        """Return the paths of the models that export.py adds to a run."""
        return [self.exported(name) for name in EXPORTS]

    def derived_files(self) -> list[Path]:
        """Return the paths of the files that `make results` adds to a run and that describe it."""
        return [self.provenance, self.record]

    def scratch_files(self) -> list[Path]:
        """Return the unfinished files of a run that was killed while it wrote them."""
        own = (self.config, self.metrics, self.result, self.report)
        files = (*self.written_checkpoints(), *self.exported_files(), *own)
        return [path for file in files for path in file.parent.glob(f".{file.name}.[0-9]*.tmp")]

    def holds(self, checkpoint: Path) -> bool:
        """Return whether a checkpoint lies in the folder of this run's checkpoints."""
        return checkpoint.parent.resolve() == self.checkpoints.resolve()

    def has_resumable_checkpoint(self) -> bool:
        """Return whether the folder has a checkpoint to resume from."""
        return self.last.is_file() or self.previous.is_file()

    def read_result(self) -> dict[str, Any] | None:
        """Return the result of a finished run; None if there is no readable one."""
        try:
            result: dict[str, Any] = json.loads(self.result.read_text())
        except (OSError, ValueError):
            return None
        return result
