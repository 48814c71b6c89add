"""How fast this machine trains and reads: python -m mobilenet_lab.benchmark [--quick].

Every measurement is a process of its own, rounds alternate between the cases, and medians are quoted, since
machines are noisy. Cases of training, on the same network, picture size, batch and optimizer:

    train  this project's train.py, whole: reading, augmentation, logging, Lightning
    floor  a hand-written loop over prepared tensors in memory, with the same layout and allocator
    naive  what people write first: the default layout and allocator, a data set that returns one picture
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FULL = {"steps": 150, "rounds": 3}
QUICK = {"steps": 15, "rounds": 1}
MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels, as in conf/data/mnist.yaml
Numbers = dict[str, float]


def main() -> None:
    """Measure, print a table, and write latest.json and latest.md."""
    parser = argparse.ArgumentParser(
        prog="python -m mobilenet_lab.benchmark", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="few steps, one round: under a minute")
    parser.add_argument("--filters", type=int, default=8, help="channel unit of the network (default 8)")
    parser.add_argument("--image-size", type=int, default=32, help="pixels (default 32)")
    parser.add_argument("--batch-size", type=int, default=128, help="pictures in a batch (default 128)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the data folder (default data)")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"), help="where results go")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(CASES[options.case](options)))
        return
    measured = _measure(options)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "latest.json").write_text(json.dumps(measured, indent=2) + "\n")
    table = as_markdown(measured)
    (options.output / "latest.md").write_text(table)
    print(table)
    print(f"written to {options.output}/latest.json and latest.md")


def as_markdown(measured: dict[str, Any]) -> str:
    """A table of the figures, under a line about machine and settings."""
    rows = [
        ("training, this project whole", "train.images_per_second", "pictures/s"),
        ("training, bare loop over tensors in memory", "floor.images_per_second", "pictures/s"),
        ("training, plain PyTorch as first written", "naive.images_per_second", "pictures/s"),
        ("reading batches alone", "loader.images_per_second", "pictures/s"),
        ("evaluation, forward pass and reading", "evaluate.images_per_second", "pictures/s"),
        ("this project against the bare loop", "train_per_floor", "times"),
        ("this project against plain PyTorch", "train_per_naive", "times"),
    ]
    lines = [
        f"{measured['machine']}; Python {measured['python']}, torch {measured['torch']}, "
        f"lightning {measured['lightning']}; filters {measured['filters']}, "
        f"1x{measured['image_size']}x{measured['image_size']}, batch {measured['batch_size']}, "
        f"{measured['steps']} steps, median of {measured['rounds']}",
        "",
        "| what | figure | unit |",
        "|---|---:|---|",
    ]
    for what, key, unit in rows:
        value = measured[key]
        lines.append(
            f"| {what} | {value:,.2f} | {unit} |" if value < 100 else f"| {what} | {value:,.0f} | {unit} |"
        )
    for case in CASES:
        lines.append(f"| peak memory of {case} | {measured[f'{case}.peak_memory_mb']:,.0f} | MB |")
    return "\n".join(lines) + "\n"


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    from importlib.metadata import version

    from tqdm import tqdm

    from mobilenet_lab.data.mnist import mnist

    mnist(str(options.data)).prepare()
    extent = QUICK if options.quick else FULL
    samples: dict[str, list[Numbers]] = {case: [] for case in CASES}
    with tqdm(total=extent["rounds"] * len(CASES), unit="run") as bar:
        for _ in range(extent["rounds"]):
            for case in CASES:
                bar.set_description(case)
                samples[case].append(_run_case(case, extent["steps"], options))
                bar.update()
    measured: dict[str, Any] = {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": version("torch"),
        "lightning": version("lightning"),
        "filters": options.filters,
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        **extent,
    }
    for case, runs in samples.items():
        for key in runs[0]:
            measured[f"{case}.{key}"] = statistics.median(run[key] for run in runs)
    for other in ("floor", "naive"):
        ratios = [
            a["images_per_second"] / b["images_per_second"]
            for a, b in zip(samples["train"], samples[other], strict=True)
        ]
        measured[f"train_per_{other}"] = statistics.median(ratios)
    return measured


def _run_case(case: str, steps: int, options: argparse.Namespace) -> Numbers:
    command = [sys.executable, "-m", "mobilenet_lab.benchmark", f"--case={case}", f"--steps={steps}"]
    for name in ("filters", "image_size", "batch_size", "data"):
        command.append(f"--{name.replace('_', '-')}={getattr(options, name)}")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmark case {case} failed:\n{done.stderr}")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _train(options: argparse.Namespace) -> Numbers:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, str(ROOT / "train.py"), f"data.root={options.data.resolve()}"),
                *(f"model.filters={options.filters}", "model.stem_stride=2", "model.dropout=0.0"),
                *(f"data.image_size={options.image_size}", f"data.batch_size={options.batch_size}"),
                *(f"trainer.limit_train_batches={options.steps}", "trainer.max_epochs=1"),
                *("trainer.limit_val_batches=0", "trainer.limit_test_batches=0", "trainer.accelerator=cpu"),
                "output_dir=run",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        result = json.loads((Path(folder) / "run/result.json").read_text())
    return _with_memory({"images_per_second": result["images_per_second"]}, of_children=True)


def _floor(options: argparse.Namespace) -> Numbers:
    from mobilenet_lab.allocator import keep_pages

    keep_pages()
    import torch
    import torch.nn.functional as F

    from mobilenet_lab.data.preprocessing import Preprocessing

    images, labels = _all_pictures(options)
    prepared = Preprocessing(options.image_size, 1, MEAN, STD)(images)
    network = _network(options)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True, fused=True)
    size = options.batch_size

    def step(i: int) -> None:
        batch = slice(i * size, (i + 1) * size)
        loss = F.cross_entropy(network(prepared[batch]), labels[batch], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return _timed(step, options)


def _naive(options: argparse.Namespace) -> Numbers:
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, Dataset

    images, labels = _all_pictures(options)
    padding = (options.image_size - 28) // 2

    class OnePicture(Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image = F.pad(images[index].float() / 255, (padding,) * 4)
            return (image - MEAN) / STD, int(labels[index])

    network = _network(options).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True)
    batches = iter(DataLoader(OnePicture(), batch_size=options.batch_size, shuffle=True))

    def step(i: int) -> None:
        pictures, targets = next(batches)
        loss = F.cross_entropy(network(pictures), targets, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return _timed(step, options)


def _loader(options: argparse.Namespace) -> Numbers:
    from mobilenet_lab.data.batches import batch_loader, split_parts
    from mobilenet_lab.data.mnist import mnist
    from mobilenet_lab.data.order import BatchSampler

    part = split_parts(mnist(str(options.data)), 0, None, 0)["train"]
    loader = batch_loader(part, BatchSampler(len(part), options.batch_size))
    for _ in loader:  # brings the file into the page cache
        pass
    began = time.perf_counter()
    count = sum(len(batch["labels"]) for batch in loader)
    return _with_memory({"images_per_second": count / (time.perf_counter() - began)})


def _evaluate(options: argparse.Namespace) -> Numbers:
    from mobilenet_lab.allocator import keep_pages

    keep_pages()
    import torch

    from mobilenet_lab.data.batches import Part
    from mobilenet_lab.data.mnist import mnist
    from mobilenet_lab.data.order import Split
    from mobilenet_lab.data.preprocessing import Preprocessing
    from mobilenet_lab.evaluate import measure

    test = mnist(str(options.data)).open("test")
    part = Part(test, Split(0, min(len(test), options.steps * 250)))
    preprocessing = Preprocessing(options.image_size, 1, MEAN, STD)
    network = _network(options).eval()
    began = time.perf_counter()
    measure(network, preprocessing, part, torch.device("cpu"), 250, num_classes=10)
    return _with_memory({"images_per_second": len(part) / (time.perf_counter() - began)})


CASES: dict[str, Callable[[argparse.Namespace], Numbers]] = {
    "train": _train,
    "floor": _floor,
    "naive": _naive,
    "loader": _loader,
    "evaluate": _evaluate,
}


def _network(options: argparse.Namespace) -> Any:
    from mobilenet_lab.models import build_network

    return build_network("mobilenet_v2", filters=options.filters, dropout=0.0, zero_init_residual=True)


def _all_pictures(options: argparse.Namespace) -> tuple[Any, Any]:
    import numpy as np

    from mobilenet_lab.data.mnist import mnist

    pictures = mnist(str(options.data)).open("train")
    return pictures.read(np.arange(min(len(pictures), options.steps * options.batch_size)))


def _timed(step: Callable[[int], None], options: argparse.Namespace) -> Numbers:
    began = time.perf_counter()
    for i in range(options.steps):
        step(i)
    seconds = time.perf_counter() - began
    return _with_memory({"images_per_second": options.steps * options.batch_size / seconds})


def _with_memory(numbers: Numbers, of_children: bool = False) -> Numbers:
    try:
        import resource
    except ImportError:  # not on Windows
        return numbers | {"peak_memory_mb": float("nan")}
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return numbers | {"peak_memory_mb": resource.getrusage(who).ru_maxrss * unit / 1e6}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
