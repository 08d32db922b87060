"""Every kind of real data set through its own loader: two epochs of semi-supervised pretraining on
each, and a linear probe of it.

``python -m benchmarks.datasets --data DIR`` pretrains on the training clips of each set (of each
fold, where there are folds: a clip that is tested was never pretrained on), probes that encoder and
an untrained one, and prints a table. DIR holds fsdd, esc10, fsdkaggle2018_mini, librispeech_mini
and gm_notes. Two epochs of so few clips are a test of the loaders, not of the method.
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
    """Rows of results of one data set, over its folds."""
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
        # Regression values are near by how little they differ; labels, by whether they are shared.
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
    """Run the study; returns the exit status."""
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
