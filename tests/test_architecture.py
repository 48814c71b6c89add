"""The rules of docs/architecture.md that a parser can check."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "src/mobilenet_lab"
# A package imports only from those after it.
ORDER = (
    "benchmark",
    "results",
    "cli",
    "sweeps",
    "export",
    "inference",
    "training",
    "reports",
    "callbacks",
    "tasks",
    "config",
    "checkpoints",
    "data",
    "models",
    "runs",
    "runtime",
)
MAX_LINES = 250
MAX_FUNCTION_LINES = 50
MODULES = sorted(PACKAGE.rglob("*.py"))
# Imported before the configuration is checked
LIGHT = (
    "cli.main",
    "cli.errors",
    "cli.argument_checks",
    "config.validate",
    "sweeps.process_launcher",
    "sweeps.sweep_folder",
    "training.folder_claim",
    "runs.folder",
    "checkpoints.locate",
    "export.destination",
    "export.formats",
    "runtime.invocation",
)
HEAVY = {"torch", "lightning", "numpy", "PIL", "matplotlib", "tensorboard", "torchmetrics"}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def package_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "mobilenet_lab" and len(parts) > 1 else None


def test_every_package_has_a_place_in_the_order() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    if own not in ORDER:  # mobilenet_lab/__init__.py, the public names
        return
    allowed = {None, *ORDER[ORDER.index(own) :]}
    assert {module for module in imports(path) if package_of(module) not in allowed} == set()


def test_inference_needs_neither_training_nor_lightning() -> None:
    for path in (PACKAGE / "inference").glob("*.py"):
        names = set(imports(path))
        assert not any(name.startswith(("lightning", "mobilenet_lab.training")) for name in names), path


@pytest.mark.run
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            if docstring is not None:
                lines -= (docstring.end_lineno or 0) - docstring.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, node.name


@pytest.mark.run
def test_light_modules_import_nothing_heavy() -> None:
    names = ", ".join(f"mobilenet_lab.{name}" for name in LIGHT)
    program = f"import sys, {names}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_names_in_a_run_folder_are_spelled_once() -> None:
    names = (
        "last.ckpt",
        "best.ckpt",
        "previous.ckpt",
        "result.json",
        "metrics.csv",
        "config.yaml",
        "curves.png",
        "report.html",
        "model.onnx",
        "model_int8.onnx",
        "model.pt2",
        "model.pte",
    )
    for path in MODULES:
        if path == PACKAGE / "runs/folder.py":
            continue
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & set(names), path
