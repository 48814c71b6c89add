from conftest import composed
from hydra import compose, initialize_config_dir

from mobilenet_lab.config import defaults
from mobilenet_lab.config.defaults import Difference, changed_settings
from mobilenet_lab.config.folder import CONF


def test_default_run_has_no_changed_settings() -> None:
    assert changed_settings(composed("output_dir=somewhere", "resume=auto")) == []


def test_changed_added_and_removed_settings_are_listed() -> None:
    cfg = composed("data.root=x", "logger=none", "+callbacks.mine._target_=a.B", "trainer.max_epochs=3")
    assert changed_settings(cfg) == [
        Difference("callbacks.mine._target_", "a.B", None),
        Difference("data.root", "x", "data"),
        Difference("logger.csv._target_", None, "mobilenet_lab.runs.csv_logger.CSVLogger"),
        Difference("logger.tensorboard._target_", None, "lightning.pytorch.loggers.TensorBoardLogger"),
        Difference("logger.tensorboard.default_hp_metric", None, "false"),
        Difference("logger.tensorboard.name", None, ""),
        Difference("logger.tensorboard.version", None, ""),
    ]


def test_hydra_keeps_its_configuration() -> None:
    cfg = composed("seed=1")
    defaults._default_settings.cache_clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert changed_settings(cfg) == [Difference("seed", "1", "0")]
        assert compose("predict", overrides=["image=x.png"]).image == "x.png"
