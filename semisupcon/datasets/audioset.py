"""Balanced AudioSet: 10 s segments of YouTube videos with 527 sound classes.

See Gemmeke et al. 2017. Where: https://research.google.com/audioset/download.html (only lists;
users download the audio from YouTube). Licence: lists CC BY 4.0; the copyright of the audio is with
its authors. Split: ``balanced_train_segments.csv`` (22,160 segments) is training, of which a seeded
tenth is validation; ``eval_segments.csv`` (20,371 segments) is test. Each video has one segment, so
no groups are declared. Metric: mAP. Classes: display names in the order of
``class_labels_indices.csv``. Many videos are no longer available, so ``max_missing`` must be
increased.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import multi_hot, numbers
from semisupcon.datasets.parsing.reading import find_file, read_table
from semisupcon.datasets.parsing.splits import stratified_split
from semisupcon.errors import ConfigError

URL = "https://research.google.com/audioset/download.html"
COLUMNS = ("YTID", "start_seconds", "end_seconds", "positive_labels")


@card(
    kind="multilabel",
    classes=527,
    split="official; seeded validation",
    metric="mAP",
    licence="of its makers",
    source=URL,
)
def audioset_balanced(
    root: Path,
    file_name: str = "{id}",
    seed: int = 0,
    validation: float = 0.1,
) -> LabelledClips:
    """Load the balanced training set and the evaluation set of AudioSet.

    Args:
        root: folder that contains the two segment lists and ``class_labels_indices.csv`` (all three
            may be in ``metadata/``), and the audio files at any depth.
        file_name: pattern of the audio file names, without extension. It may contain ``{id}``,
            ``{start}``, ``{end}`` (whole seconds), ``{start_ms}`` and ``{end_ms}``. Other common
            patterns are ``Y{id}`` and ``{id}_{start_ms}_{end_ms}``.
        seed: seed of the validation split.
        validation: share of the training segments used for validation.

    Raises:
        DatasetNotFoundError: if a list is missing.
        AnnotationError: if a row cannot be read, or a label is not one of the 527 classes.
        ConfigError: if ``file_name`` contains other fields.
    """
    names = read_table(_find(root, "class_labels_indices.csv"), ["index", "mid", "display_name"])
    classes = tuple(names["display_name"])
    train = _segments(_find(root, "balanced_train_segments.csv"), file_name)
    train["split"] = stratified_split(
        train["path"].tolist(),
        [""] * len(train),
        {"train": 1 - validation, "val": validation},
        seed,
    )
    table = pd.concat(
        [train, _segments(_find(root, "eval_segments.csv"), file_name).assign(split="test")],
    )
    targets = multi_hot(table["labels"], names["mid"].tolist())
    return LabelledClips(
        table.drop(columns="labels"),
        targets,
        classes,
        kind="multilabel",
        metric="mAP",
    )


def _segments(file: Path, file_name: str) -> pd.DataFrame:
    # The official file begins with three comment lines. Many copies have one header line instead.
    rows = read_table(file, names=COLUMNS, comment="#")
    rows = rows[rows["YTID"] != "YTID"]
    times = [numbers(rows[column], 0) for column in ("start_seconds", "end_seconds")]
    try:
        paths = [
            file_name.format(
                id=name,
                start=int(start),
                end=int(end),
                start_ms=int(start * 1000),
                end_ms=int(end * 1000),
            )
            for name, start, end in zip(rows["YTID"], *times, strict=True)
        ]
    except (KeyError, IndexError, ValueError):
        raise ConfigError(
            f"file_name '{file_name}' may hold {{id}}, {{start}}, {{end}}, {{start_ms}} and "
            f"{{end_ms}} only.",
        ) from None
    return pd.DataFrame(
        {
            "path": [f"{path}.wav" for path in paths],
            "labels": rows["positive_labels"].str.split(","),
        },
        index=rows.index,
    )


def _find(root: Path, name: str) -> Path:
    return find_file(root, name, f"metadata/{name}", source=URL)
