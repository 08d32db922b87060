"""What graded supervision adds: pitch classes, near by the circle they lie on, and values by a kernel, against self-supervision alone.

``python -m benchmarks.similarities`` pretrains a narrow ResNet-18 on the embedded set without labels, with the pitch classes of all training clips,
and with two continuous values of theirs (brightness and activity), and probes classes and values. What pitch values add on real notes is in the
SemiSupCon study of ``benchmarks/evidence``.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.learning import MEL, QUIET
from benchmarks.recipes import pretrain, probe, summary

SIMILARITY = "{class_path: ClassSimilarity, init_args: {matrix: semisupcon.data.annotations.keys.pitch_class_similarity}}"
RUNS = {
    "self-supervised": ("pretrain_ssl", []),
    "by-pitch-class": ("pretrain_smsl", ["--data.sl_task", "synthetic_pitch", "--model.criterion.target", SIMILARITY]),
    "by-values": ("pretrain_smsl", ["--data.sl_task", "synthetic_affect", "--model.criterion.target", "Kernel"]),
}
ASKED = ("synthetic_pitch", "synthetic_affect")


def study(folder: Path, seed: int, more: list[str]) -> pd.DataFrame:
    """Results of one seed; those of an earlier call are read again."""
    out = folder / f"probe-{seed}"
    if (out / "results.csv").exists():
        return pd.read_csv(out / "results.csv")
    runs = {}
    for name, (recipe, graded) in RUNS.items():
        labelled = [*graded, "--data.intrabatch_supervised_p", "1.0"] if graded else []
        options = [*MEL, *QUIET, "--trainer.max_steps", "300", *labelled, *more]
        runs[name] = pretrain(recipe, folder, f"{name}-{seed}", seed, options)
    return probe(ASKED, runs, out, seed, ["--projection", "none"])


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
