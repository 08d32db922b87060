"""What graded supervision adds: pitch classes by the circle they lie on, pitch values by a kernel, each against self-supervision alone.

``python -m benchmarks.similarities`` pretrains the small encoder on the embedded set, with and without the pitch classes of all training clips, and
probes the pitch class. With ``--data DIR`` (which holds gm_notes) it does the same with the MIDI pitches of real notes, over all folds for each seed.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from benchmarks.recipes import REAL, asking, markdown, named_tasks, pretrain, probe, summary

SIMILARITY = "{class_path: ClassSimilarity, init_args: {matrix: semisupcon.data.annotations.keys.pitch_class_similarity}}"
KERNEL = "{class_path: Kernel, init_args: {bandwidth: 0.3}}"
SETTINGS = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]", "--draw_every", "0", "--trainer.limit_val_batches", "0"]
SETTINGS += ["--monitor", "null", "--trainer.enable_progress_bar", "false"]
LABELLED = ["--data.intrabatch_supervised_p", "1.0", "--model.criterion.target"]


def pitch_classes(folder: Path, seed: int, more: list[str]) -> pd.DataFrame:
    """Results on the embedded set; those of an earlier call are read again."""
    out = folder / f"probe-classes-{seed}"
    if (out / "results.csv").exists():
        return pd.read_csv(out / "results.csv")
    options = [*SETTINGS, "--trainer.max_steps", "200", "--trainer.val_check_interval", "4", *more]
    by_pitch = [*options, "--data.sl_task", "synthetic_pitch", *LABELLED, SIMILARITY]
    runs = {
        "self-supervised": pretrain("pretrain_ssl", folder, f"classes-alone-{seed}", seed, options),
        "graded": pretrain("pretrain_smsl", folder, f"classes-graded-{seed}", seed, by_pitch),
    }
    return probe(["synthetic_pitch"], runs, out, seed, ["--projection", "none"])


def pitch_values(folder: Path, seed: int, data: Path, more: list[str]) -> pd.DataFrame:
    """Results on single notes of real instruments, each fold pretrained apart and tested once."""
    return pd.concat([pitch_values_of_fold(folder, seed, fold, data, more) for fold in range(1, REAL["pitch"].folds + 1)])


def pitch_values_of_fold(folder: Path, seed: int, fold: int, data: Path, more: list[str]) -> pd.DataFrame:
    """Results on one fold; those of an earlier call are read again."""
    out = folder / f"probe-values-{seed}-{fold}"
    if (out / "results.csv").exists():
        return pd.read_csv(out / "results.csv")
    kwargs = json.dumps(REAL["pitch"].options | {"fold": fold})
    options = [*SETTINGS, "--data.target_length", "0.6", "--trainer.max_steps", "200", "--trainer.val_check_interval", "4", *more]
    options += ["--data.data_dir", str(data / "gm_notes")]
    by_value = [*options, "--data.sl_task", "csv", "--data.sl_kwargs", kwargs, *LABELLED, KERNEL]
    alone = [*options, "--data.ssl_task", "csv", "--data.ssl_kwargs", kwargs]
    runs = {
        "self-supervised": pretrain("pretrain_ssl", folder, f"values-alone-{seed}-{fold}", seed, alone),
        "graded": pretrain("pretrain_smsl", folder, f"values-graded-{seed}-{fold}", seed, by_value),
    }
    asked = [*asking(["pitch"], data), f"--task_kwargs.pitch.fold={fold}", "--projection", "none"]
    return probe(named_tasks(["pitch"]), runs, out, seed, asked)


def main(args: list[str] | None = None) -> int:
    """Pretrain, probe, print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/similarities"), help="where everything goes")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given, more = parser.parse_known_args(args)
    results = pd.concat(
        [
            *(pitch_classes(given.folder, seed, more) for seed in given.seeds),
            *(pitch_values(given.folder, seed, given.data, more) for seed in given.seeds if given.data),
        ]
    )
    by_seed = results.groupby(["task", "metric", "checkpoint", "seed"], sort=False, as_index=False)["value"].mean()
    table = "Mean over seeds, of all folds where there are any, and standard deviation over seeds.\n\n" + summary(by_seed)
    chosen = by_seed[by_seed["metric"].isin(("accuracy", "r2"))]
    wide = (100 * chosen.pivot_table("value", ["task", "metric", "seed"], "checkpoint", sort=False)).round(1)
    table += "\nBy seed:\n\n" + markdown(
        [["task", "metric", "seed", *wide.columns], *([*i, *row] for i, row in zip(wide.index, wide.to_numpy(), strict=True))]
    )
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
