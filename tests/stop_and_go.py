"""Trainings that are stopped again and again: python tests/stop_and_go.py FOLDER [options] [setting ...].

Each life of a run is a process of its own, forked from this one, which has imported everything.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.training.run import train

ROOT = Path(__file__).resolve().parents[1]
START_S = 2.0


def main() -> None:
    """Stop a run so many times at random moments, one in four while it starts, and let it end.

    Prints, as JSON, how its lives ended, and how many steps the checkpoint had after each.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the run")
    parser.add_argument("settings", nargs="*", help="as of train.py")
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--signals", nargs="+", default=["KILL"], help="chosen at random: KILL, TERM, INT")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds of training in a life")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_intermixed_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # also where a shell in the background ignores it
    chance = random.Random(options.seed)
    begun = options.folder.with_suffix(".begun")
    tell = ["+callbacks.tell._target_=stop_after.TellBegun", f"+callbacks.tell.path={begun}"]
    settings = [*options.settings, *tell]
    codes, steps = [], []
    while len(codes) < options.stops:
        begun.unlink(missing_ok=True)
        pid = _live(options.folder, settings)
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, START_S))
        else:
            while not begun.exists() and not _is_over(pid):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, options.longest))
        os.kill(pid, signal.Signals[f"SIG{chance.choice(options.signals)}"])
        codes.append(_wait(pid))
        steps.append(_steps_kept(options.folder))
    codes.append(_wait(_live(options.folder, settings)))
    print(json.dumps({"codes": codes, "steps": steps}))


def _live(folder: Path, settings: Sequence[str]) -> int:
    """Start one life of a run, which goes on with what there is; its output goes to a file beside it."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        with one_line_errors(), initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            train(compose("train", overrides=[*settings, f"output_dir={folder}", "resume=auto"]))
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        if code == 1:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        sys.stdout.flush()
        os._exit(code)


def _steps_kept(folder: Path) -> int:
    path = folder / "checkpoints/last.ckpt"
    return int(torch.load(path, weights_only=True)["global_step"]) if path.is_file() else 0


def _is_over(pid: int) -> bool:
    """Whether a life has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait(pid: int) -> int:
    """A life's exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
