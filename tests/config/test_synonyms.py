"""Names of other tools lead to a setting of ours."""

import pytest
from conftest import ROOT, composed

from mobilenet_lab.config.nested import keys
from mobilenet_lab.config.suggestions import suggest
from mobilenet_lab.config.synonyms import ADVICE, SYNONYMS

KNOWN = {script: composed(script=script) for script in ("train", "evaluate")}


def test_every_name_translates_to_a_key_that_exists() -> None:
    existing = {
        key
        for script, arguments in (("train", ["scheduler=cosine"]), ("predict", ["image=x"]), ("evaluate", []))
        for key in keys(composed(*arguments, script=script))
    }
    for name, settings in SYNONYMS.items():
        assert set(settings) <= existing, name
        assert name == name.lower().replace("-", "_")
    assert not SYNONYMS.keys() & ADVICE.keys()


def test_advice_names_choices_that_exist() -> None:
    chosen = [word.rstrip(",") for text in ADVICE.values() for word in text.split() if "=" in word]
    for group, _, choice in (word.partition("=") for word in chosen if "." not in word.partition("=")[0]):
        assert group == "resume" or (ROOT / f"conf/{group}/{choice}.yaml").is_file()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("optimizer.learning_rate", "did you mean optimizer.lr?"),
        ("optimizer.learningRate", "did you mean optimizer.lr?"),
        ("epochs", "did you mean trainer.max_epochs?"),
        ("batch", "did you mean data.batch_size?"),
        ("data.batch-size", "did you mean data.batch_size?"),
        ("weight-decay", "did you mean optimizer.weight_decay?"),
        ("model.Filters", "did you mean model.filters?"),
        ("trainer.gpus", "did you mean trainer.devices?"),
        ("model.pretrained", "did you mean model.weights?"),
        ("dataset", "did you mean data?"),
        ("augmentation.std", "did you mean data.std? augmentation has pixels"),
        (
            "callbacks.bst",
            "did you mean callbacks.best? to add a callback, use +callbacks.bst._target_=<class>",
        ),
        (
            "callbacks.early.patience",
            "callbacks has progress, dashboard, checkpoint, best, nan_guard; to add a callback, ",
        ),
        ("callbacks.best.mod", "did you mean callbacks.best.mode?"),
    ],
)
def test_unknown_key_leads_to_the_setting(key: str, hint: str) -> None:
    assert suggest(key, KNOWN["train"]).startswith(hint)


def test_name_is_translated_only_to_a_key_of_the_script() -> None:
    assert suggest("weights", KNOWN["evaluate"]) == "did you mean ckpt?"
    assert suggest("weights", KNOWN["train"]) == "did you mean model.weights?"
    assert suggest("workers", KNOWN["evaluate"]).startswith("the configuration has ckpt, ")
