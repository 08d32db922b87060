"""Every parser against every way we know to spoil its files: the error names the file, the line and
the remedy, in three lines."""

import re

import pytest
from tiny_sets import BUILDERS, mtat_index

from semisupcon.datasets import find_task
from semisupcon.errors import AnnotationError, DatasetNotFoundError, UserError

SPLITS = "data/splits/split-0/autotagging_"
# task -> its annotation files, and how to spoil them: (file, what it says, what it shall say, line
# of the error; None: the file as a whole)
FILES = {
    "audioset_balanced": [
        "class_labels_indices.csv",
        "balanced_train_segments.csv",
        "eval_segments.csv",
    ],
    "csv": ["manifest.csv"],
    "emomusic": ["songs_info.csv", "static_annotations.csv"],
    "esc10": ["meta/esc50.csv"],
    "esc50": ["meta/esc50.csv"],
    "fma": ["fma_metadata/tracks.csv"],
    "fsd50k": [f"FSD50K.ground_truth/{name}.csv" for name in ("vocabulary", "dev", "eval")],
    "fsdkaggle2018": [
        f"FSDKaggle2018.meta/{name}.csv"
        for name in ("train_post_competition", "test_post_competition_scoring_clips")
    ],
    "giantsteps": [
        "giantsteps-mtg-key-dataset/annotations/annotations.txt",
        "giantsteps-key-dataset/annotations/key/91.LOFI.key",
    ],
    "gtzan": ["train_filtered.txt", "valid_filtered.txt", "test_filtered.txt"],
    "medleydb": ["data/Metadata/A_Two_METADATA.yaml", "resources/tracklist_v2.txt"],
    "medleydb_raw": ["data/Metadata/A_Two_METADATA.yaml"],
    "msd_top50": ["train_gt_msd.tsv", "test_gt_msd.tsv"],
    "mtat_all": ["annotations_final.csv"],
    "mtat_top50": ["annotations_final.csv"],
    "mtg_genre": [f"{SPLITS}genre-train.tsv"],
    "mtg_instr": [f"{SPLITS}instrument-test.tsv"],
    "mtg_mood": [f"{SPLITS}moodtheme-validation.tsv"],
    "mtg_top50": [f"{SPLITS}top50tags-train.tsv"],
    "nsynth_instr": ["nsynth-test/examples.json"],
    "nsynth_instr_family": ["nsynth-train/examples.json"],
    "nsynth_pitch": ["nsynth-valid/examples.json"],
    "nsynth_qualities": ["nsynth-train/examples.json"],
    **{f"scores_{name}": ["labels.csv"] for name in ("density", "genre", "key", "tags")},
    "speech_commands": ["validation_list.txt", "testing_list.txt"],
    "vocalset_technique": ["train_singers_technique.txt", "test_singers_technique.txt"],
    "voxceleb1": ["iden_split.txt"],
}
SPOILED = [
    # a column of another name
    ("audioset_balanced", "class_labels_indices.csv", "mid", "id", 1),
    ("csv", "manifest.csv", "label", "class", 1),
    ("emomusic", "songs_info.csv", "Mediaeval 2013 set", "set", 1),
    ("emomusic", "static_annotations.csv", "mean_valence", "valence", 1),
    ("esc50", "meta/esc50.csv", "category", "label", 1),
    ("fma", "fma_metadata/tracks.csv", "genre_top", "genre", 3),
    ("fsd50k", "FSD50K.ground_truth/dev.csv", "split", "part", 1),
    ("fsd50k", "FSD50K.ground_truth/eval.csv", "labels", "tags", 1),
    (
        "fsdkaggle2018",
        "FSDKaggle2018.meta/train_post_competition.csv",
        "manually_verified",
        "verified",
        1,
    ),
    (
        "giantsteps",
        "giantsteps-mtg-key-dataset/annotations/annotations.txt",
        "MANUAL KEY",
        "KEY",
        1,
    ),
    ("medleydb", "data/Metadata/A_Two_METADATA.yaml", "stem_dir", "stems_dir", None),
    ("medleydb", "data/Metadata/A_Two_METADATA.yaml", "instrument:", "played:", None),
    ("medleydb_raw", "data/Metadata/A_Two_METADATA.yaml", "instrument:", "played:", None),
    ("mtat_top50", "annotations_final.csv", '"harpsichord"', '"harpsicord"', 1),
    ("mtat_all", "annotations_final.csv", "mp3_path", "path", 1),
    ("mtg_genre", f"{SPLITS}genre-train.tsv", "TAGS", "TAG", 1),
    ("nsynth_pitch", "nsynth-valid/examples.json", '"pitch"', '"note"', None),
    ("scores_tags", "labels.csv", "tags", "tag", 1),
    # a wrong separator
    ("csv", "manifest.csv", ",", ";", 1),
    ("emomusic", "static_annotations.csv", ",", ";", 1),
    ("esc50", "meta/esc50.csv", ",", "\t", 1),
    ("fma", "fma_metadata/tracks.csv", ",", ";", 3),
    ("fsd50k", "FSD50K.ground_truth/vocabulary.csv", ",", "\t", 1),
    ("fsdkaggle2018", "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv", ",", ";", 1),
    ("audioset_balanced", "eval_segments.csv", ",", ";", 4),
    ("giantsteps", "giantsteps-mtg-key-dataset/annotations/annotations.txt", "\t", ",", 1),
    ("msd_top50", "train_gt_msd.tsv", "\t", " ", 1),
    ("mtat_top50", "annotations_final.csv", "\t", ",", 1),
    ("mtg_mood", f"{SPLITS}moodtheme-validation.tsv", "\t", ",", 1),
    ("voxceleb1", "iden_split.txt", " ", "\t", 1),
    # a label that nobody knows
    ("audioset_balanced", "eval_segments.csv", "/m/05zppz", "/m/00000", 4),
    ("fsd50k", "FSD50K.ground_truth/dev.csv", ",Yell,", ",Yelling,", 3),
    (
        "fsdkaggle2018",
        "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
        "Bark",
        "Barking",
        2,
    ),
    (
        "giantsteps",
        "giantsteps-mtg-key-dataset/annotations/annotations.txt",
        "D# minor",
        "H minor",
        2,
    ),
    (
        "giantsteps",
        "giantsteps-key-dataset/annotations/key/91.LOFI.key",
        "Eb minor",
        "Eb dorian",
        1,
    ),
    ("gtzan", "valid_filtered.txt", "jazz/", "jaz/", 2),
    ("scores_genre", "labels.csv", "chorale", "choral", 4),
    ("scores_key", "labels.csv", "Eb minor", "Eb dorian", 2),
    ("scores_tags", "labels.csv", "bowed;drums", "bowed;drum", 2),
    ("scores_tags", "labels.csv", ",val,", ",valid,", 5),
    ("speech_commands", "testing_list.txt", "bed/", "bead/", 2),
    ("vocalset_technique", "test_singers_technique.txt", "male3", "mail3", 2),
    ("vocalset_technique", "test_singers_technique.txt", "female2", "female1", 1),
    ("voxceleb1", "iden_split.txt", "id11251", "id20000", 3),
    ("emomusic", "songs_info.csv", "evaluation", "evaluated", 3),
    ("fma", "fma_metadata/tracks.csv", "medium", "middle", 7),
    ("fsd50k", "FSD50K.ground_truth/dev.csv", ",train", ",training", 2),
    # a value out of its range, or none at all
    ("csv", "manifest.csv", "clips/1.wav", "clips/0.wav", 3),
    ("emomusic", "static_annotations.csv", "3.0,0.9", "30,0.9", 2),
    ("emomusic", "static_annotations.csv", "3.0,0.9", "x,0.9", 2),
    ("emomusic", "songs_info.csv", "4,4.mp3", "400,4.mp3", 4),
    ("esc50", "meta/esc50.csv", ",3,0,dog", ",6,0,dog", 6),
    ("esc50", "meta/esc50.csv", ",3,0,dog", ",3,50,dog", 6),
    ("esc50", "meta/esc50.csv", ",3,0,dog", ",3,0,cat", 6),
    ("fsdkaggle2018", "FSDKaggle2018.meta/train_post_competition.csv", "Bark,0,1", "Bark,2,1", 3),
    (
        "giantsteps",
        "giantsteps-mtg-key-dataset/annotations/annotations.txt",
        "D# minor\t2",
        "D# minor\t3",
        2,
    ),
    ("msd_top50", "test_gt_msd.tsv", "0, 0, 1", "0, 0, 2", 1),
    ("msd_top50", "test_gt_msd.tsv", "0, 0, 1", "0, 1", 1),
    ("msd_top50", "test_gt_msd.tsv", "TRCCC", "XXCCC", 1),
    ("mtat_top50", "annotations_final.csv", '"1"', '"2"', 2),
    ("mtat_top50", "annotations_final.csv", "0/band", "x/band", 4),
    ("nsynth_pitch", "nsynth-valid/examples.json", '"pitch": 60', '"pitch": 128', None),
    (
        "nsynth_instr_family",
        "nsynth-train/examples.json",
        '"instrument_family": 0',
        '"instrument_family": 11',
        None,
    ),
    ("nsynth_qualities", "nsynth-train/examples.json", '"qualities": [', '"qualities": [7, ', None),
    ("scores_density", "labels.csv", "3.5", "35", 7),
    ("scores_density", "labels.csv", "3.5", "x", 7),
    ("voxceleb1", "iden_split.txt", "3 id11251", "4 id11251", 3),
    ("speech_commands", "validation_list.txt", "bed/aaaa0002_nohash_0.wav", "bed.wav", 2),
    # a broken line
    ("mtg_top50", f"{SPLITS}top50tags-train.tsv", "\t340.1\tgenre---rock\r\n", "\t340.1\r\n", 2),
    ("medleydb", "data/Metadata/A_Two_METADATA.yaml", "drum set\n", "[drum set\n", 15),
    ("nsynth_instr", "nsynth-test/examples.json", '"velocity"', "velocity", 7),
    ("fsd50k", "FSD50K.ground_truth/eval.csv", "3,Accordion,/m/0mkg", "3,Accordion", 2),
    ("fma", "fma_metadata/tracks.csv", ",Rock,Title\n5", ",Rock\n5", 7),
    ("esc50", "meta/esc50.csv", "2-100-A-0.wav,2", '"2-100-A-0.wav,2', 11),
]


def complaint(task, root, **options):
    with pytest.raises(UserError) as error:
        find_task(task)(root, **options)
    return error.value


def assert_helps(error, file, line=None):
    text = str(error)
    where = file.split("/")[-1]
    assert where in text, text
    assert len(text.splitlines()) == 3, text
    assert all(part.strip() for part in text.splitlines())
    if line is not None:
        assert re.search(rf"{re.escape(where)}, line {line}$", text, re.MULTILINE), text


@pytest.mark.parametrize(("task", "file", "old", "new", "line"), SPOILED)
def test_what_is_wrong_is_named_with_file_and_line(task, file, old, new, line, tmp_path):
    BUILDERS[task](tmp_path)
    text = (tmp_path / file).read_bytes().decode()
    assert old in text
    everywhere = old in (",", "\t", " ") or old.startswith(('"pitch', '"inst', '"qual', "inst"))
    (tmp_path / file).write_bytes(text.replace(old, new, -1 if everywhere else 1).encode())
    error = complaint(task, tmp_path)
    assert isinstance(error, AnnotationError)
    assert_helps(error, file, line)


@pytest.mark.parametrize(
    ("task", "file"), [(task, file) for task, files in FILES.items() for file in files]
)
def test_empty_absent_and_foreign_files_are_named(task, file, tmp_path):
    BUILDERS[task](tmp_path)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(b"")
    assert_helps(complaint(task, tmp_path), file)
    second_line = content.index(b"\n") + 1 if b"\n" in content.rstrip() else 0
    (tmp_path / file).write_bytes(content[:second_line] + b"\xff\xfe" + content[second_line:])
    assert_helps(complaint(task, tmp_path), file, line=2 if second_line else 1)
    (tmp_path / file).write_bytes(b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x80\xbb")
    assert_helps(complaint(task, tmp_path), file)
    (tmp_path / file).unlink()
    if not file.endswith(".key"):  # one key fewer is one track fewer
        error = complaint(task, tmp_path)
        assert isinstance(error, DatasetNotFoundError)
        assert re.search(r" not found\.\nLooked for: .+\n.+$", str(error))


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("val_gt_mtt.tsv", "1.0", "0.5", 1),
        ("val_gt_mtt.tsv", "9\t", "10\t", 1),
        ("test_gt_mtt.tsv", "\t", " ", 1),
        ("index_mtt.tsv", "c/other", "other", 2),
    ],
)
def test_the_tables_of_musicnn(file, old, new, line, tmp_path):
    mtat_index(tmp_path)
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(old, new))
    assert_helps(complaint("mtat_top50", tmp_path), file, line)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("fsdd_digit", "recordings/seven_theo_3.wav"),
        ("fsdd_speaker", "recordings/7_theodor_3.wav"),
        ("audiomnist_digit", "data/01/one.wav"),
        ("audiomnist_speaker", "data/01/1_61_0.wav"),
        ("crema_d", "AudioWAV/1001_DFA_JOY_XX.wav"),
        ("crema_d", "AudioWAV/take one.wav"),
        ("librispeech_speaker", "LibriSpeech/train-clean-100/19/7/utterance.flac"),
        ("vocalset_singer", "data_by_singer/female1/scales/f12_scales_belt_a.wav"),
        ("speech_commands", "eleven/aaaa0001_nohash_0.wav"),
        ("speech_commands", "yes/recording.wav"),
    ],
)
def test_names_that_say_nothing_are_named(task, name, tmp_path):
    BUILDERS[task](tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).touch()
    error = complaint(task, tmp_path)
    assert isinstance(error, AnnotationError)
    assert_helps(error, name)


def test_the_tables_of_musicnn_may_lie_in_a_folder(tmp_path):
    mtat_index(tmp_path)
    before = find_task("mtat_top50")(tmp_path).split.tolist()
    (tmp_path / "index").mkdir()
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}_gt_mtt.tsv").rename(tmp_path / "index" / f"{name}_gt_mtt.tsv")
    assert find_task("mtat_top50")(tmp_path).split.tolist() == before
