"""From a study's CSV to its tables: means over seeds with 95 % intervals, chance and numbers of
classes, published figures beside them."""

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
    """What a column of a table holds; the fields after the title are those of the CSV."""

    title: str
    task: str
    method: str = "linear"
    representation: str = "embedding"
    metric: str = "accuracy"


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        name: after the study's, in the page's markers.
        rows: settings of the CSV.
        columns: of the table.
        published: name of a published row to its cells, one a column; given as they were published.
        rank: a last column with each row's mean rank over the columns.
        mean: name of a row with the mean of all the others, whose interval is over them; empty for
            none.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    published: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rank: bool = False
    mean: str = ""


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t (4.30 s / sqrt(3) of three); nan
    of a single value."""
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(half)


def percent(values: Sequence[float]) -> str:
    """``mean ± half`` in percent with one decimal; a single value alone, and nothing for none."""
    if not len(values):
        return ""
    mean, half = mean_and_half(values)
    return f"{100 * mean:.1f}" + ("" if np.isnan(half) else f" ± {100 * half:.1f}")


def pick(results: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The rows of a CSV that a column is made of."""
    names = ("task", "method", "representation", "metric")
    return results[
        np.logical_and.reduce([results[name] == getattr(column, name) for name in names])
    ]


def render(table: Table, results: pd.DataFrame) -> str:
    """A table as Markdown, with a line on what its numbers are; settings that were not run are left
    out."""
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
    """Rank of each row's mean within a column, 1 the best, averaged over columns; of rows that fill
    all of them."""
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
    """What an answer that ignores the audio scores, and among how many classes."""
    if found.empty or found["chance"].isna().all():
        return ""
    classes = int(found["classes"].iloc[0])
    return f"{100 * found['chance'].mean():.1f}" + (f" ({classes})" if classes else " (values)")


def note(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """Seeds, steps, time and machine of the cells that a table is made of; of few-shot tables also
    the intervals over episodes."""
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
    """``low to high``, or the one value."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def rebuilt(page: str, tables: Mapping[str, str]) -> str:
    """The page with every table made anew.

    Raises:
        ValueError: when the page lacks a table, or has a place for one that nobody makes.
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
    """The first table that differs, and the first line in which it does; None when none does."""
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
