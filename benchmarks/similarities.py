"""What graded supervision adds: continuous values by a kernel, pitch classes by the circle they lie on, against self-supervision alone.

``python -m benchmarks.similarities`` pretrains the small encoder on the embedded set three times each way (with the labels of all training
clips in half of each batch) and probes brightness and activity (R2) and the pitch class (accuracy).
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.recipes import pretrain, probe, summary

PITCH = "{class_path: ClassSimilarity, init_args: {matrix: semisupcon.data.annotations.keys.pitch_class_similarity}}"
RUNS = {
    "self-supervised": ("pretrain_ssl", []),
    "affect": ("pretrain_smsl", ["--data.sl_task", "synthetic_affect", "--model.criterion.target", "Kernel"]),
    "pitch": ("pretrain_smsl", ["--data.sl_task", "synthetic_pitch", "--model.criterion.target", PITCH]),
}
SETTINGS = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]", "--draw_every", "0", "--data.target_length", "0.6"]
TASKS = ("synthetic_affect", "synthetic_pitch", "synthetic_instrument")


def main(args: list[str] | None = None) -> int:
    """Pretrain, probe, print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/similarities"), help="where everything goes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given, more = parser.parse_known_args(args)
    results = []
    for seed in given.seeds:
        runs = {
            name: pretrain(recipe, given.folder, f"{name}-{seed}", seed, [*SETTINGS, *labels, *more])
            for name, (recipe, labels) in RUNS.items()
        }
        results.append(probe(TASKS, runs, given.folder / f"probe-{seed}", seed))
    table = summary(pd.concat(results))
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
