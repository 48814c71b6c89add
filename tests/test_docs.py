"""Paths and links in the documentation exist."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PACKAGE = ROOT / "src/mobilenet_lab"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md))`", page.read_text()))
    example = {"npz_data.py", "small_cnn.py", "freeze.yaml"}  # written by the reader
    missing = [name for name in named if not (ROOT / name).exists() and not (PACKAGE / name).exists()]
    assert [name for name in missing if Path(name).name not in example] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
