"""AudioSet, balanced: 10 s of YouTube videos with 527 sound classes (Gemmeke et al. 2017).

Where: https://research.google.com/audioset/download.html (lists; users collect the audio from
YouTube). Licence: lists CC BY 4.0; the audio belongs to its makers. Split:
``balanced_train_segments.csv`` (22,160) is training, a seeded tenth of it validation;
``eval_segments.csv`` (20,371) is test. Videos have one segment each, so no group is declared.
Metric: mAP. Classes: display names in the order of ``class_labels_indices.csv``. Many videos are no
longer available; raise ``max_missing`` accordingly.
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
    """The balanced training set and the evaluation set.

    Args:
        root: folder that holds the two segment lists, ``class_labels_indices.csv`` (or all three in
            ``metadata/``), and the clips at any depth.
        file_name: names of the clips without extension; may contain ``{id}``, ``{start}``,
            ``{end}`` (whole seconds), ``{start_ms}``, ``{end_ms}``. Other common names are
            ``Y{id}`` and ``{id}_{start_ms}_{end_ms}``.
        seed: seed of the validation split.
        validation: share of the training segments used for validation.

    Raises:
        DatasetNotFoundError: if a list is missing.
        AnnotationError: for a row that cannot be read, or a label that is not among the 527.
        ConfigError: for a ``file_name`` with other fields.
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
    # The release starts with three comment lines; many copies have one plain header instead.
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
