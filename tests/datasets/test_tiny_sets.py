"""Every task of the list, read from a miniature of its published layout."""

import os

import numpy as np
import pytest
from tiny_sets import BUILDERS, mtat_index, touch, write

from semisupcon.datasets import TASKS, find_task, load_annotations
from semisupcon.errors import ConfigError, DatasetNotFoundError

# Classes that a miniature cannot show, because the files decide which there are.
FEWER = {
    "audioset_balanced": 2,
    "esc10": 1,
    "esc50": 2,
    "fma": 2,
    "fsd50k": 2,
    "fsdkaggle2018": 2,
    "librispeech_speaker": 2,
    "medleydb": 3,
}
FEWER |= {
    "medleydb_raw": 3,
    "mtat_all": 51,
    "mtg_genre": 2,
    "mtg_instr": 2,
    "mtg_mood": 2,
    "mtg_top50": 2,
    "nsynth_instr": 3,
    "vocalset_technique": 2,
}


@pytest.fixture
def build(tmp_path):
    def built(task):
        BUILDERS[task](tmp_path)
        return tmp_path

    return built


def test_every_task_has_a_miniature():
    assert set(BUILDERS) == {task for task in TASKS if not task.startswith("synthetic")}


@pytest.mark.parametrize("task", BUILDERS)
def test_a_miniature_is_read_as_its_card_says(task, build):
    root, card = build(task), find_task(task).card
    annotations = load_annotations(task, root)
    table = annotations.table
    assert set(table["split"]) == {"train", "val", "test"}
    assert table["path"].is_unique
    assert all((root / path).is_file() for path in table["path"])
    assert annotations.kind == card.kind or card.kind == "any"
    assert annotations.metric == card.metric or card.metric == "by kind"
    assert card.classes is None or len(annotations.classes) == FEWER.get(task, card.classes)
    if annotations.kind == "multiclass":
        assert set(annotations.targets[~np.isnan(annotations.targets).any(axis=1)].sum(axis=1)) == {
            1
        }
    if "group" in table:
        assert table.groupby("group")["split"].nunique().max() == 1
    for field in ("split", "licence"):
        assert getattr(card, field), field


@pytest.mark.parametrize("task", BUILDERS)
def test_the_order_of_directories_does_not_matter(task, build, monkeypatch):
    root = build(task)
    forwards = load_annotations(task, root)
    listing, walk = os.scandir, os.listdir

    class Backwards:
        def __init__(self, *arguments):
            self.entries = sorted(listing(*arguments), key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

        __iter__ = __enter__

    monkeypatch.setattr(os, "scandir", Backwards)
    monkeypatch.setattr(os, "listdir", lambda *arguments: sorted(walk(*arguments), reverse=True))
    backwards = load_annotations(task, root)
    assert forwards.table.equals(backwards.table)
    assert forwards.classes == backwards.classes
    assert np.array_equal(forwards.targets, backwards.targets, equal_nan=True)


@pytest.mark.parametrize("task", BUILDERS)
def test_an_empty_folder_says_what_is_looked_for_and_where_it_can_be_had(task, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="Looked for") as error:
        load_annotations(task, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 3
    assert task in ("csv", "events", "class_folders") or "://" in str(error.value)


def labels(annotations, path):
    row = annotations.targets[annotations.table["path"].tolist().index(path)]
    return {name for name, value in zip(annotations.classes, row, strict=True) if value == 1}


def splits(annotations):
    return dict(zip(annotations.table["path"], annotations.table["split"], strict=True))


def test_magnatagatune_keeps_untagged_clips_in_their_folder(build):
    root = build("mtat_top50")
    top50 = load_annotations("mtat_top50", root)
    untagged = top50.table["path"].tolist().index("f/bach-cantatas-01-aria-30-59.mp3")
    assert top50.table["split"].tolist() == ["test", "test", "train", "val"]
    assert np.isnan(top50.targets).any(axis=1).tolist() == [i == untagged for i in range(4)]
    assert labels(top50, "f/bach-cantatas-01-aria-146-175.mp3") == {"guitar", "choral"}
    assert not np.isnan(load_annotations("mtat_top50", root, untagged="negative").targets).any()
    assert labels(load_annotations("mtat_all", root), "f/bach-cantatas-01-aria-30-59.mp3") == {
        "singer"
    }
    assert load_annotations("mtat_top50", root, split="filtered").table["split"].tolist() == [
        "test",
        "train",
        "val",
    ]


def test_magnatagatune_reads_the_tables_of_musicnn(tmp_path):
    mtat_index(tmp_path)
    annotations = load_annotations("mtat_top50", tmp_path)
    assert splits(annotations) == {
        "0/band-songs-02-one-0-29.mp3": "train",
        "c/other-disc-01-two-0-29.mp3": "val",
        "f/bach-cantatas-01-aria-30-59.mp3": "test",
    }
    assert labels(annotations, "f/bach-cantatas-01-aria-30-59.mp3") == {"slow"}


def test_jamendo_reads_ragged_rows_and_low_quality_names(build):
    root = build("mtg_instr")
    assert labels(load_annotations("mtg_instr", root), "audio/01/1.mp3") == {
        "instrument---bass",
        "instrument---piano",
    }
    for file in sorted(root.rglob("*.mp3")):
        file.rename(file.with_name(f"{file.stem}.low.mp3"))
    assert "audio/01/1.low.mp3" in splits(load_annotations("mtg_instr", root, low_quality=True))


def test_giantsteps_takes_certain_single_keys(build):
    annotations = load_annotations("giantsteps", build("giantsteps"))
    train = "giantsteps-mtg-key-dataset/audio/"
    test = "giantsteps-key-dataset/audio/"
    assert set(splits(annotations)) == {f"{train}{i}.LOFI.mp3" for i in "126789"} | {
        f"{test}9{i}.LOFI.mp3" for i in "12"
    }
    assert (
        labels(annotations, f"{train}1.LOFI.mp3")
        == labels(annotations, f"{test}91.LOFI.mp3")
        == {"Eb minor"}
    )


def test_medleydb_gives_one_row_a_file_and_drops_what_is_no_instrument(build):
    annotations = load_annotations("medleydb", build("medleydb"))
    assert annotations.classes == ("drum set", "electric bass", "piano")
    assert len(annotations.table) == 12
    assert labels(annotations, "Audio/A_One/A_One_STEMS/A_One_STEM_01.wav") == {
        "electric bass",
        "piano",
    }
    assert "group" not in load_annotations("medleydb", build("medleydb"), original_split=True).table
    raw = load_annotations("medleydb_raw", build("medleydb"), versions=["v1"])
    assert labels(raw, "Audio/B_One/B_One_RAW/B_One_RAW_02.wav") == {"drum set"}


def test_speech_commands_trains_on_what_no_list_names(build):
    root = build("speech_commands")
    annotations = load_annotations("speech_commands", root)
    assert {path for path, split in splits(annotations).items() if split == "train"} == {
        f"{word}/aaaa0001_nohash_{take}.wav" for word in ("yes", "bed") for take in (0, 1)
    }
    eleven = load_annotations("speech_commands", root, version=1, words="commands")
    assert eleven.classes[-1] == "unknown"
    assert labels(eleven, "bed/aaaa0003_nohash_1.wav") == {"unknown"}
    assert labels(eleven, "yes/aaaa0003_nohash_0.wav") == {"yes"}


def test_esc50_folds_are_test_once_each(build):
    root = build("esc50")
    for fold in range(1, 6):
        by_split = (
            load_annotations("esc50", root, fold=fold)
            .table.groupby("split")["path"]
            .apply(lambda paths: {path[6] for path in paths})
        )
        assert (by_split["test"], by_split["val"]) == ({str(fold)}, {str(fold % 5 + 1)})
    assert set(load_annotations("esc50", root, original_split=True).table["split"]) == {
        "train",
        "test",
    }
    with pytest.raises(ConfigError, match="between 1 and 5"):
        load_annotations("esc50", root, fold=6)


def test_audioset_names_its_files_by_a_pattern(build):
    root = build("audioset_balanced")
    found = load_annotations("audioset_balanced", root)
    assert labels(found, "-Bfvy_mVMo0.flac") == {"Male speech, man speaking"}
    for file in sorted(root.glob("id*.wav")):
        file.rename(root / f"{file.stem}_30000_40000.wav")
    (root / "-Bfvy_mVMo0.flac").rename(root / "-Bfvy_mVMo0_0_10000.flac")
    assert (
        len(load_annotations("audioset_balanced", root, file_name="{id}_{start_ms}_{end_ms}").table)
        == 11
    )
    with pytest.raises(ConfigError, match="may hold"):
        load_annotations("audioset_balanced", root, file_name="{video}")


def test_fma_medium_holds_small(build):
    root = build("fma")
    medium = load_annotations("fma", root)
    assert splits(medium) == {
        f"fma_medium/000/{i:06d}.mp3": s
        for i, s in ((2, "train"), (3, "val"), (5, "test"), (134, "train"))
    }
    large = load_annotations("fma", root, subset="large")
    assert np.isnan(large.targets).any(axis=1).sum() == 1


def test_vocalset_keeps_vowels_or_singers_together(build):
    root = build("vocalset_singer")
    technique = load_annotations("vocalset_technique", root).table
    assert technique.groupby("group")["split"].first().value_counts().to_dict() == {
        "train": 2,
        "val": 2,
        "test": 2,
    }
    assert "m4" not in set(technique["group"])  # in neither list
    for task in ("vocalset_singer", "vocalset_technique"):
        assert "group" not in load_annotations(task, root, original_split=True).table


def test_nsynth_names_its_notes(build):
    root = build("nsynth_pitch")
    assert labels(
        load_annotations("nsynth_pitch", root), "nsynth-valid/audio/brass_acoustic_001-060-100.wav"
    ) == {"C4"}
    assert labels(
        load_annotations("nsynth_qualities", root),
        "nsynth-train/audio/bass_acoustic_000-060-100.wav",
    ) == {
        "bright",
        "tempo-synced",
    }
    assert labels(
        load_annotations("nsynth_instr_family", root),
        "nsynth-test/audio/flute_acoustic_002-009-100.wav",
    ) == {"flute"}


def test_audiomnist_has_the_rule_of_mfcl_as_an_option(build):
    root = build("audiomnist_digit")
    ours, theirs = (
        load_annotations("audiomnist_digit", root, original_split=original).table
        for original in (False, True)
    )
    assert ours.groupby("split")["speaker"].nunique().to_dict() == {"train": 8, "val": 2, "test": 5}
    assert theirs.groupby("split")["speaker"].nunique().to_dict() == {
        "train": 10,
        "val": 10,
        "test": 5,
    }


def test_librispeech_splits_utterances_or_chapters(build):
    root = build("librispeech_speaker")
    by_chapter = load_annotations("librispeech_speaker", root, by="chapter").table
    assert by_chapter.groupby("group")["split"].nunique().max() == 1
    assert load_annotations("librispeech_speaker", root).classes == ("19", "100")
    with pytest.raises(ConfigError, match="folds divide utterances"):
        load_annotations("librispeech_speaker", root, by="chapter", folds=2)


def test_librispeech_folds_test_each_utterance_once(build):
    root = build("librispeech_speaker")
    rounds = [
        load_annotations("librispeech_speaker", root, folds=3, fold=fold).table
        for fold in (1, 2, 3)
    ]
    tested = [path for table in rounds for path in table["path"][table["split"] == "test"]]
    assert sorted(tested) == sorted(rounds[0]["path"])


def test_voxceleb_tells_apart_files_of_one_name(build):
    root = build("voxceleb1")
    for file in sorted(root.rglob("*.wav")):
        file.rename(file.with_suffix(".flac"))
    (root / "wav/id10001/7gWzIy6yIIk/00001.flac").unlink()
    annotations = load_annotations("voxceleb1", root, max_missing=0.5)
    assert splits(annotations) == {
        "wav/id10001/1zcIwhmdeo4/00001.flac": "train",
        "wav/id11251/na8-QEFmj44/00001.flac": "test",
    }


def test_msd_maps_to_7digital_by_a_text_file(build):
    root = build("msd_top50")
    write(
        root,
        "msd_to_7digital.tsv",
        "".join(f"TR{c * 3}AK128F9318786\t12{i}\n" for i, c in enumerate("ABC")),
    )
    touch(root, *(f"1/2/12{i}.clip.mp3" for i in range(3)))
    assert splits(load_annotations("msd_top50", root)) == {
        f"1/2/12{i}.clip.mp3": s for i, s in enumerate(("train", "val", "test"))
    }


def test_fsdkaggle_can_train_on_verified_labels_only(build):
    root = build("fsdkaggle2018")
    assert len(load_annotations("fsdkaggle2018", root).table) == 21
    assert len(load_annotations("fsdkaggle2018", root, verified_only=True).table) == 8
