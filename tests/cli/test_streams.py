import subprocess
import sys

import pytest
from conftest import ROOT

CODE = """
import sys
from pathlib import Path
from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.cli.streams import prepare_streams
with one_line_errors():
    prepare_streams()
    assert sys.stdin.read() == ""
    opened = Path(__file__).open()
    assert opened.fileno() > 2
    print("lost", file=sys.stderr)
    print("answer")
"""


@pytest.mark.run
@pytest.mark.parametrize(
    ("redirections", "expected"),
    [
        ("<&-", (0, "answer\n", "lost\n")),
        ("<&- 2>&-", (0, "answer\n", "")),
        (
            "</dev/null >&-",
            (2, "", "error: standard output: is closed; redirect it, for example to /dev/null\n"),
        ),
    ],
)
def test_closed_streams_are_replaced_or_refused(
    tmp_path_factory: pytest.TempPathFactory, redirections: str, expected: tuple[int, str, str]
) -> None:
    script = tmp_path_factory.mktemp("streams") / "x.py"
    script.write_text(CODE)
    command = ["bash", "-c", f"{sys.executable} -P {script} {redirections}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert (done.returncode, done.stdout, done.stderr) == expected
