"""A forked script behaves like one that `subprocess` starts: every probe runs in both kinds of process."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fork_server import ROOT, SERVER

pytestmark = pytest.mark.run

PROBES = {
    "arguments": "import sys; print(sys.argv, sys.orig_argv[1:], sys.executable)",
    "path": "import sys; print([p for p in sys.path if p], __name__, __file__, __spec__)",
    "environment": "import os; print(os.environ['PROBE'], 'ADDED' in os.environ, os.getcwd())",
    "streams": "import sys; print(sys.stdin.read(), sys.stdout.isatty()); print('err', file=sys.stderr)",
    "encodings": "import sys; print([(s.encoding, s.errors) for s in (sys.stdin, sys.stdout, sys.stderr)])",
    "signals": "import signal\nfor n in signal.valid_signals(): print(n, signal.getsignal(n))",
    "threads": "import torch; print(torch.get_num_threads(), torch.get_num_interop_threads())",
    "collector": "import gc; print(gc.isenabled(), gc.get_threshold())",
    "limits": "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))",
    "no code": "raise SystemExit",
    "code": "import sys; sys.exit(7)",
    "large code": "import sys; sys.exit(-1)",
    "message": "import sys; sys.exit('no')",
    "signal": "import os; os.kill(os.getpid(), 15)",
    "interrupt": "import os; os.kill(os.getpid(), 2); import time; time.sleep(9)",
    "at exit": "import atexit; atexit.register(print, 'end')",
    "thread": "import threading; threading.Timer(0.2, print, ['end']).start()",
    "unflushed": "import sys; sys.stdout.write('end')",
}


def probe(folder: Path, code: str, *arguments: str, **options: object) -> tuple[object, ...]:
    (folder / "probe.py").write_text(code)
    command = [str(folder / "probe.py"), *arguments]
    environment = os.environ | {"PROBE": "ü", "PYTHONPATH": str(ROOT / "tests")}
    forked = SERVER.run(command, cwd=folder, env=environment, **options)  # type: ignore[arg-type]
    new = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=not isinstance(options.get("input"), bytes),
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,  # type: ignore[call-overload]
    )
    assert forked.returncode == new.returncode, forked.stderr
    assert forked.stdout == new.stdout
    return forked.returncode, forked.stdout, forked.stderr, new.stderr


@pytest.mark.parametrize("name", PROBES)
def test_forked_script_is_like_a_new_process(tmp_path: Path, name: str) -> None:
    *_, forked, new = probe(tmp_path, PROBES[name], "a b", "ü", input="text\n")
    if name != "interrupt":  # its traceback has more frames
        assert forked == new


def test_uncaught_error_prints_its_traceback(tmp_path: Path) -> None:
    code, _, forked, new = probe(tmp_path, "1 / 0")
    assert code == 1
    assert str(forked).splitlines()[-3:] == str(new).splitlines()[-3:]


def test_binary_input_gives_binary_output(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    content = bytes(range(256)) * 4096  # more than a pipe holds
    assert probe(tmp_path, code, input=content)[1] == content[::-1]


def test_unread_input_is_no_error(tmp_path: Path) -> None:
    assert probe(tmp_path, "pass", input=b"x" * (1 << 20))[0] == 0


def test_random_generators_start_as_in_a_new_process(tmp_path: Path) -> None:
    """Each child has its own seed, so a run that forgets to set one is not reproducible."""
    code = """
import random, numpy, torch
print(random.random(), numpy.random.random(), torch.rand(1).item(), sep="\\n")
torch.manual_seed(0); numpy.random.seed(0); random.seed(0)
print(random.random(), numpy.random.random(), torch.rand(1).item(), sep="\\n")
"""
    (tmp_path / "probe.py").write_text(code)
    one, other = (
        SERVER.run([str(tmp_path / "probe.py")], cwd=tmp_path, env=os.environ).stdout.splitlines()
        for _ in range(2)
    )
    assert [a == b for a, b in zip(one, other, strict=True)] == [False] * 3 + [True] * 3


def test_timeout_kills_the_child(tmp_path: Path) -> None:
    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    (tmp_path / "probe.py").write_text(code)
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        SERVER.run([str(tmp_path / "probe.py")], cwd=tmp_path, env=os.environ, timeout=0.5)
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_resource_limits_apply_to_the_child(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("with open('file', 'w') as file: file.write('x' * 2000)")
    limits = {resource.RLIMIT_FSIZE: 1000}
    done = SERVER.run([str(tmp_path / "probe.py")], cwd=tmp_path, env=os.environ, limits=limits)
    assert done.returncode == 1
    assert "File too large" in done.stderr


def test_two_children_run_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("import sys; sys.exit(len(input()))")
    with (tmp_path / "output").open("wb") as output:
        pipes = [os.pipe(), os.pipe()]
        streams = {"stdout": output.fileno(), "stderr": output.fileno()}
        children = [
            SERVER.start([str(tmp_path / "probe.py")], cwd=tmp_path, env=os.environ, stdin=read, **streams)
            for read, _ in pipes
        ]
    assert [child.poll() for child in children] == [None, None]
    for text, (read, write) in reversed(list(zip(("one", "three"), pipes, strict=True))):
        os.write(write, text.encode())
        os.close(write)
        os.close(read)
    assert [child.wait(20) for child in children] == [3, 5]


def test_variables_read_at_start_need_a_new_process() -> None:
    assert SERVER.can_run(os.environ | {"PYTHONPATH": "elsewhere", "HOME": "elsewhere"})
    assert not SERVER.can_run(os.environ | {"OMP_NUM_THREADS": "7"})
    assert not SERVER.can_run(os.environ | {"CXX": "c++"})
