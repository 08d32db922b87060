"""Compare graded supervision, with similarities of labels, with self-supervision.

``python -m benchmarks.similarities`` pretrains on the synthetic data set with and without the
labels of all training clips, and probes the labelled property. There are two studies. Pitch classes
are similar if they are near on the circle of pitch classes; the encoder is a small SampleCNN, since
mel bands do not distinguish pitch classes. For two continuous values (brightness and activity), the
similarity is a kernel; the encoder is a narrow ResNet-18 on mel bands. The effect of pitch values
on real notes is measured in the SemiSupCon study of ``benchmarks/evidence``.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.learning import MEL, QUIET
from benchmarks.recipes import pretrain, probe, summary


class Graded(NamedTuple):
    """A study.

    Attributes:
        task: name of the task.
        similarity: target of the criterion, with the similarity of labels.
        steps: number of training steps.
        options: options of ``semisupcon pretrain`` for the encoder.
    """

    task: str
    similarity: str
    steps: int
    options: tuple[str, ...]


PITCHES = "{class_path: ClassSimilarity, init_args: {matrix: semisupcon.datasets.keys.pitch_class_similarity}}"
STUDIES = {
    "classes": Graded(
        "synthetic_pitch",
        PITCHES,
        200,
        ("--data.aug_list", "[gain, polarity_inversion, add_colored_noise]"),
    ),
    "values": Graded("synthetic_affect", "Kernel", 300, MEL),
}


def study(name: str, folder: Path, seed: int, more: list[str]) -> pd.DataFrame:
    """Return the results of one seed. Results of an earlier call are read from their file."""
    out = folder / f"probe-{name}-{seed}"
    if (out / "results.csv").exists():
        return pd.read_csv(out / "results.csv")
    graded = STUDIES[name]
    options = [
        *graded.options,
        *QUIET,
        "--trainer.max_steps",
        str(graded.steps),
        "--trainer.val_check_interval",
        "4",
        *more,
    ]
    labels = [
        "--data.sl_task",
        graded.task,
        "--data.intrabatch_supervised_p",
        "1.0",
        "--model.criterion.target",
        graded.similarity,
    ]
    runs = {
        "self-supervised": pretrain("pretrain_ssl", folder, f"{name}-alone-{seed}", seed, options),
        "graded": pretrain(
            "pretrain_smsl", folder, f"{name}-graded-{seed}", seed, [*options, *labels]
        ),
    }
    return probe([graded.task], runs, out, seed, ["--projection", "none"])


def main(args: list[str] | None = None) -> int:
    """Pretrain and probe all encoders, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/similarities"), help="where everything goes"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given, more = parser.parse_known_args(args)
    table = summary(
        pd.concat(
            [study(name, given.folder, seed, more) for name in STUDIES for seed in given.seeds]
        )
    )
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
