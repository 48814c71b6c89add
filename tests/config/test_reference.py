import re

from conftest import ROOT

from mobilenet_lab.config.reference import CONF, PAGE, render


def test_configuration_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run make docs"


def test_configuration_page_lists_every_choice_and_every_described_key() -> None:
    page = PAGE.read_text()
    for folder in CONF.iterdir():
        if folder.is_dir():
            section = re.search(rf"^## {folder.name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
            assert section is not None, folder.name
            listed = re.findall(r"^\| `(\w+)`(?: \(default\))? \|", section[1], re.MULTILINE)
            assert set(listed) >= {file.stem for file in folder.glob("*.yaml")}, folder.name
    for key in ("model.filters", "task.label_smoothing", "trainer.max_epochs", "callbacks.ema.decay", "seed"):
        assert f"| `{key}` |" in page


def test_readme_links_to_the_configuration_page() -> None:
    assert "(docs/configuration.md)" in (ROOT / "README.md").read_text()
