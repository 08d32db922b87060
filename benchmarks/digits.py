"""Compare self-supervised and supervised pretraining on spoken digits (FSDD).

``python -m benchmarks.digits --data_dir <FSDD>`` pretrains the small encoder self-supervised,
semi-supervised with 5 % and with all digit labels, and supervised. The encoders are compared by
linear probes of the digit and of the speaker.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.recipes import BESIDE, pretrain, probe, summary

RUNS = {
    "self-supervised": ("pretrain_ssl", []),
    "semi-supervised 5 %": (
        "pretrain_smsl",
        ["--data.sl_task", "fsdd_digit", "--data.supervised_data_p", "0.05"],
    ),
    "semi-supervised 100 %": ("pretrain_smsl", ["--data.sl_task", "fsdd_digit"]),
    "supervised": ("pretrain_sl", ["--data.sl_task", "fsdd_digit"]),
}
# Most digits are shorter than half a second. The clips have 8 kHz and are resampled.
SETTINGS = [
    "--data.target_length",
    "0.5",
    "--draw_every",
    "0",
    "--data.aug_list",
    "[gain, polarity_inversion, add_colored_noise]",
]


def main(args: list[str] | None = None) -> int:
    """Pretrain and probe all encoders, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of FSDD")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/digits"), help="where everything goes"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given, more = parser.parse_known_args(args)
    results = []
    for seed in given.seeds:
        runs = {}
        for name, (recipe, labels) in RUNS.items():
            run = f"{name.replace(' %', '').replace(' ', '-')}-{seed}"
            # The folder also has the test clips. With the name of the task, they are not used as
            # unlabelled clips.
            pool = ["--data.ssl_task", "fsdd_digit"] if recipe == "pretrain_ssl" else []
            runs[run] = pretrain(
                recipe,
                given.folder,
                run,
                seed,
                ["--data.data_dir", str(given.data_dir), *SETTINGS, *labels, *pool, *more],
            )
        roots = [
            part
            for task in ("fsdd_digit", "fsdd_speaker")
            for part in (f"--data_dirs.{task}", str(given.data_dir))
        ]
        results.append(
            probe(
                ("fsdd_digit", "fsdd_speaker"),
                runs,
                given.folder / f"probe-{seed}",
                seed,
                roots,
                BESIDE,
            )
        )
    table = summary(
        pd.concat(results).assign(
            checkpoint=lambda r: r["checkpoint"].str.replace(r"-\d$", "", regex=True)
        ),
        ("accuracy",),
    )
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
