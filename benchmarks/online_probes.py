"""Measure the cost of the probes during pretraining (``val_knn``, ``val_linear``).

``python -m benchmarks.online_probes`` trains the small semi-supervised recipe on the synthetic data
set, in turn with and without probes. It prints the median share of CPU time and of wall-clock time
that the probes add. A first run, which imports modules and renders the data, is not counted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.bars import Bar, all_met
from benchmarks.quiet import quiet
from semisupcon.commands.pretrain import main as pretrain

CONFIG = Path(__file__).resolve().parents[1] / "config"
RECIPE = "pretrain_smsl"
TINY = {
    "model.encoder.widths": "[8, 8, 16]",
    "model.encoder.stem": "9",
    "data.target_length": "0.2",
    "data.batch_size": "8",
}


def train(folder: Path, name: str, steps: int, probed: bool, tiny: bool) -> tuple[float, float]:
    """Train one run, and return its seconds of CPU time and of wall-clock time."""
    configs = (
        CONFIG / "pretraining" / f"{RECIPE}.yaml",
        CONFIG / "overlays" / "small" / f"{RECIPE}.yaml",
    )
    options = {
        "data.sl_task": "synthetic_instrument",
        "data.num_workers": "0",
        "trainer.max_steps": str(steps),
        "trainer.enable_progress_bar": "false",
        "ckpt_path": str(folder),
        "run_name": name,
        "draw_every": "0",
    }
    options |= TINY if tiny else {}
    options |= {} if probed else {"probe.tasks": "[]"}
    words = [word for config in configs for word in ("--config", str(config))]
    words += [word for option, value in options.items() for word in (f"--{option}", value)]
    begin = time.process_time(), time.perf_counter()
    if pretrain(words) != 0:
        raise SystemExit(f"The run {name} failed.")
    return time.process_time() - begin[0], time.perf_counter() - begin[1]


@quiet()
def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and the cost is too high."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=75, help="optimizer steps, of 25 an epoch")
    parser.add_argument("--pairs", type=int, default=5, help="runs with and without")
    parser.add_argument("--tiny", action="store_true", help="smoke test: two steps, one pair")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    given = parser.parse_args(args)
    steps, pairs = (2, 1) if given.tiny else (given.steps, given.pairs)
    cpu, wall = [], []
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), "first", min(steps, 30), True, given.tiny)
        for i in range(pairs):
            found = {}
            for probed in (True, False) if i % 2 else (False, True):
                name = f"{'with' if probed else 'without'}-{i}"
                found[probed] = train(Path(folder), name, steps, probed, given.tiny)
                print(f"{name}: {found[probed][0]:.2f} s CPU, {found[probed][1]:.2f} s", flush=True)
            cpu.append(100 * (found[True][0] / found[False][0] - 1))
            wall.append(100 * (found[True][1] / found[False][1] - 1))
    print(f"median of {pairs} pairs: {median(cpu):+.1f} % CPU time, {median(wall):+.1f} % time")
    met = all_met([Bar("online_probes_cpu_percent", median(cpu), 5.0, "<=")])
    return int(given.check and not met)


if __name__ == "__main__":
    sys.exit(main())
