"""Test the loaders of real data sets with short pretraining runs and linear probes.

``python -m benchmarks.datasets --data DIR`` runs two epochs of semi-supervised pretraining on the
training clips of each data set (of each fold, if there are folds). It then probes the encoder and
an untrained one, and prints a table. Test clips are never used in pretraining. DIR must have the
folders fsdd, esc10, fsdkaggle2018_mini, librispeech_mini and gm_notes. Two epochs on so few clips
test the loaders, not the method.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from benchmarks.recipes import BESIDE, REAL, asking, named_tasks, pretrain, probe, summary

EPOCHS = [
    "--trainer.max_epochs",
    "2",
    "--trainer.max_steps",
    "-1",
    "--trainer.check_val_every_n_epoch",
    "1",
    "--trainer.val_check_interval",
    "1.0",
]
QUIET = [
    "--draw_every",
    "0",
    "--trainer.log_every_n_steps",
    "1",
    "--trainer.enable_progress_bar",
    "false",
]
AUGMENTATION = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]"]


def study(name: str, data: Path, folder: Path, more: list[str]) -> pd.DataFrame:
    """Pretrain and probe on one data set, in all its folds, and return the result rows.

    Args:
        name: name of the data set.
        data: folder of all data sets.
        folder: folder for runs and probes.
        more: further options of ``semisupcon pretrain``.
    """
    real, results = REAL[name], []
    for fold in range(1, real.folds + 1) if real.folds else [None]:
        options = real.options | ({} if fold is None else {"fold": fold})
        run = name if fold is None else f"{name}-{fold}"
        args = [
            "--data.sl_task",
            real.task,
            "--data.data_dir",
            str(data / real.folder),
            "--data.sl_kwargs",
            json.dumps(options),
        ]
        # For a regression, the target depends on the difference of values, not on equal labels.
        args += (
            ["--model.criterion.target", "Kernel"] if options.get("kind") == "regression" else []
        )
        pretrained = pretrain(
            "pretrain_smsl", folder, run, 0, [*args, *EPOCHS, *QUIET, *AUGMENTATION, *more]
        )
        asked = [
            *asking([name], data),
            *([] if fold is None else [f"--task_kwargs.{name}.fold={fold}"]),
        ]
        results.append(
            probe(
                named_tasks([name]),
                {"two-epochs": pretrained},
                folder / f"probe-{run}",
                0,
                asked,
                BESIDE,
            )
        )
    return pd.concat(results)


def main(args: list[str] | None = None) -> int:
    """Run all data sets and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/datasets"), help="where everything goes"
    )
    parser.add_argument("--only", nargs="+", choices=REAL, default=list(REAL))
    given, more = parser.parse_known_args(args)
    table = summary(
        pd.concat([study(name, given.data, given.folder, more) for name in given.only]),
        ("accuracy", "r2"),
    )
    (given.folder / "results.md").write_text(table)
    print(f"\nTest metric in percent; ± is the standard deviation over folds.\n\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
