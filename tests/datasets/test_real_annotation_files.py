"""The real annotation files: class counts, split sizes and a few exact rows (semisupcon.md, 3.3 and
10)."""

import gzip
import json
import os
from collections import Counter

import numpy as np
import pytest

from semisupcon.datasets import find_task, load_annotations
from semisupcon.datasets.audioset import _segments
from semisupcon.datasets.keys import KEYS
from semisupcon.datasets.magnatagatune import TOP50, _table
from semisupcon.datasets.medleydb import NO_INSTRUMENT
from semisupcon.datasets.parsing.reading import read_lines, read_table

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def read(shared):
    def call(task, folder, **options):
        """The task's own function, without looking for audio."""
        return find_task(task)(shared("data/annotations") / folder, **options)

    return call


@pytest.fixture
def renamed(shared, tmp_path):
    """A folder with links to real files under their official names."""

    def make(**links):
        for name, target in links.items():
            os.symlink(shared(f"data/annotations/{target}"), tmp_path / f"{name}.csv")
        return tmp_path

    return make


def sizes(annotations):
    counts = Counter(annotations.table["split"])
    return counts["train"], counts["val"], counts["test"]


def labels(annotations, path):
    row = annotations.targets[annotations.table["path"].tolist().index(path)]
    return {name for name, value in zip(annotations.classes, row, strict=True) if value == 1}


def groups_are_apart(annotations):
    return annotations.table.groupby("group")["split"].nunique().max() == 1


@pytest.mark.parametrize("folder", ["gtzan/semisupcon", "gtzan/jongpillee"])
def test_gtzan(read, folder):
    annotations = read("gtzan", folder)
    assert sizes(annotations) == (443, 197, 290)
    per_genre = {
        "train": [46, 48, 45, 42, 47, 43, 44, 41, 43, 44],
        "val": [23, 20, 23, 22, 18, 17, 20, 13, 17, 24],
        "test": [31, 31, 30, 29, 27, 27, 27, 30, 26, 32],
    }
    for split, counts in per_genre.items():
        assert (
            annotations.targets[annotations.table["split"] == split].sum(axis=0).tolist() == counts
        )
    assert labels(annotations, "genres/blues/blues.00012.wav") == {"blues"}
    assert annotations.table["path"].is_unique


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [
        ("mtg_top50", 50, (32136, 10888, 11356)),
        ("mtg_genre", 87, (32572, 11043, 11479)),
        ("mtg_instr", 40, (14395, 5466, 5115)),
        ("mtg_mood", 56, (9949, 3802, 4231)),
    ],
)
def test_mtg_jamendo(read, shared, task, classes, expected):
    annotations = read(task, "mtg_jamendo")
    assert (len(annotations.classes), sizes(annotations)) == (classes, expected)
    assert annotations.classes == tuple(sorted(annotations.classes))
    assert (annotations.targets.sum(axis=1) >= 1).all()
    assert groups_are_apart(annotations)
    if task == "mtg_top50":
        assert labels(annotations, "audio/15/215.mp3") == {"genre---metal"}
        assert annotations.classes == tuple(
            read_lines(shared("data/annotations/mtg_jamendo"), "tags/top50.txt")
        )
        assert annotations.table["group"].iloc[0] == "artist_000005"
    if task == "mtg_mood":
        assert labels(annotations, "audio/46/3346.mp3") == {
            "mood/theme---calm",
            "mood/theme---melodic",
        }


def test_magnatagatune_splits_by_folder(shared):
    root = shared("data/annotations/magnatagatune")
    index = read_table(root / "index_mtt.tsv", separator="\t", names=["id", "path"])
    table, _ = _table(index["path"], root, "folders")
    counts = Counter(table["split"])
    assert (counts["train"], counts["val"], counts["test"]) == (18709, 1825, 5329)
    assert table["group"].nunique() == 5405
    assert table.groupby("group")["split"].nunique().max() == 1
    filtered, kept = _table(index["path"], root, "filtered")
    counts = Counter(filtered["split"])
    assert (counts["train"], counts["val"], counts["test"]) == (15244, 1529, 4332)
    assert kept.sum() == 21105
    assert (filtered["split"] == table["split"][kept]).all()


def test_magnatagatune_labels_of_500_rows(renamed, shared):
    root = renamed(
        annotations_final="magnatagatune/reconstructed/annotations_final.reconstructed.csv"
    )
    every, top50 = find_task("mtat_all")(root), find_task("mtat_top50")(root, untagged="negative")
    assert (len(every.classes), every.classes[:3]) == (188, ("no voice", "singer", "duet"))
    assert sizes(every) == sizes(top50) == (305, 66, 129)
    path = "f/american_bach_soloists-j_s__bach_solo_cantatas-01-bwv54__i_aria-30-59.mp3"
    # The same clips as musicnn's tables have them, column by column.
    for part in ("val", "test"):
        rows = read_table(
            shared(f"data/annotations/magnatagatune/{part}_gt_mtt.tsv"),
            separator="\t",
            names=["id", "tags"],
        )
        index = read_table(
            shared("data/annotations/magnatagatune/index_mtt.tsv"),
            separator="\t",
            names=["id", "path"],
        )
        path_of = dict(zip(index["id"], index["path"], strict=True))
        wanted = {
            path_of[i]: [float(x) for x in tags.strip("[]").split(",")]
            for i, tags in zip(rows["id"], rows["tags"], strict=True)
        }
        mine = top50.table["split"] == part
        assert mine.sum() > 60
        for name, target in zip(top50.table["path"][mine], top50.targets[mine], strict=True):
            assert target.tolist() == wanted[name]
    assert labels(top50, path) <= labels(every, path)
    unlabelled = np.isnan(find_task("mtat_top50")(root).targets).any(axis=1)
    assert unlabelled.sum() == (top50.targets.sum(axis=1) == 0).sum() == 81


def test_magnatagatune_classes_are_the_published_ones(shared):
    names = (shared("data/annotations/magnatagatune") / "output_labels_mtt.txt").read_text()
    assert all(f"'{tag}'" in names for tag in TOP50)
    assert [names.index(f"'{tag}'") for tag in TOP50] == sorted(
        names.index(f"'{tag}'") for tag in TOP50
    )


def test_giantsteps(read):
    annotations = read("giantsteps", "")
    train, val, test = sizes(annotations)
    assert (train + val, val, test) == (1159, 174, 604)
    assert annotations.classes == KEYS
    assert annotations.targets[annotations.table["split"] == "test"].sum(axis=0).astype(int).tolist() == [
        15, 1, 10, 9, 10, 9, 5, 8, 5, 11, 5, 5, 53, 25, 40, 36, 48, 73, 31, 62, 29, 54, 28, 32
    ]  # fmt: skip
    assert labels(annotations, "giantsteps-mtg-key-dataset/audio/5061.LOFI.mp3") == {"Eb minor"}
    assert (annotations.targets[annotations.table["split"] == "val"].sum(axis=0) > 0).all()


@pytest.mark.parametrize(
    ("version", "words", "val", "test"), [(1, 30, 6798, 6835), (2, 35, 9981, 11005)]
)
def test_speech_commands(read, version, words, val, test):
    annotations = read("speech_commands", f"speech_commands_v0.0{version}", version=version)
    assert (len(annotations.classes), sizes(annotations)) == (words, (0, val, test))
    assert (annotations.targets.sum(axis=0) > 0).all()
    assert groups_are_apart(annotations)
    path = {1: "cat/2aa787cf_nohash_0.wav", 2: "right/bb05582b_nohash_3.wav"}[version]
    assert labels(annotations, path) == {path.split("/")[0]}
    eleven = read(
        "speech_commands", f"speech_commands_v0.0{version}", version=version, words="commands"
    )
    assert (eleven.targets.sum(axis=0) > 0).all()


def test_esc50_and_esc10(read):
    for fold in (1, 5):
        full, ten = read("esc50", "esc50", fold=fold), read("esc10", "esc50", fold=fold)
        assert (sizes(full), sizes(ten)) == ((1200, 400, 400), (240, 80, 80))
        assert set(full.targets[full.table["split"] == "test"].sum(axis=0)) == {8}
    assert full.classes[:3] == ("dog", "rooster", "pig")
    assert ten.classes == (
        "dog",
        "rooster",
        "rain",
        "sea_waves",
        "crackling_fire",
        "crying_baby",
        "sneezing",
        "clock_tick",
        "helicopter",
        "chainsaw",
    )
    assert labels(full, "audio/1-100038-A-14.wav") == {"chirping_birds"}


def test_medleydb(read):
    annotations = read("medleydb", "medleydb")
    assert len(annotations.table) == sum(sizes(annotations)) == 888
    assert annotations.classes[:3] == ("drum set", "electric bass", "clean electric guitar")
    assert annotations.targets.sum(axis=0)[:3].tolist() == [107, 84, 80]
    assert not set(annotations.classes) & set(NO_INSTRUMENT)
    assert groups_are_apart(annotations)
    shares = np.array(sizes(annotations)) / 888
    assert np.abs(shares - [0.81, 0.09, 0.1]).max() < 0.08
    path = "Audio/AClassicEducation_NightOwl/AClassicEducation_NightOwl_STEMS/AClassicEducation_NightOwl_STEM_01.wav"
    assert labels(annotations, path) == {"electric bass"}
    assert annotations.table["path"].is_unique
    assert len(read("medleydb", "medleydb", versions=["v1", "v2", "extra", "bach10"]).table) == 1488
    original = read("medleydb", "medleydb", original_split=True)
    assert sizes(original) == (719, 80, 89)


def test_medleydb_raw(read):
    annotations = read("medleydb_raw", "medleydb")
    assert (len(annotations.classes), len(annotations.table)) == (40, 2953)
    assert groups_are_apart(annotations)


def test_emomusic_and_the_split_of_jukemir(renamed, shared):
    root = renamed(
        songs_info="emomusic/reconstructed/songs_info.reconstructed.csv",
        static_annotations="emomusic/reconstructed/static_annotations.reconstructed.csv",
    )
    annotations = find_task("emomusic")(root)
    assert sizes(annotations) == (504, 115, 125)
    with gzip.open(shared("data/annotations/emomusic/emomusic.json.gz")) as file:
        published = {
            f"clips_45seconds/{int(song)}.mp3": row["split"].replace("valid", "val")
            for song, row in json.load(file).items()
        }
    assert (
        dict(zip(annotations.table["path"], annotations.table["split"], strict=True)) == published
    )
    assert annotations.targets[:2].tolist() == [
        pytest.approx([3.1, 3.0]),
        pytest.approx([3.5, 3.3]),
    ]


def test_audioset(renamed, shared):
    root = renamed(
        balanced_train_segments="audioset/reconstructed/balanced_train_segments.reconstructed.csv",
        eval_segments="audioset/eval_segments.csv",
        class_labels_indices="audioset/metadata/class_labels_indices.csv",
    )
    annotations = find_task("audioset_balanced")(root)
    assert (len(annotations.classes), sizes(annotations)) == (527, (19944, 2216, 20371))
    assert int(annotations.targets[annotations.table["split"] != "test"].sum()) == 52882
    assert labels(annotations, "--PJHxphWEs.wav") == {"Speech", "Gush"}
    # The same list with one plain header in place of the comment lines.
    other = shared("data/annotations/audioset/balanced_train_segments.csv")
    commented, plain = (
        _segments(file, "{id}") for file in (root / "balanced_train_segments.csv", other)
    )
    assert commented.reset_index(drop=True).equals(plain.reset_index(drop=True))


def test_fsd50k_vocabulary_is_alphabetical_as_its_class_order_says(shared):
    rows = read_table(
        shared("data/annotations/fsd50k/egs/fsd50k/class_labels_indices.csv"),
        ["index", "mid", "display_name"],
    )
    assert (len(rows), rows["display_name"].tolist()) == (200, sorted(rows["display_name"]))


@pytest.mark.parametrize(
    ("task", "folder", "options", "classes", "expected"),
    [
        ("fsdd_digit", "fsdd", {}, 10, (1890, 210, 300)),
        ("fsdd_speaker", "fsdd", {}, 6, (1890, 210, 300)),
        ("esc10", "esc10", {"fold": 3}, 10, (240, 80, 80)),
        ("class_folders", "fsdkaggle2018_mini", {"folds": 5}, 10, (180, 60, 60)),
        ("librispeech_speaker", "librispeech_mini", {"subset": "test-other"}, 10, (80, 10, 10)),
        ("csv", "gm_notes", {"label": "instrument"}, 10, (162, 20, 20)),
        ("csv", "gm_notes", {"label": "pitch_midi", "kind": "regression"}, 1, (162, 20, 20)),
    ],
)
def test_sets_with_audio(shared, task, folder, options, classes, expected):
    root = shared(f"data/{folder}")
    annotations = load_annotations(task, root, **options)
    assert (len(annotations.classes), sizes(annotations)) == (classes, expected)
    assert all((root / path).is_file() for path in annotations.table["path"])
    if annotations.kind == "multiclass":
        for split in ("train", "val", "test"):
            assert (annotations.targets[annotations.table["split"] == split].sum(axis=0) > 0).all()
