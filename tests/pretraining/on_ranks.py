"""Started by torchrun: several recipes through ``pretrain.py``, one after the other, in the same
processes (starting them takes longest).

``torchrun --standalone --nproc_per_node 2 -m tests.pretraining.on_ranks CLIPS RUNS RECIPE...``
"""

import runpy
import sys
from pathlib import Path

import torch

from tests.pretraining.runs import ROOT, small

OPTIONS = {
    "trainer.accelerator": "cpu",
    "trainer.devices": 2,
    "trainer.num_nodes": 1,
    "trainer.max_steps": 2,
    "trainer.limit_val_batches": 1,
}


def main() -> int:
    """Train each recipe for two steps; the first exit status that is not 0."""
    torch.set_num_threads(1)
    clips, runs, *recipes = sys.argv[1:]
    options = [part for name, value in OPTIONS.items() for part in (f"--{name}", str(value))]
    for recipe in recipes:
        sys.argv = [
            str(ROOT / "pretrain.py"),
            *small(
                recipe, Path(clips), Path(runs), "--run_name", recipe.replace("/", "-"), *options
            ),
        ]
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            if end.code:
                print(f"{recipe} ended with {end.code}", file=sys.stderr)
                return int(end.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
