"""Check that the tables of ``docs/results.md`` match the CSV files of the studies.

``make evidence-check`` makes all tables again and fails at the first difference. ``--write`` writes
the tables into the page.
"""

import argparse
import importlib
import sys
from pathlib import Path

import pandas as pd

from benchmarks import learning
from benchmarks.evidence import baselines, few_shot
from benchmarks.evidence.study import Study
from benchmarks.evidence.tables import first_difference, rebuilt, render
from benchmarks.recipes import ROOT

NAMES = ("mfcl", "semisupcon", "mtslvr", "cola", "clmr", "objectives", "scores")
PAGE, FIGURES = ROOT / "docs" / "results.md", ROOT / "docs" / "evidence"


def load_study(name: str) -> Study:
    """Import the study with a name."""
    return importlib.import_module(f"benchmarks.evidence.{name}").STUDY


def tables_of(study: Study, figures: Path) -> dict[str, str]:
    """Return the tables of a study as Markdown, by their names in the markers of the page.

    Without the CSV file of the study, each table is replaced by a sentence that says so.
    """
    file = figures / f"{study.name}.csv"
    if not file.exists():
        return {
            f"{study.name}.{table.name}": f"Not measured yet: `make evidence STUDIES={study.name} DATA=DIR`.\n"
            for table in study.tables
        }
    results = pd.read_csv(file)
    return {f"{study.name}.{table.name}": render(table, results) for table in study.tables}


def learning_table(figures: Path) -> dict[str, str]:
    """Return the table of `benchmarks.learning`, whose CSV file is in the same folder."""
    file = figures / "learning.csv"
    return {
        "learning.all": learning.table(pd.read_csv(file))
        if file.exists()
        else "Not measured yet: `python -m benchmarks.learning`.\n"
    }


def main(args: list[str] | None = None) -> int:
    """Check or write the page, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the CSVs")
    given = parser.parse_args(args)
    tables = {
        name: text
        for study in map(load_study, NAMES)
        for name, text in tables_of(study, given.figures).items()
    }
    tables |= learning_table(given.figures) | baselines.page_tables(given.figures)
    tables |= few_shot.page_tables(given.figures)
    page = given.page.read_text()
    try:
        anew = rebuilt(page, tables)
    except ValueError as error:
        print(f"error: {given.page}: {error}", file=sys.stderr)
        return 2
    if given.write:
        given.page.write_text(anew)
    elif difference := first_difference(page, anew):
        print(
            f"{given.page} is not what its CSVs say: {difference}\nMake it so: python -m "
            "benchmarks.evidence.check --write",
            file=sys.stderr,
        )
        return 1
    print(f"{given.page}: {len(tables)} tables as their CSVs say")
    return 0


if __name__ == "__main__":
    sys.exit(main())
