"""MedleyDB: multitrack recordings with the instrument of every stem and raw track.

See Bittner et al. 2014 and 2016. Where: https://medleydb.weebly.com (audio) and
https://github.com/marl/medleydb (metadata). Licence: CC BY-NC-SA 4.0. Split: not official. The code
of SemiSupCon has one row per instrument of a stem and splits rows at random, so a file can be in
training and test with contradicting labels. In this package, targets are multilabel with one row
per file. The split is by artist, with instruments balanced as far as possible (with
``original_split``, it is stratified by the first instrument of a stem, regardless of artist).
Metrics: macro ROC-AUC and mAP. Classes: the most frequent instruments of the chosen versions (20
for stems, 40 for raw tracks), in descending order of their counts, then in alphabetical order. Four
labels that are not instruments are excluded. Files without any of the classes are left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import multi_hot
from semisupcon.datasets.parsing.reading import located, read_lines, read_text
from semisupcon.datasets.parsing.splits import balanced_group_split, stratified_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError, UserError, first_line

URL = "https://github.com/marl/medleydb"
NO_INSTRUMENT = ("fx/processed sound", "Unlabeled", "auxiliary percussion", "Main System")
FRACTIONS = {"train": 0.81, "val": 0.09, "test": 0.1}
_ABOUT = {
    "kind": "multilabel",
    "split": "seeded, by artist",
    "metric": "roc_auc, mAP",
    "licence": "CC BY-NC-SA 4.0",
    "source": URL,
}


def _songs(root: Path, versions: Sequence[str]) -> list[Path]:
    """Return the metadata files of the songs in the track lists of the versions."""
    files: list[Path] = []
    for version in versions:
        for song in read_lines(
            root,
            *(f"{folder}tracklist_{version}.txt" for folder in ("resources/", "*/resources/", "")),
            source=URL,
        ):
            name = f"{song}_METADATA.yaml"
            found = (
                next(root.glob(place + name), None)
                for place in ("data/Metadata/", "Metadata/", "*/data/Metadata/", "")
            )
            file = next(filter(None, found), None)
            if file is None:
                raise DatasetNotFoundError(
                    f"The metadata of {song}",
                    root / "data/Metadata" / name,
                    f"Download it from {URL}.",
                )
            files.append(file)
    return files


def _load(file: Path) -> dict:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        song = yaml.load(read_text(file), Loader=loader)
    # Invalid numbers and dates in YAML raise a ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or first_line(error, 160)
        raise AnnotationError(
            file,
            line,
            f"Not YAML: {problem}.",
            f"Download it again from {URL}.",
        ) from None
    missing = [
        key
        for key in ("artist", "stem_dir", "raw_dir", "stems")
        if not isinstance(song, dict) or key not in song
    ]
    if missing:
        raise AnnotationError(
            file,
            None,
            f"There is no '{missing[0]}'.",
            f"Download it again from {URL}.",
        )
    return song


def _tracks(file: Path, raw: bool) -> Iterator[dict]:
    song = _load(file)
    title = file.name.removesuffix("_METADATA.yaml")
    stems = song["stems"]
    folder = song["raw_dir" if raw else "stem_dir"]
    try:
        entries = (
            [entry for stem in stems.values() for entry in (stem.get("raw") or {}).values()]
            if raw
            else list(stems.values())
        )
        for entry in entries:
            instruments = (
                entry["instrument"]
                if isinstance(entry["instrument"], list)
                else [entry["instrument"]]
            )
            if any(
                isinstance(part, list | dict)
                for part in (*instruments, entry["filename"], song["artist"])
            ):
                raise TypeError
            yield {
                "path": f"Audio/{title}/{folder}/{entry['filename']}",
                "group": song["artist"],
                "instruments": instruments,
                "file": file,
            }
    except (KeyError, AttributeError, TypeError) as error:
        problem = f"A {'raw track' if raw else 'stem'} lacks {error if isinstance(error, KeyError) else 'its entries'}."
        raise AnnotationError(file, None, problem, f"Download it again from {URL}.") from None


def _read(
    root: Path,
    raw: bool,
    count: int,
    versions: Sequence[str],
    seed: int,
    original_split: bool,
) -> LabelledClips:
    table = pd.DataFrame([track for file in _songs(root, versions) for track in _tracks(file, raw)])
    table = located(table.drop(columns="file"), table["file"].tolist())
    counts = Counter(
        name for names in table["instruments"] for name in names if name not in NO_INSTRUMENT
    )
    classes = tuple(sorted(counts, key=lambda name: (-counts[name], name))[:count])
    table["instruments"] = table["instruments"].map(
        lambda names: [name for name in names if name in classes],
    )
    table = table[table["instruments"].map(len) > 0]
    targets = multi_hot(table["instruments"], classes)
    if original_split:
        table["split"] = stratified_split(
            table["path"].tolist(),
            table["instruments"].map(lambda names: names[0]).tolist(),
            FRACTIONS,
            seed,
        )
        return LabelledClips(
            table.drop(columns=["instruments", "group"]),
            targets,
            classes,
            "multilabel",
            "roc_auc, mAP",
        )
    table["split"] = balanced_group_split(table["group"].tolist(), targets, FRACTIONS, seed)
    return LabelledClips(
        table.drop(columns="instruments"),
        targets,
        classes,
        "multilabel",
        "roc_auc, mAP",
    )


@card(classes=20, **_ABOUT)
def medleydb(
    root: Path,
    versions: Sequence[str] = ("v1", "v2"),
    seed: int = 0,
    original_split: bool = False,
) -> LabelledClips:
    """Load the stems of MedleyDB with their instruments as labels.

    Args:
        root: folder that contains ``data/Metadata/<song>_METADATA.yaml`` and
            ``resources/tracklist_<version>.txt`` of the repository, and the audio files
            ``Audio/<song>/<song>_STEMS/*.wav``.
        versions: versions of the data set. Audio is available for v1 (122 songs) and v2 (74 songs).
            The versions extra and bach10 have separate lists.
        seed: seed of the split.
        original_split: whether to split files by instrument regardless of artist, without groups.

    Raises:
        DatasetNotFoundError: if a track list or the metadata of a song is missing.
        AnnotationError: if metadata cannot be read.
    """
    return _read(root, False, 20, versions, seed, original_split)


@card(classes=40, **_ABOUT)
def medleydb_raw(
    root: Path, versions: Sequence[str] = ("v1", "v2"), seed: int = 0, original_split: bool = False
) -> LabelledClips:
    """Load the raw tracks of MedleyDB (``<song>_RAW/*.wav``); arguments as in `medleydb`."""
    return _read(root, True, 40, versions, seed, original_split)
