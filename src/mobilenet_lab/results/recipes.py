"""The recipes of the results page and the folders of their runs."""

import functools
import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir

from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.runtime.machine import ROOT

RUNS = Path("outputs/results")


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
    """

    name: str
    title: str
    overrides: str
    num_seeds: int = 3
    ensemble: bool = False
    tta: bool = False


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
    Recipe("fashion", "long, Fashion-MNIST", "experiment=fashion", num_seeds=1, tta=True),
)


@dataclass(frozen=True)
class Run:
    """A recipe with one seed, and the files in its folder."""

    recipe: Recipe
    seed: int

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return RUNS / self.recipe.name / f"seed{self.seed}"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config.yaml"

    @property
    def result(self) -> Path:
        """The result; only finished runs have it."""
        return self.folder / "result.json"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint to resume from."""
        return self.folder / "checkpoints/last.ckpt"

    @property
    def log(self) -> Path:
        """The output of train.py."""
        return self.folder / "train.log"


@functools.cache
def fingerprint(recipe: Recipe) -> str:
    """Return a hash of all settings that affect a run's result, except the seed."""
    overrides = [*shlex.split(recipe.overrides), f"output_dir={Run(recipe, 0).folder}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    settings = result_relevant_settings(cfg)
    del settings["seed"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
