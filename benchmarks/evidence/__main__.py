"""Run studies: ``python -m benchmarks.evidence mfcl --data DIR``, several studies, or ``all``.

Results that are already in the CSV file of a study are not computed again. DIR must have the
folders fsdd, esc10, fsdkaggle2018_mini, gm_notes and librispeech_mini. Runs are written to
``runs/evidence/``, CSV files to ``docs/evidence/``, and tables to ``docs/results.md``. ``--quick``
runs a few steps of a few settings and writes all files to ``runs/evidence-quick/``.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.evidence.check import FIGURES, NAMES, load_study, tables_of
from benchmarks.evidence.check import main as check
from benchmarks.evidence.runner import run
from benchmarks.evidence.study import cells


def main(args: list[str] | None = None) -> int:
    """Run studies; return 1 if a setting has failed, else 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", choices=[*NAMES, "all"])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="SETTING", help="these settings of the one study"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="by default 0 1 2; with --quick 0")
    parser.add_argument(
        "--jobs", type=int, default=2, help="cells at a time, a process and a thread each"
    )
    parser.add_argument(
        "--quick", action="store_true", help="does it run? a few steps, nothing published"
    )
    given = parser.parse_args(args)
    names = NAMES if "all" in given.studies else given.studies
    if given.only and len(names) > 1:
        parser.error("--only goes with one study")
    folder = Path("runs/evidence-quick" if given.quick else "runs/evidence")
    figures, failed = folder if given.quick else FIGURES, 0
    for study in map(load_study, names):
        seeds = given.seeds or ([0] if given.quick else [0, 1, 2])
        todo = cells(
            study, seeds, folder / study.name, given.data.resolve(), given.only, given.quick
        )
        failed += run(todo, figures / f"{study.name}.csv", given.jobs)
        if given.quick:
            print("\n".join(tables_of(study, figures).values()))
        elif study.pictures and not failed:
            study.pictures(folder / study.name)
    return int(bool(failed)) or (0 if given.quick else check(["--write"]))


if __name__ == "__main__":
    sys.exit(main())
