"""User-defined data set in a table, with path, labels and optional split and group of clips."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import Kind, LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import label_sets, multi_hot, numbers, one_hot
from semisupcon.datasets.parsing.names import below, composed, is_absolute, portable
from semisupcon.datasets.parsing.reading import column, place, read_table
from semisupcon.datasets.parsing.split_words import WORDS, meaning, told
from semisupcon.datasets.parsing.splits import FRACTIONS, seeded_split
from semisupcon.errors import AnnotationError, ConfigError, DatasetNotFoundError
from semisupcon.kinds import KINDS

# Matches numbers, but not nan and inf, which cannot be sorted or may be words.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
log = logging.getLogger(__name__)
NO_YES = ({"0", "1"}, {"no", "yes"}, {"false", "true"})


@card(
    kind="any",
    classes=None,
    split="a column, or seeded and stratified",
    metric="by kind",
    licence="yours",
)
def csv(
    root: Path,
    file: str | None = None,
    kind: Kind = "multiclass",
    path: str = "path",
    label: str | Sequence[str] = "label",
    split: str | None = None,
    group: str | None = None,
    separator: str | None = None,
    label_separator: str = ";",
    classes: Sequence[str] | None = None,
    prefix: str = "",
    folds: int | None = None,
    fold: int = 1,
    fractions: dict[str, float] = FRACTIONS,
    seed: int = 0,
) -> LabelledClips:
    """Read a data set from a table with a header line.

    Args:
        root: folder to which the paths are relative.
        file: path of the table, relative to ``root`` or absolute; None takes the only .csv or .tsv
            file in ``root``.
        kind: label kind. Clips with an empty label field are unlabelled. ``binary`` gives one
            column of targets.
        path: name of the column with the paths. File extensions may be missing or differ from those
            on disk.
        label: name of the column with the labels. Several columns are several values for
            ``regression``, or columns of 0 and 1 for ``multilabel``.
        split: name of the column with the split: train, val, test and their usual synonyms (for dev
            and eval see `semisupcon.datasets.parsing.split_words`). None takes the column ``split``
            if it exists. Otherwise a split is drawn. It is stratified by class, by rarest label
            (multilabel) or by deciles of the first value (regression). If ``group`` is given,
            groups are drawn instead of clips.
        group: name of the column with groups that must stay in one split, such as artists or
            speakers. A clip with an empty field forms a separate group.
        separator: separator of fields. None means tabs in a .tsv file and commas in other files.
        label_separator: separator of the labels in a field of a ``multilabel`` column. Fields with
            another separator are an error, unless ``classes`` is given.
        classes: names of the classes in order. None sorts the classes in the table, by value if all
            are numbers.
        prefix: folder that is prepended to every path.
        folds: number of drawn folds, if there is no split column. None splits by ``fractions``.
        fold: number of the test fold, from 1. The next fold is used for validation.
        fractions: share of each split, if there are neither a split column nor folds.
        seed: seed of the drawn folds or split.

    Raises:
        DatasetNotFoundError: if the table is not found.
        AnnotationError: if the content cannot be read. The message has file and line.
        ConfigError: if options contradict each other.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is one of {', '.join(KINDS)}; got '{kind}'.")
    columns = [label] if isinstance(label, str) else list(label)
    source, separator = table_of(root, file, separator)
    rows = read_table(source, [path, *columns, *filter(None, (split, group))], separator)
    rows = rows.assign(
        **{
            name: rows[name].map(composed)
            for name in {*columns, *filter(None, (split, group))} - {path}
        },
    )
    if len(set(columns)) < len(columns):
        raise ConfigError(f"label names a column twice: {', '.join(columns)}.")
    written = [p if not prefix or is_absolute(p) else f"{prefix}/{p}" for p in rows[path]]
    refuse_empty(rows[path])
    table = pd.DataFrame({"path": pd.Series(below(root, written), index=rows.index, dtype=object)})
    _refuse_repetitions(table["path"])
    targets, names, strata = _read_labels(rows, columns, kind, label_separator, classes)
    drawn_from = portable(table["path"].tolist())
    groups = (
        None
        if group is None
        else [value or f"/{name}" for value, name in zip(rows[group], drawn_from, strict=True)]
    )
    if group is not None:
        table["group"] = rows[group].map(lambda value: value or None)
    split = split or ("split" if "split" in rows else None)
    if split is not None:
        table["split"] = read_splits(column(rows, split))
    else:
        table["split"] = seeded_split(drawn_from, strata, groups, folds, fold, fractions, seed)
    return LabelledClips(table, targets, names, kind=kind, metric=KINDS[kind].main)


def table_of(root: Path, file: str | None, separator: str | None) -> tuple[Path, str]:
    """Return the path of a table and its separator; by default a tab for .tsv files, else a comma.

    Raises:
        DatasetNotFoundError: if ``file`` is None and the folder does not contain exactly one table.
    """
    source = _only_table(root) if file is None else Path(root, file)
    return source, separator or ("\t" if source.suffix.lower() == ".tsv" else ",")


def _only_table(root: Path) -> Path:
    found = sorted(p for p in root.glob("*.[ct]sv")) if root.is_dir() else []
    if len(found) != 1:
        what = f"The one table ({len(found)} are there)" if found else "A table"
        raise DatasetNotFoundError(what, root / "*.csv", "Name it with the option file.")
    return found[0]


def _refuse_repetitions(paths: pd.Series) -> None:
    repeated = np.flatnonzero(paths.duplicated())
    if len(repeated):
        raise AnnotationError(
            *place(paths, repeated[0]),
            f"'{paths.iloc[repeated[0]]}' is listed twice.",
            "Keep one row per clip.",
        )


def refuse_empty(paths: pd.Series) -> None:
    """Raise an AnnotationError with file and line if a path is empty."""
    if len(empty := np.flatnonzero(paths == "")):
        raise AnnotationError(
            *place(paths, empty[0]),
            f"The path in column '{paths.name}' is empty.",
            "Name the file, or remove the line.",
        )


def read_splits(values: pd.Series) -> list[str]:
    """Convert a column with the words train, val, test and synonyms to splits.

    Raises:
        AnnotationError: if the column has other words. The message has file and line.
    """
    for row, value in enumerate(values):
        if value.lower() not in WORDS:
            problem = f"'{value}' is not a split." if value else f"Column '{values.name}' is empty."
            raise AnnotationError(*place(values, row), problem, f"Splits are {', '.join(WORDS)}.")
    try:
        found = meaning(values)
    except ConfigError as error:
        raise AnnotationError(
            place(values, 0)[0],
            None,
            f"Column '{values.name}': {error}",
            "Or name another column with split.",
        ) from error
    if sentence := told(found):
        log.info("data: column '%s' of %s. %s", values.name, place(values, 0)[0], sentence)
    return [found[value] for value in values]


def _in_order(found: set[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        return tuple(composed(str(name)) for name in classes)
    if all(map(_NUMBER.fullmatch, found)):
        return tuple(sorted(found, key=lambda name: (float(name), name)))
    return tuple(sorted(found))


def _read_labels(
    rows: pd.DataFrame,
    columns: list[str],
    kind: Kind,
    label_separator: str,
    classes: Sequence[str] | None,
) -> tuple[np.ndarray, tuple[str, ...], list]:
    """Return the targets ``[n, C]``, the class names, and the strata for a drawn split."""
    if kind == "regression" or (kind == "multilabel" and len(columns) > 1):
        bounds = (0, 1) if kind == "multilabel" else (None, None)
        values = np.stack([numbers(rows[column], *bounds) for column in columns], axis=1)
        values[np.isnan(values).any(axis=1)] = np.nan
        if kind == "regression":
            return (
                values,
                tuple(columns),
                pd.Series(values[:, 0]).rank(method="first", pct=True).mul(10).round().tolist(),
            )
        return (
            values,
            tuple(columns),
            _rarest([[c for c, v in zip(columns, row, strict=True) if v == 1] for row in values]),
        )
    if len(columns) > 1:
        raise ConfigError(
            f"{len(columns)} label columns make sense for multilabel and regression only, not for "
            f"{kind}.",
        )
    labels = rows[columns[0]]
    if kind == "multilabel":
        sets = label_sets(labels, label_separator, check=classes is None)
        names = _in_order({name for found in sets if found for name in found}, classes)
        return multi_hot(sets, names), names, _rarest([found or [] for found in sets])
    labels = labels.map(lambda text: text or None)
    names = _in_order(set(labels.dropna()), classes)
    if kind == "multiclass":
        return one_hot(labels, names), names, labels.tolist()
    if len(names) != 2:
        raise ConfigError(
            f"A binary label has two values; column '{columns[0]}' has {len(names)}: "
            f"{', '.join(names[:5])}.",
        )
    positive = columns[0] if {name.lower() for name in names} in NO_YES else names[1]
    return one_hot(labels, names)[:, 1:], (positive,), labels.tolist()


def _rarest(sets: list[list[str]]) -> list[str]:
    counts = Counter(name for names in sets for name in names)
    return [min(names, key=lambda name: (counts[name], name), default="") for names in sets]
