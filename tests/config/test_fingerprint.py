"""Flat settings, by which runs are compared."""

from conftest import composed

from mobilenet_lab.config.fingerprint import flat_settings, result_relevant_settings


def test_paths_of_the_run_folder_are_left_out() -> None:
    settings = flat_settings(composed("output_dir=a", "optimizer.lr=0.1"))
    assert (settings["optimizer.lr"], settings["trainer.accelerator"]) == (0.1, "auto")
    assert not {"output_dir", "callbacks.best.folder"} & settings.keys()


def test_settings_of_output_and_logging_are_not_relevant_to_results() -> None:
    one = composed(
        "output_dir=a", "num_threads=1", "logger=csv", "callbacks.progress.refresh_every_n_seconds=3"
    )
    other = composed("output_dir=b")
    quiet = composed("logger=none", "callbacks.dashboard=null", "callbacks.progress=null")
    assert result_relevant_settings(one) == result_relevant_settings(other)
    assert result_relevant_settings(quiet) == result_relevant_settings(other)
    assert result_relevant_settings(one) != result_relevant_settings(composed("task.label_smoothing=0.2"))


def test_names_with_dots_in_a_mapping_are_settings() -> None:
    settings = flat_settings(composed("task.class_weights={a.b:2}"))
    assert settings["task.class_weights.a.b"] == 2
