"""Which clips are trained on, with and without labels: ``sl_task`` and ``ssl_task`` and ``data_dir`` made into one table.

The labelled clips come from ``sl_task``. The unlabelled pool is ``ssl_task`` if named, else all audio under ``data_dir``, else what ``sl_task``
itself lists; with nothing given at all it is the embedded synthetic set. Clips are told by their files, wherever the two tables overlap:

- a validation or test file of any task named is never trained on, nor is audio that lies in folders of held-out clips only;
- a clip that keeps its label is not in the pool; one whose label ``supervised_data_p`` took away is;
- when every clip of the pool keeps its label, the pool is those clips with their labels hidden, so that ``intrabatch_supervised_p`` holds.

What differs from the published code (SemiSupCon's own splitter): ``supervised_data_p`` acts once and on training labels only; subsets are a
function of seed and file names alone, and nested; no label is needed for self-supervision; no test clip is trained on by default or otherwise.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from semisupcon.data.annotations import Kind
from semisupcon.data.scan import scan, usable
from semisupcon.data.sources import Source, audio_in, embedded_source, held_out_near, task_source
from semisupcon.errors import ConfigError, UserError
from semisupcon.random import derive, stable_hash

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ClipTable:
    """The clips of a run.

    Attributes:
        rows: sorted by source and name. Columns: ``path`` (absolute), ``name`` (relative to its root), ``source`` (labelled or unlabelled),
            ``split`` (train or val), ``clip`` (63-bit hash of the name), ``frames`` and ``sample_rate`` of the file.
        targets: ``[n, C]`` float32, NaN rows where unlabelled.
        classes: names of the C columns.
        kind: what the targets are; None without labels.
        skipped: files that cannot be used: ``name`` and ``problem``.
    """

    rows: pd.DataFrame
    targets: np.ndarray
    classes: tuple[str, ...]
    kind: Kind | None
    skipped: pd.DataFrame

    def indices(self, split: str, source: str) -> np.ndarray:
        """The rows of a split and source."""
        return np.flatnonzero((self.rows["split"] == split) & (self.rows["source"] == source))

    def without_labels(self) -> "ClipTable":
        """The same clips, each once, all labels hidden."""
        rows = self.rows.drop_duplicates("path").assign(source="unlabelled").sort_values("name", kind="stable", ignore_index=True)
        return replace(self, rows=rows, targets=np.full((len(rows), len(self.classes)), np.nan, np.float32))


def make_table(
    sl_task: str | None = None,
    ssl_task: str | None = None,
    data_dir: str | Path | None = None,
    sl_kwargs: dict[str, Any] | None = None,
    ssl_kwargs: dict[str, Any] | None = None,
    val_split: float = 0.1,
    supervised_data_p: float = 1.0,
    fully_supervised: bool = False,
    max_bad: float = 0.01,
    seed: int = 123,
) -> ClipTable:
    """Make the table of a run.

    Args:
        sl_task: data set whose labels supervise; None for self-supervision.
        ssl_task: data set whose audio is the unlabelled pool; its labels are not looked at.
        data_dir: root of both unless their kwargs hold ``root``; without ``ssl_task`` all audio under it is the pool.
        sl_kwargs: ``root``, and options of the labelled data set.
        ssl_kwargs: the same of the pool's.
        val_split: share of the training clips that become validation, 0 <= p < 1, in sources without validation of their own.
        supervised_data_p: share of the labelled training clips that keep their label; a smaller share lies inside a greater one.
        fully_supervised: only labelled clips, all of them.
        max_bad: greatest share of files that may be unusable.
        seed: of both draws.

    Raises:
        ConfigError: for a share out of its range, or labels asked for where there are none.
        DatasetNotFoundError: for a missing folder or file.
        UserError: for a folder without audio, or too many bad files.
    """
    if not 0 <= val_split < 1:
        raise ConfigError(f"data.val_split must be at least 0 and below 1, got {val_split:g}.")
    if not 0 <= supervised_data_p <= 1:
        raise ConfigError(f"data.supervised_data_p must lie between 0 and 1, got {supervised_data_p:g}.")
    if fully_supervised and sl_task is None:
        raise ConfigError("data.fully_supervised needs labels: name a data.sl_task.")
    labelled, pool = _sources(sl_task, ssl_task, data_dir, dict(sl_kwargs or {}), dict(ssl_kwargs or {}))
    kept = _keep_apart(labelled, pool)
    where = " and ".join(dict.fromkeys(source.root for source in (labelled, pool) if source is not None))
    if kept.empty:
        raise UserError(f"No clips to train on.\nIn: {where}\nCheck the splits of the task; test clips are never trained on.")
    facts = scan(kept["path"].tolist())
    good = usable(kept["name"].tolist(), facts, max_bad, where)
    skipped = pd.DataFrame({"name": kept["name"][~good].to_numpy(), "problem": facts["problem"][~good].to_numpy()})
    kept = pd.concat([kept, facts[["frames", "sample_rate"]]], axis=1)[good].reset_index(drop=True)

    kept["split"] = _with_validation(kept, val_split, seed)
    keeps_label = _keeps_label(kept, 1.0 if fully_supervised else supervised_data_p, seed)
    unlabelled = kept["in_pool"].to_numpy() & ~keeps_label & (not fully_supervised)
    training = (kept["split"] == "train").to_numpy()
    rows = [kept[keeps_label].assign(source="labelled"), kept[unlabelled].assign(source="unlabelled")]
    if not fully_supervised and (keeps_label & training).any() and not (unlabelled & training).any():
        log.info("data: every training clip is labelled; as unlabelled clips the same ones serve with their labels hidden.")
        rows.append(kept[keeps_label & training].assign(source="unlabelled"))
    table = pd.concat(rows, ignore_index=True)
    if not (table["split"] == "train").any():
        raise UserError(f"No training clips are left.\nIn: {where}\nLower data.val_split, or check the splits of the task.")

    classes = labelled.annotations.classes if labelled else ()
    targets = np.full((len(table), len(classes)), np.nan, np.float32)
    has_label = (table["source"] == "labelled").to_numpy()
    if labelled:
        targets[has_label] = labelled.annotations.targets[table["sl_row"][has_label].astype(int)]
    _tell(table, sl_task, where)
    return ClipTable(
        rows=table[["path", "name", "source", "split", "clip", "frames", "sample_rate"]],
        targets=targets,
        classes=classes,
        kind=labelled.annotations.kind if labelled else None,
        skipped=skipped,
    )


def _sources(sl_task, ssl_task, data_dir, sl_kwargs, ssl_kwargs) -> tuple[Source | None, Source]:
    """The labelled source and the pool, as named or by default."""
    labelled = task_source(sl_task, data_dir, sl_kwargs, "sl_task") if sl_task else None
    if ssl_task == sl_task and sl_task is not None and not ssl_kwargs:
        return labelled, labelled
    if ssl_task:
        return labelled, task_source(ssl_task, data_dir, ssl_kwargs, "ssl_task")
    if data_dir is not None:
        return labelled, audio_in(data_dir)
    if labelled:
        return labelled, labelled
    log.info("data: neither sl_task, ssl_task nor data_dir is given; training on the embedded synthetic set, without labels.")
    return None, embedded_source()


def _keep_apart(labelled: Source | None, pool: Source) -> pd.DataFrame:
    """Every file that may be used, once, with what it may be used for.

    Columns: path, name, clip, group, split (train or val), in_pool, labelled, sl_row (its row in the labelled annotations, else NaN).
    """
    table = pool.table().assign(in_pool=True, labelled=False, sl_row=np.nan)
    if labelled is not None:
        listed = labelled.table()
        listed["sl_row"] = np.arange(len(listed), dtype=float)
        listed["labelled"] = ~np.isnan(labelled.annotations.targets).any(axis=1)
        # Where both list a file the labelled source's name and split hold; but what the pool holds out is not trained on either.
        split_in_pool = listed["path"].map(dict(zip(table["path"], table["split"], strict=True)))
        training = listed["split"] == "train"
        listed["in_pool"] = split_in_pool.notna() & ~(training & (split_in_pool != "train"))
        held_out = set(listed["path"]) | held_out_near(labelled, table["path"])
        table = table[~table["path"].isin(held_out)]
        table = pd.concat([listed[~(training & (split_in_pool == "test"))], _apart(table, listed)])
    return table[table["split"] != "test"].sort_values("path", kind="stable", ignore_index=True)


def _apart(table: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Files of two roots that happen to have the same relative path are two clips."""
    same = table["clip"].isin(listed["clip"])
    return table.assign(clip=table["clip"].where(~same, [stable_hash(f"unlabelled/{name}") for name in table["name"]]))


def _ranks(clips: pd.Series, seed: int, purpose: str) -> np.ndarray:
    """A seeded order of clips that depends on nothing but their names."""
    return derive(torch.from_numpy(clips.to_numpy(dtype=np.int64, copy=True)), seed, purpose).numpy()


def _first(rank: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """Mask of the ``round(share * n)`` clips of lowest rank among n, at least one where the share is not zero."""
    candidates = np.flatnonzero(among)
    count = int(share * len(candidates) + 0.5)
    count = max(count, 1) if share > 0 and len(candidates) else count
    chosen = np.zeros(len(rank), bool)
    chosen[candidates[np.argsort(rank[candidates], kind="stable")[:count]]] = True
    return chosen


def _with_validation(kept: pd.DataFrame, val_split: float, seed: int) -> pd.Series:
    """The split of every clip; sources without validation clips of their own give a share of their training clips."""
    split = kept["split"].copy()
    rank = _ranks(kept["clip"], seed, "validation")
    for members in (kept["sl_row"].notna(), kept["sl_row"].isna()):
        training = (members & (split == "train")).to_numpy()
        if val_split == 0 or (members & (split == "val")).any() or training.sum() < 2:
            continue
        group = kept["group"].where(kept["group"].notna(), kept["name"])
        if group[training].is_unique:
            split[_first(rank, training, val_split)] = "val"
            continue
        # Whole groups, in seeded order, until the share is reached.
        sizes = pd.Series(rank[training]).groupby(group[training].to_numpy()).agg(["min", "size"]).sort_values("min")
        taken = sizes.index[: max(1, int((sizes["size"].cumsum() <= val_split * training.sum() + 0.5).sum()))]
        if len(taken) < len(sizes):
            split[training & group.isin(taken).to_numpy()] = "val"
    return split


def _keeps_label(kept: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    """Which clips are labelled in this run: all of validation, and a share of training."""
    labelled = kept["labelled"].to_numpy(bool)
    training = labelled & (kept["split"] == "train").to_numpy()
    return (labelled & ~training) | _first(_ranks(kept["clip"], seed, "supervised"), training, share)


def _tell(table: pd.DataFrame, sl_task: str | None, where: str) -> None:
    count = table.groupby(["split", "source"]).size()

    def told(split: str) -> str:
        labelled, unlabelled = count.get((split, "labelled"), 0), count.get((split, "unlabelled"), 0)
        parts = [f"{labelled} clips labelled by {sl_task}"] * bool(labelled) + [f"{unlabelled} unlabelled clips"] * bool(unlabelled)
        return " and ".join(parts) or "no clips"

    log.info("data: training on %s, validating on %s (in %s).", told("train"), told("val"), where)
