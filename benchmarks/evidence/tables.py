"""Make the tables of a study from its CSV file.

A table has means over seeds with 95 % intervals, the chance level, the number of classes, and
published results for comparison.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.recipes import markdown

BLOCK = re.compile(
    r"(?P<open><!-- evidence: (?P<name>\S+) -->\n)(?P<text>.*?)(?P<close><!-- end of evidence -->)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Column:
    """A column of a table. All fields except the title select rows of the CSV file."""

    title: str
    task: str
    method: str = "linear"
    representation: str = "embedding"
    metric: str = "accuracy"


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        name: name of the table in the markers of the page, after the name of the study.
        rows: settings of the CSV file.
        columns: columns of the table.
        published: cells of published results as text, by the name of the row.
        rank: whether the last column is the mean rank of each row over the columns.
        mean: name of a last row with the mean over all rows; empty for no such row.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    published: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rank: bool = False
    mean: str = ""


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of values and half the width of its 95 % interval (Student's t).

    With three values, the half width is 4.30 s / sqrt(3). It is NaN for a single value.
    """
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(half)


def percent(values: Sequence[float]) -> str:
    """Format values as ``mean ± half width`` in percent.

    A single value has no half width. Without values, the text is empty.
    """
    if not len(values):
        return ""
    mean, half = mean_and_half(values)
    return f"{100 * mean:.1f}" + ("" if np.isnan(half) else f" ± {100 * half:.1f}")


def pick(results: pd.DataFrame, column: Column) -> pd.DataFrame:
    """Return the rows of a CSV file that belong to a column."""
    names = ("task", "method", "representation", "metric")
    return results[
        np.logical_and.reduce([results[name] == getattr(column, name) for name in names])
    ]


def render(table: Table, results: pd.DataFrame) -> str:
    """Return a table as Markdown, followed by a line that explains its numbers.

    Settings without results are left out.
    """
    picked = [pick(results, column) for column in table.columns]
    values = {
        row: [found.loc[found["setting"] == row, "value"].to_numpy() for found in picked]
        for row in table.rows
    }
    values = {row: cells for row, cells in values.items() if any(map(len, cells))}
    lines = {row: [percent(cell) for cell in cells] for row, cells in values.items()}
    if table.rank:
        for row, rank in mean_ranks(values).items():
            lines[row].append(f"{rank:.1f}")
    if table.mean and values:
        lines[table.mean] = [
            percent(np.concatenate(column)) for column in zip(*values.values(), strict=True)
        ]
    chances = [chance(found) for found in picked]
    lines |= {"chance (classes)": chances} if any(chances) else {}
    lines |= {f"published: {name}": list(cells) for name, cells in table.published.items()}
    width = len(table.columns) + table.rank
    header = [
        "",
        *(column.title for column in table.columns),
        *(["mean rank"] if table.rank else []),
    ]
    rows = [
        header,
        *([name, *cells, *[""] * (width - len(cells))] for name, cells in lines.items()),
    ]
    return markdown(rows) + "\n" + note(pd.concat(picked), list(values)) + "\n"


def mean_ranks(values: Mapping[str, Sequence[np.ndarray]]) -> dict[str, float]:
    """Return the mean rank of each row over all columns; rank 1 is the best.

    Rows with empty cells are left out.
    """
    whole = {
        row: [cell.mean() for cell in cells]
        for row, cells in values.items()
        if all(map(len, cells))
    }
    ranks = (
        pd.DataFrame(whole).rank(axis=1, ascending=False).mean()
        if whole
        else pd.Series(dtype=float)
    )
    return ranks.to_dict()


def chance(found: pd.DataFrame) -> str:
    """Return the chance level of a column in percent, with the number of classes."""
    if found.empty or found["chance"].isna().all():
        return ""
    classes = int(found["classes"].iloc[0])
    return f"{100 * found['chance'].mean():.1f}" + (f" ({classes})" if classes else " (values)")


def note(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """Describe the cells of a table: seeds, steps, time and machine.

    For few-shot tables, the interval over episodes is added.
    """
    found = found[found["setting"].isin(rows)]
    if found.empty:
        return ""
    cells = found.drop_duplicates(["setting", "seed"])
    seeds = cells.groupby("setting")["seed"].nunique()
    over = (
        f"mean over {span(seeds)} seeds ± 95 % interval (Student's t)"
        if seeds.max() > 1
        else "one seed"
    )
    said = f"Percent; {over}. "
    trained = cells[cells["steps"] > 0]
    if len(trained):
        said += f"{span(trained['steps'])} steps; {span(trained['seconds'])} s of processor time a cell with its probes, "
        said += f"{trained['seconds'].sum() / 60:.0f} min in all; "
    said += ", ".join(sorted(cells["machine"].unique())) + "."
    episodes = found[found["method"].str.startswith("few_shot")]
    if len(episodes):
        half = 50 * (episodes["high"] - episodes["low"]).max()
        said += f" Over the episodes of one seed the interval is ± {half:.1f} at most."
    return said


def span(values: pd.Series) -> str:
    """Format the range of values as ``low to high``, or as one value."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def rebuilt(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with all tables replaced.

    Raises:
        ValueError: if the page has no place for a table, or a place for an unknown table.
    """
    there = [block["name"] for block in BLOCK.finditer(page)]
    if wrong := sorted(set(there) ^ set(tables)) or sorted(
        {name for name in there if there.count(name) > 1}
    ):
        raise ValueError(
            "the page must have one place for each table of the studies; that is not so of: "
            f"{', '.join(wrong)}"
        )
    return BLOCK.sub(
        lambda block: f"{block['open']}\n{tables[block['name']]}\n{block['close']}", page
    )


def first_difference(page: str, anew: str) -> str | None:
    """Describe the first table and line in which two pages differ; None if none differs."""
    for old, new in zip(BLOCK.finditer(page), BLOCK.finditer(anew), strict=True):
        if old["text"] != new["text"]:
            was, now = old["text"].splitlines(), new["text"].splitlines()
            at = next(
                (i for i, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]),
                min(len(was), len(now)),
            )
            lines = ["".join(text[at : at + 1]) or "(nothing)" for text in (was, now)]
            return f"{old['name']}\n  page:  {lines[0]}\n  table: {lines[1]}"
    return None
