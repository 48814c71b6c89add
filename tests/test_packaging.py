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


def test_every_file_that_is_no_module_is_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "src/mobilenet_lab"
    patterns = settings["package-data"]["mobilenet_lab"]
    listed = {path for pattern in patterns for path in package.glob(pattern)}
    others = {p for p in package.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert others == listed
    assert len(others) > len(patterns)


def test_conf_is_found_in_the_repository() -> None:
    assert CONF == ROOT / "conf"
