"""The embedded set: whole or not at all, always the same, balanced, not readable from trivial
statistics, and yet learnable."""

import errno
import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semisupcon.datasets import load_annotations, synthesis
from semisupcon.datasets.synthesis.clips import render_clip, split_of
from semisupcon.datasets.synthesis.players import TRAITS, draw_patch, note
from semisupcon.errors import DatasetNotFoundError, UserError

RATE = synthesis.SAMPLE_RATE
TASKS = ("instrument", "pitch", "tags", "polyphony", "affect")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The whole set."""
    return synthesis.render(tmp_path_factory.mktemp("synthetic") / "set", progress=False)


@pytest.fixture(scope="module")
def labels(folder):
    return pd.read_csv(folder / synthesis.LABELS)


@pytest.fixture(scope="module")
def audio(folder, labels):
    """``[600, T]`` float32."""
    return np.stack([soundfile.read(folder / path, dtype="float32")[0] for path in labels["path"]])


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- the folder ---


def test_a_clip_depends_on_its_number_only(folder, labels, tmp_path):
    few = synthesis.render(tmp_path / "few", clips=13, progress=False)
    assert pd.read_csv(few / synthesis.LABELS).equals(labels.head(13))
    assert all(
        (few / path).read_bytes() == (folder / path).read_bytes()
        for path in labels["path"].head(13)
    )
    alone, row = render_clip(12)
    np.testing.assert_array_equal(
        alone, soundfile.read(folder / "audio/0012.wav", dtype="int16")[0]
    )
    assert row["instrument"] == labels["instrument"][12]


def test_files_are_what_they_are_said_to_be(folder, labels):
    info = {
        (i.samplerate, i.channels, i.subtype, i.frames)
        for i in map(soundfile.info, map(str, folder.glob("audio/*.wav")))
    }
    assert info == {(22050, 1, "PCM_16", 132300)}
    assert len(labels) == 600
    assert labels["path"].is_unique


@pytest.mark.parametrize(
    "damage",
    [
        "a clip is gone",
        "a clip is cut short",
        "the labels are gone",
        "all audio is gone",
        "too few labels",
    ],
)
def test_a_damaged_cache_is_rendered_again(tmp_path, damage):
    folder = synthesis.render(tmp_path / "set", clips=3, seconds=1.0, progress=False)
    before = files(folder)
    clip = folder / "audio/0001.wav"
    match damage:
        case "a clip is gone":
            clip.unlink()
        case "a clip is cut short":
            clip.write_bytes(clip.read_bytes()[:-100])
        case "the labels are gone":
            (folder / synthesis.LABELS).unlink()
        case "all audio is gone":
            shutil.rmtree(folder / "audio")
        case "too few labels":
            (folder / synthesis.LABELS).write_text(
                "".join((folder / synthesis.LABELS).read_text().splitlines(keepends=True)[:-1])
            )
    assert synthesis.render(folder, clips=3, seconds=1.0, progress=False) == folder
    assert files(folder) == before


def test_a_whole_cache_is_left_alone(tmp_path):
    folder = synthesis.render(tmp_path / "set", clips=2, seconds=1.0, progress=False)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    synthesis.render(folder, clips=2, seconds=1.0, progress=False)
    synthesis.render(folder, clips=1, seconds=1.0, progress=False)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(index, seconds):
        if index == 2:
            raise KeyboardInterrupt
        return render_clip(index, seconds)

    monkeypatch.setattr(synthesis, "render_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesis.render(tmp_path / "set", clips=4, seconds=1.0, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os,
        "fsync",
        lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
    )
    with pytest.raises(UserError, match=r"set cannot be written: No space left on device\."):
        synthesis.render(tmp_path / "set", clips=2, seconds=1.0, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("present", [None, "an older part"])
def test_two_that_ask_at_once_both_get_the_whole_set(tmp_path, monkeypatch, present):
    expected = files(synthesis.render(tmp_path / "expected", clips=3, seconds=1.0, progress=False))
    folder = tmp_path / "cache" / "set"
    if present:
        synthesis.render(folder, clips=1, seconds=1.0, progress=False)
    both_have_rendered, publish = threading.Barrier(2), synthesis._publish
    monkeypatch.setattr(
        synthesis, "_publish", lambda *a: (both_have_rendered.wait(60), publish(*a))
    )
    results = []

    def ask():
        results.append(files(synthesis.render(folder, clips=3, seconds=1.0, progress=False)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected, expected]
    assert list(folder.parent.iterdir()) == [folder]


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "own"))
    assert synthesis.synthetic_folder() == tmp_path / "own" / synthesis.VERSION
    monkeypatch.delenv("SEMISUPCON_CACHE")
    assert synthesis.synthetic_folder() == tmp_path / "xdg" / "semisupcon" / synthesis.VERSION
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert (
        synthesis.synthetic_folder()
        == tmp_path / "home" / ".cache" / "semisupcon" / synthesis.VERSION
    )


# --- the tasks ---


@pytest.mark.parametrize("task", TASKS)
def test_tasks_agree_with_the_labels(folder, labels, task):
    annotations = load_annotations(f"synthetic_{task}", folder)
    assert annotations.table["path"].tolist() == labels["path"].tolist()
    assert annotations.table["split"].value_counts().to_dict() == {
        "train": 400,
        "val": 80,
        "test": 120,
    }
    if annotations.kind == "multiclass":
        names = np.array(annotations.classes)[annotations.targets.argmax(axis=1)]
        assert names.tolist() == labels[task].tolist()
        assert (annotations.targets.sum(axis=1) == 1).all()
    else:
        np.testing.assert_allclose(
            annotations.targets, labels[list(annotations.classes)], rtol=1e-6
        )


def test_all_label_kinds_are_there(folder):
    assert {load_annotations(f"synthetic_{task}", folder).kind for task in TASKS} == {
        "multiclass",
        "multilabel",
        "binary",
        "regression",
    }


def test_a_folder_without_labels_is_named(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"labels\.csv") as error:
        load_annotations("synthetic_tags", tmp_path)
    assert len(str(error.value).splitlines()) <= 3


def test_without_a_root_the_cache_is_filled_and_read(tmp_path, monkeypatch, folder):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path))
    (tmp_path / synthesis.VERSION).symlink_to(folder)
    assert len(load_annotations("synthetic_tags", None).table) == 600


def test_every_split_holds_every_instrument_alike(labels):
    counts = pd.crosstab(labels["instrument"], labels["split"])
    assert counts.drop_duplicates().to_dict("records") == [{"test": 12, "train": 40, "val": 8}]
    assert (pd.crosstab(labels["instrument"], labels["pitch"]) == 5).all(axis=None)
    test = labels[labels["split"] == "test"]
    assert (pd.crosstab(test["instrument"], test["pitch"]) == 1).all(axis=None)
    assert {split_of(i) for i in range(20)} == {
        "train",
        "val",
        "test",
    }  # a small set has all splits, too


def test_tags_are_neither_rare_nor_common(labels):
    share = labels[list(synthesis.TAGS)].mean()
    assert share.between(0.1, 0.6).all(), share


def test_tags_name_neither_instrument_nor_pitch(labels):
    for column in ("instrument", "pitch"):
        classes = pd.get_dummies(labels[column], dtype=float)
        correlation = np.corrcoef(classes.T, labels[list(synthesis.TAGS)].T)[
            : len(classes.columns), len(classes.columns) :
        ]
        assert np.abs(correlation).max() < (0.75 if column == "instrument" else 0.2)
    assert (
        labels.groupby("instrument")[list(synthesis.TAGS)].any().sum() >= 3
    ).all()  # so that no tag is an instrument by another name


# --- the sound ---


def test_audio_is_sound(audio):
    assert np.abs(audio).max() < 0.99  # nothing is clipped
    level = np.sqrt((audio**2).mean(axis=1))
    assert np.abs(audio.mean(axis=1) / level).max() < 0.1  # no offset
    assert np.abs(audio[:, [0, -1]]).max() < 0.01  # begins and ends without a click
    blocks = audio[:, : 120 * 1102].reshape(len(audio), 120, 1102)
    loud = np.sqrt((blocks**2).mean(axis=2)) > level[:, None] * 10 ** (-40 / 20)
    share = np.lib.stride_tricks.sliding_window_view(loud, 54, axis=1).mean(axis=2)
    assert share.min() > 0.3  # every excerpt of 2.7 s holds 0.8 s of sound or more


@pytest.mark.parametrize("name", synthesis.INSTRUMENTS)
@pytest.mark.parametrize("pitch", [110.0, 329.63])
def test_instruments_are_in_tune_and_do_not_click(name, pitch):
    steady = [
        0.0 if trait in ("vibrato", "ensemble") else odds
        for trait, odds in zip(TRAITS, synthesis.INSTRUMENTS[name].odds, strict=True)
    ]
    instrument = replace(synthesis.INSTRUMENTS[name], odds=tuple(steady))
    for seed in range(4):
        patch = draw_patch(np.random.default_rng(seed), instrument, pitch, 1.0)
        sound = note(instrument, patch, pitch, RATE)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert abs(sound[0]) < 0.05 * np.abs(sound).max()
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(RATE), 8 * RATE))
        frequencies = np.arange(len(spectrum)) / 8
        near = np.abs(frequencies - pitch) < 0.3 * pitch
        assert frequencies[near][spectrum[near].argmax()] == pytest.approx(
            pitch, rel=0.006
        )  # 10 cents


def test_players_do_not_share_their_sound():
    assert len(TRAITS) == len(next(iter(synthesis.INSTRUMENTS.values())).odds)
    first, second = (render_clip(i, 1.0)[0].astype(float) for i in (0, 10))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


# --- what can be read from it ---


def trivial_statistics(audio):
    """Root mean square, peak, zero-crossing rate and spectral centroid, as they are and as
    logarithms."""
    rms, peak = np.sqrt((audio**2).mean(axis=1)), np.abs(audio).max(axis=1)
    crossings = np.diff(np.signbit(audio), axis=1).mean(axis=1)
    magnitudes = np.abs(
        np.fft.rfft(
            audio[:, : 64 * 2048].reshape(len(audio), 64, 2048)
            * np.hanning(2048).astype(np.float32),
            axis=2,
        )
    )
    frequencies = np.linspace(0, RATE / 2, magnitudes.shape[2])
    centroid = (magnitudes @ frequencies / magnitudes.sum(axis=2)).mean(axis=1)
    return np.stack([rms, peak, crossings, centroid], axis=1)


def predicted(features, y, **options):
    return cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **options)),
        features,
        y,
        cv=5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", [np.asarray, np.log])
def test_no_label_is_readable_from_trivial_statistics(audio, labels, scale):
    statistics = scale(trivial_statistics(audio))
    assert (
        predicted(statistics, labels["instrument"].tolist()) == labels["instrument"]
    ).mean() < 0.1 + 0.2
    assert (
        predicted(statistics, labels["pitch"].tolist()) == labels["pitch"]
    ).mean() < 1 / 12 + 0.2
    accuracies = [
        balanced_accuracy_score(
            labels[tag], predicted(statistics, labels[tag], class_weight="balanced")
        )
        for tag in (*synthesis.TAGS, "polyphonic")
    ]
    assert np.mean(accuracies) < 0.5 + 0.2
    assert max(accuracies) < 0.5 + 0.3
    for value in ("brightness", "activity"):
        fitted = cross_val_predict(
            make_pipeline(StandardScaler(), Ridge()), statistics, labels[value], cv=5
        )
        assert r2_score(labels[value], fitted) < 0.3


def accuracy_of(features, y, split, **options):
    """Accuracy on the test split of a logistic regression on the rest."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, **options))
    return model.fit(features[split != "test"], y[split != "test"]).score(
        features[split == "test"], y[split == "test"]
    )


@pytest.mark.slow
def test_labels_can_be_learnt_from_an_excerpt(audio, labels):
    """Logistic regression on a log spectrum in bands (instrument, chance 0.1) and on a chromagram
    (pitch, chance 0.08) of 2.7 s."""
    split = labels["split"].to_numpy(str)
    excerpt = audio[:, RATE : RATE + 58 * 1024].reshape(len(audio), 58, 1024) * np.hanning(
        1024
    ).astype(np.float32)
    power = np.abs(np.fft.rfft(excerpt, axis=2)) ** 2
    bands = np.log(
        np.add.reduceat(power, np.unique(np.geomspace(1, 512, 48).astype(int)), axis=2) + 1e-6
    )
    envelope = np.concatenate(
        [bands.mean(axis=1), bands.std(axis=1), np.abs(np.diff(bands, axis=1)).mean(axis=1)], axis=1
    )
    assert accuracy_of(envelope, labels["instrument"].to_numpy(str), split, C=0.05) > 0.5

    spectrum = np.abs(
        np.fft.rfft(audio[:, RATE : RATE + 59049] * np.hanning(59049).astype(np.float32), 1 << 17)
    )
    frequencies = np.arange(spectrum.shape[1]) * RATE / (1 << 17)
    heard = (frequencies > 60) & (frequencies < 2000)
    third_of_a_semitone = np.round(36 * np.log2(frequencies[heard] / 440)).astype(int) % 36
    chroma = np.stack(
        [spectrum[:, heard][:, third_of_a_semitone == k].sum(axis=1) for k in range(36)], axis=1
    )
    assert (
        accuracy_of(
            chroma / chroma.sum(axis=1, keepdims=True), labels["pitch"].to_numpy(str), split, C=10
        )
        > 0.6
    )


# Level (RMS of full scale) and spectral centroid (Hz) of the first 2 s of the first clips.
SOUNDS = [
    (0.1028, 1903.8),
    (0.1016, 852.2),
    (0.0461, 2537.6),
    (0.0831, 1719.9),
    (0.0435, 1782.7),
    (0.1739, 2260.5),
    (0.169, 1390.7),
    (0.0739, 1935.9),
    (0.1806, 1846.0),
    (0.1494, 1633.7),
]


def test_the_sounds_stay_the_same():
    """Results on the embedded set can be compared between versions."""
    for index, (level, centroid) in enumerate(SOUNDS):
        wave = render_clip(index, 2.0)[0] / 32768
        spectrum, hertz = np.abs(np.fft.rfft(wave)), np.fft.rfftfreq(len(wave), 1 / 22050)
        assert np.sqrt((wave**2).mean()) == pytest.approx(level, rel=2e-3)
        assert (spectrum * hertz).sum() / spectrum.sum() == pytest.approx(centroid, rel=1e-3)


def test_the_splits_stay_the_same():
    held_out = {index: split_of(index) for index in range(60) if split_of(index) != "train"}
    test = [2, 7, 11, 16, 20, 25, 34, 39, 43, 48, 52, 57]
    assert held_out == dict.fromkeys([4, 13, 22, 29, 31, 38, 40, 47, 56], "val") | dict.fromkeys(
        test, "test"
    )
