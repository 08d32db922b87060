"""Test and measure the project on a GPU with one command of about four minutes.

    python -m benchmarks.gpu --out gpu.json       # on the GPU
    python -m benchmarks.gpu --device cpu --tiny  # every part, at the smallest size
    python -m benchmarks.gpu --table gpu.json     # the tables of docs/gpu.md

The parts are:

- ``steps``: time of a training step of each recipe at its published size;
- ``peers``: comparison with other libraries;
- ``end_to_end``: clips per second of training with packed audio;
- ``tests``: the tests in tests/devices;
- ``resume``: whether a resumed run is equal bit for bit;
- ``train``: a minute of training with SemiSupCon, and probes.

The last three parts run at the same time, because their time is not measured. Nothing is
downloaded: the data are noise and the synthetic data set, in a temporary folder. The JSON file is
written after each part.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts, gpu_peers
from benchmarks.bars import all_met
from benchmarks.cores import all_cores, first_line, processor
from benchmarks.gpu_peers import Setting
from benchmarks.gpu_tables import bars, tables
from benchmarks.quiet import quiet
from semisupcon.files import write_text
from semisupcon.training.runs import describe_code
from semisupcon.versions import versions_of

PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "steps": gpu_peers.steps,
    "peers": gpu_peers.peers,
    "end_to_end": gpu_peers.end_to_end,
    "tests": gpu_parts.tests,
    "resume": gpu_parts.resume,
    "train": gpu_parts.train,
}
BESIDE = ("tests", "resume")  # parts that run in other processes, at the same time as ``train``
BUDGET = 240
UNTIMED_SECONDS = 40  # time for the last three parts, in addition to the time of training
OTHER_TIMED_SECONDS = 60  # time for ``peers`` and ``end_to_end``
PACKAGES = (
    *("pytorch-lightning", "torchaudio", "numpy", "triton"),
    *("torch-audiomentations", "lightly", "pytorch-metric-learning"),
)


def machine(device: str) -> dict[str, Any]:
    """Describe the machine and the versions of the packages."""
    memory = first_line("/proc/meminfo", "MemTotal").split()
    found: dict[str, Any] = {
        "cpu": processor(),
        "cpus": all_cores(),
        "memory_gib": int(memory[0]) / 2**20 if memory else 0,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "packages": versions_of(PACKAGES),
        "commit": describe_code()["commit"],
    }
    if device == "cuda":
        about = torch.cuda.get_device_properties(0)
        query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        try:
            done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
            driver = done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"
        except (OSError, subprocess.TimeoutExpired):
            driver = "unknown"
        found |= {"gpu": about.name, "gpu_memory_gib": about.total_memory / 2**30, "driver": driver}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


class Report:
    """The JSON file with the results, which is written again after each part."""

    def __init__(self, file: Path, about: dict[str, Any]):
        self.file, self.result = file, about | {"parts": {}}
        self.lock = threading.Lock()

    def run(self, name: str, setting: Setting) -> None:
        """Run a part, and store its results or its error."""
        print(f"{name} ...", flush=True)
        began = time.perf_counter()
        try:
            found = PARTS[name](setting)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            found = {"error": gpu_peers.say(error)}
        found |= {"seconds": time.perf_counter() - began}
        with self.lock:
            self.result["parts"][name] = found
            self.write()
        ended = f"error: {found['error']}" if found.get("error") else "done"
        print(f"{name}: {ended}, {found['seconds']:.0f} s", flush=True)

    def write(self) -> None:
        """Write the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.file, json.dumps(self.result, indent=1) + "\n")


def measure(names: list[str], report: Report, setting: Setting) -> None:
    """Run parts: first those whose time is measured, one after the other, then the others.

    The others run at the same time, or one after the other at tiny size.
    """
    for name in (n for n in names if n not in (*BESIDE, "train")):
        report.run(name, setting)
    last = [name for name in names if name in (*BESIDE, "train")]
    if not last:
        return
    if {"resume", "train"} & set(last):
        gpu_parts.embedded_set(setting)
    if setting.tiny:
        for name in last:
            report.run(name, setting)
        return
    with ThreadPoolExecutor(len(BESIDE)) as pool:
        others = [pool.submit(report.run, name, setting) for name in last if name in BESIDE]
        if "train" in last:
            report.run("train", setting)  # in the main thread, because only it can handle signals
        for other in others:
            other.result()


def parsed(args: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    about = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(**about)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument(
        "--tiny", action="store_true", help="the smallest size at which everything runs"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    parser.add_argument("--recipes", nargs="+", help="of the part steps; all by default")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds of the whole command")
    parser.add_argument(
        "--compile-all", action="store_true", help="compile every recipe; takes long"
    )
    parser.add_argument("--train-seconds", type=float, help="of the part train; 60 by default")
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="print the tables of a JSON file"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    return parser.parse_args(args)


@quiet()
def main(args: list[str] | None = None) -> int:
    """Run the parts and print the tables; return 1 if a part has an error."""
    given = parsed(args)
    if given.table is not None:
        print(tables(json.loads(given.table.read_text())))
        return 0
    if given.device == "cuda" and not torch.cuda.is_available():
        print("error: there is no GPU; --device cpu --tiny runs without one.", file=sys.stderr)
        return 2
    began = time.monotonic()
    train_seconds = given.train_seconds or 60
    after = UNTIMED_SECONDS + train_seconds if {*BESIDE, "train"} & set(given.only) else 0
    after += OTHER_TIMED_SECONDS if {"peers", "end_to_end"} & set(given.only) else 0
    about = {"machine": machine(given.device), "device": given.device, "tiny": given.tiny}
    report = Report(given.out, about)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            device=given.device,
            tiny=given.tiny,
            folder=Path(folder),
            until=began + (1e9 if given.tiny else given.budget - after),
            end=began + given.budget,
            compile_all=given.compile_all,
            train_seconds=train_seconds,
            only_recipes=tuple(given.recipes) if given.recipes else None,
        )
        # At tiny size, torch.compile is disabled, because compiling takes long.
        with torch.compiler.set_stance("force_eager" if given.tiny else "default"):
            measure([name for name in PARTS if name in given.only], report, setting)
    report.result["seconds"] = time.monotonic() - began
    report.write()
    print(f"\n{tables(report.result)}")
    met = all_met(bars(report.result))
    failed = [name for name, part in report.result["parts"].items() if part.get("error")]
    print(
        f"{report.result['seconds']:.0f} s, {given.out}"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return int(bool(failed) or (given.check and not met))


if __name__ == "__main__":
    sys.exit(main())
