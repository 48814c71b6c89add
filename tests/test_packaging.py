"""A wheel contains every package, and conf/ as mobilenet_lab/conf."""

import tomllib

from conftest import ROOT

from mobilenet_lab.config.folder import CONF


def test_every_package_is_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {
        ".".join(path.parent.relative_to(ROOT / "src").parts) for path in (ROOT / "src").rglob("*.py")
    }
    assert set(settings["packages"]) == packages | {"mobilenet_lab.conf"}
    assert settings["package-dir"]["mobilenet_lab.conf"] == "conf"
    assert settings["package-data"]["mobilenet_lab.conf"] == ["**/*.yaml"]


def test_conf_is_found_in_the_repository() -> None:
    assert CONF == ROOT / "conf"
