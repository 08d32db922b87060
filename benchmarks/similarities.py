"""What graded supervision adds: pitch classes, near by the circle they lie on, against self-supervision alone.

``python -m benchmarks.similarities`` pretrains the small encoder on the embedded set, with and without the pitch classes of all training clips, and
probes the pitch class. What pitch values add by a kernel, on real notes, is in the SemiSupCon study of ``benchmarks/evidence``.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.recipes import pretrain, probe, summary

SIMILARITY = "{class_path: ClassSimilarity, init_args: {matrix: semisupcon.data.annotations.keys.pitch_class_similarity}}"
SETTINGS = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]", "--draw_every", "0", "--trainer.limit_val_batches", "0"]
SETTINGS += [
    "--monitor",
    "null",
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.max_steps",
    "200",
    "--trainer.val_check_interval",
    "4",
]
GRADED = ["--data.sl_task", "synthetic_pitch", "--data.intrabatch_supervised_p", "1.0", "--model.criterion.target", SIMILARITY]


def study(folder: Path, seed: int, more: list[str]) -> pd.DataFrame:
    """Results of one seed; those of an earlier call are read again."""
    out = folder / f"probe-{seed}"
    if (out / "results.csv").exists():
        return pd.read_csv(out / "results.csv")
    runs = {
        "self-supervised": pretrain("pretrain_ssl", folder, f"alone-{seed}", seed, [*SETTINGS, *more]),
        "graded": pretrain("pretrain_smsl", folder, f"graded-{seed}", seed, [*SETTINGS, *GRADED, *more]),
    }
    return probe(["synthetic_pitch"], runs, out, seed, ["--projection", "none"])


def main(args: list[str] | None = None) -> int:
    """Pretrain, probe, print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/similarities"), help="where everything goes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given, more = parser.parse_known_args(args)
    table = summary(pd.concat([study(given.folder, seed, more) for seed in given.seeds]))
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
