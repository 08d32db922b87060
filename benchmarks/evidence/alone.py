"""Helpers of the studies that are separate commands: `baselines` and `few_shot`."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.evidence.questions import as_arguments
from benchmarks.recipes import ROOT

FIGURES = ROOT / "docs" / "evidence"
Tables = Callable[[pd.DataFrame], dict[str, str]]


def parser(about: str | None, name: str) -> argparse.ArgumentParser:
    """Return the argument parser of a study, with the common options."""
    found = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    found.add_argument("--folder", type=Path, default=Path(f"runs/evidence/{name}"))
    found.add_argument("--figures", type=Path, default=FIGURES, help="folder of the CSV")
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    found.add_argument("--tiny", action="store_true", help="does it run? GM notes alone, two steps")
    return found


def probe(options: Mapping[str, Any]) -> None:
    """Run ``semisupcon probe`` with options."""
    from semisupcon.commands.probe import main as probe_main

    if status := probe_main(as_arguments(options)):
        raise SystemExit(status)


def finish(results: pd.DataFrame, name: str, figures: Path, tables: Tables, counted: str) -> int:
    """Write the CSV file of a study and print its tables.

    Also print the number of different values of the column ``counted``.
    """
    figures.mkdir(parents=True, exist_ok=True)
    results.to_csv(figures / f"{name}.csv", index=False, float_format="%.6g")
    print("\n".join(tables(results).values()))
    print(f"RESULT {counted}s {results[counted].nunique()}")
    return 0


def from_csv(name: str, figures: Path, tables: Tables, blocks: Sequence[str]) -> dict[str, str]:
    """Return the tables of a study for the page, made from its CSV file.

    Without the file, each table is replaced by a sentence that says so.
    """
    file = figures / f"{name}.csv"
    if file.exists():
        return tables(pd.read_csv(file))
    absent = f"Not measured yet: `python -m benchmarks.evidence.{name} --data DIR`.\n"
    return {f"{name}.{block}": absent for block in blocks}
