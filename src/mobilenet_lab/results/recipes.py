"""The recipes of the results page and the folders of their runs."""

import functools
import hashlib
import json
import shlex
from dataclasses import dataclass

from hydra import compose, initialize_config_dir

from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.runs.folder import OUTPUTS, RunFolder
from mobilenet_lab.runtime.machine import ROOT

RUNS = OUTPUTS / "results"


@dataclass(frozen=True)
class Recipe:
    """A row of the results page.

    Attributes:
        name: Identifies the recipe in the record, and names its folder in outputs/results.
        title: Row label.
        overrides: Arguments of train.py.
        num_seeds: Number of seeds to run by default, starting with 0.
        ensemble: Also evaluate the networks of all seeds as one ensemble.
        tta: Also evaluate with test-time augmentation.
        on_mnist: Whether the network is trained on MNIST; the plot shows only those.
    """

    name: str
    title: str
    overrides: str
    num_seeds: int = 3
    ensemble: bool = False
    tta: bool = False
    on_mnist: bool = True


RECIPES = (
    Recipe("reference", "original recipe", "experiment=reference"),
    Recipe("default", "default", ""),
    Recipe("one_epoch", "one epoch", "experiment=one_epoch"),
    Recipe("two_epochs", "two epochs", "experiment=two_epochs"),
    Recipe("two_epochs_050", "two epochs", "experiment=two_epochs model.filters=4"),
    Recipe("two_epochs_025", "two epochs", "experiment=two_epochs model.filters=2"),
    Recipe("best", "long", "experiment=best", ensemble=True, tta=True),
    Recipe("narrow_050", "long", "experiment=narrow_050", num_seeds=1, tta=True),
    Recipe("narrow_025", "long", "experiment=narrow_025", num_seeds=4, ensemble=True, tta=True),
    Recipe("fashion", "long, Fashion-MNIST", "experiment=fashion", num_seeds=1, tta=True, on_mnist=False),
    Recipe("cifar10", "CIFAR-10, fine-tuned", "experiment=cifar10", num_seeds=1, on_mnist=False),
    Recipe(
        "cifar10_probe",
        "CIFAR-10, linear probe",
        "experiment=cifar10 task.freeze_stages=backbone trainer.max_epochs=3",
        num_seeds=1,
        on_mnist=False,
    ),
    Recipe(
        "cifar10_scratch",
        "CIFAR-10, from scratch",
        "experiment=cifar10 model.weights=null model.stem_stride=1 data.image_size=32 task.freeze_stages=0 "
        "optimizer.lr=0.1 trainer.max_epochs=16",
        num_seeds=1,
        on_mnist=False,
    ),
)


@dataclass(frozen=True)
class Run:
    """A recipe with one seed."""

    recipe: Recipe
    seed: int

    @property
    def folder(self) -> RunFolder:
        """The folder of the run."""
        return RunFolder(RUNS / self.recipe.name / f"seed{self.seed}")


@functools.cache
def fingerprint(recipe: Recipe) -> str:
    """Return a hash of all settings that affect a run's result, except the seed."""
    overrides = [*shlex.split(recipe.overrides), f"output_dir={Run(recipe, 0).folder}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    settings = result_relevant_settings(cfg)
    del settings["seed"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
