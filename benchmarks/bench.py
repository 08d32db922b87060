"""Run the benchmarks of speed and memory one after the other, and write one table.

``make bench`` runs every benchmark with a limit (``--check``) in a process of its own and writes
``build/bench.md`` and ``build/bench.json`` after each: results, limits, seconds, the machine, and the
versions of the packages. ``ARGS="--only loss scan"`` runs some of them; ``--limit`` ends a benchmark
that takes longer. Nothing else should run on the machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.bars import read_bars
from benchmarks.cores import all_cores, processor
from semisupcon.versions import versions_of

ROOT = Path(__file__).resolve().parents[1]
# Benchmark -> what it measures. Those of reliability, evidence and GPUs have commands of their own.
BENCHMARKS = {
    "augment": "chains and operators against SoX, pedalboard and torch-audiomentations",
    "chunks": "memory of a step in parts",
    "embed_memory": "embed: memory of long files, share of the encoder, many files",
    "explore": "page of a map in a browser",
    "export": "exported graphs against PyTorch",
    "io": "loaders: packed, files, other readers",
    "labels": "predict: memory and speed",
    "loss": "contrastive losses",
    "online_probes": "probes while a run trains",
    "outside": "data from elsewhere against files",
    "probe": "heads against re-encoding and scikit-learn",
    "scan": "scan of audio files",
    "search": "index and search",
    "start": "start with a million clips",
    "step": "training steps against the published pipelines",
    "streaming": "streamed data sets",
}
PACKAGES = ("torch", "torchaudio", "numpy", "pandas", "soundfile", "soxr", "scipy", "scikit-learn")
PACKAGES += ("lightly", "pytorch-metric-learning", "pedalboard", "audiomentations", "sox")


def machine() -> dict[str, Any]:
    """Describe the machine and the packages."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "processor": processor(),
        "cores": all_cores(),
        "python": platform.python_version(),
        "packages": versions_of(PACKAGES),
        "load": round(load, 2),
    }


def measured(name: str, limit: float, more: list[str]) -> dict[str, Any]:
    """Run one benchmark, and return its results, its seconds, and how it ended."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--check", *more]
    begin, ended = time.monotonic(), "ended"
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
        )
        said = done.stdout
        if done.returncode not in (0, 1):
            ended = f"exit status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    except subprocess.TimeoutExpired as error:
        kept = error.stdout or b""  # bytes, also of a process whose output is text
        said = kept if isinstance(kept, str) else kept.decode(errors="replace")
        ended = f"not done after {limit:.0f} s"
    results = read_bars(said)
    if not results and ended == "ended":
        ended = "without a result"
    seconds = round(time.monotonic() - begin, 1)
    return {"results": results, "seconds": seconds, "ended": ended, "said": said}


def table(found: dict[str, Any]) -> str:
    """Return the page with all results."""
    about = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    lines = [
        f"{about['processor']}, {about['cores']} cores; Python {about['python']}, {versions}. "
        f"Load at the start: {about['load']}.",
        "",
        "| benchmark | result | value | limit | met |",
        "|---|---|---:|---:|---|",
    ]
    for name, run in found["runs"].items():
        lines += [
            f"| {name} | {r.name} | {r.value:.4g} | {r.relation} {r.bar:g} | "
            f"{'yes' if r.met else 'no'} |"
            for r in run["results"]
        ]
        lines.append(
            f"| {name} | {BENCHMARKS[name]} | {run['seconds']:.0f} s |  | {run['ended']} |"
        )
    return "\n".join(lines) + "\n"


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is written as JSON: every result with the names of its parts."""
    runs = {
        name: run | {"results": [result._asdict() for result in run["results"]]}
        for name, run in found["runs"].items()
    }
    return found | {"runs": runs}


def main(args: list[str] | None = None) -> int:
    """Run the benchmarks; return 1 if one did not end, or with ``--check`` if a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--limit", type=float, default=900, help="seconds for each benchmark")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    parser.add_argument("--tiny", action="store_true", help="pass --tiny on, for a test")
    options = parser.parse_args(args)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": machine(), "runs": {}}
    for name in options.only:
        print(f"{name}: {BENCHMARKS[name]}", flush=True)
        run = measured(name, options.limit, ["--tiny"] if options.tiny else [])
        found["runs"][name] = run
        options.out.write_text(json.dumps(as_json(found), indent=1) + "\n")
        options.out.with_suffix(".md").write_text(table(found))
        missed = [r.name for r in run["results"] if not r.met]
        print(f"  {run['seconds']:.0f} s, {run['ended']}; missed: {missed or 'none'}", flush=True)
    print(f"Wrote {options.out.with_suffix('.md')}")
    runs = found["runs"].values()
    met = all(result.met for run in runs for result in run["results"])
    return int(any(run["ended"] != "ended" for run in runs) or (options.check and not met))


if __name__ == "__main__":
    sys.exit(main())
