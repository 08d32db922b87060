"""Events with times: read from a table, predicted frame by frame, and scored as by hand, by mir_eval
and by sed_eval."""

import csv

import numpy as np
import pytest
import soundfile
from sklearn.metrics import f1_score

from semisupcon.commands.probe import main
from semisupcon.datasets import load_annotations
from semisupcon.probing.methods.frame_tasks import Onsets, PitchTrack, SoundEvents, runs, track
from semisupcon.probing.methods.frames import Frames, chosen_threshold
from semisupcon.probing.scores.events import (
    activity,
    score_beats,
    score_onsets,
    score_pitch,
    score_sound_events,
    with_intervals,
)

RATE = 8000
HERTZ = {"low": 220.0, "middle": 440.0, "high": 880.0}


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """30 clips of 2.1 s with two to four notes of three pitches, not at once, and silence, as two
    tables of events."""
    root = tmp_path_factory.mktemp("timed")
    (root / "clips").mkdir()
    draw = np.random.default_rng(0)
    tags, hertz = ["path,start,end,label,split"], ["path,start,end,label,split"]
    for i in range(30):
        wave, split = (
            0.01 * draw.standard_normal(int(2.1 * RATE)),
            ("train", "train", "test")[i % 3],
        )
        split = "val" if i % 6 == 1 else split
        begin = draw.uniform(0.1, 0.4)
        while begin < 1.7:
            name, length = draw.choice(list(HERTZ)), draw.uniform(0.2, 0.35)
            t = np.arange(int(length * RATE)) / RATE
            at = int(begin * RATE)
            note = 0.4 * np.sin(2 * np.pi * HERTZ[name] * t)
            wave[at : at + len(t)] += note[: len(wave) - at]
            where = f"clips/{i:02d}.wav,{begin:.4f},{begin + length:.4f}"
            tags.append(f"{where},{name},{split}")
            hertz.append(f"{where},{HERTZ[name]},{split}")
            begin += length + draw.uniform(0.15, 0.4)
        soundfile.write(root / "clips" / f"{i:02d}.wav", wave, RATE)
    (root / "events.csv").write_text("\n".join(tags) + "\n")
    (root / "pitch.tsv").write_text("\n".join(hertz).replace(",", "\t") + "\n")
    return root


def frames_with(events, duration=3.0, step=0.02):
    times = (np.arange(int(duration / step)) + 0.5) * step
    return Frames(np.zeros((len(times), 1), np.float32), times, step, duration, events)


def test_onsets_by_hand():
    f, precision, recall = score_onsets(np.array([1, 2, 3.0]), np.array([1.04, 2.06])).values()
    assert (precision[0], recall[0]) == pytest.approx((1 / 2, 1 / 3))
    assert f[0] == pytest.approx(0.4)
    assert score_onsets(np.array([1.0]), np.zeros(0))["onset_f"] == (0, 1)
    assert score_onsets(np.zeros(0), np.zeros(0))["onset_f"] == (0, 0)


def test_beats_at_double_tempo_are_continuous_at_another_level():
    beats = np.arange(0.5, 12, 0.5)
    double = np.arange(0.5, 11.6, 0.25)
    assert score_beats(beats, beats) == {"beat_f": (1, 1), "cmlt": (1, 1), "amlt": (1, 1)}
    scores = score_beats(beats, double)
    assert scores["amlt"][0] == pytest.approx(1, abs=0.1)
    assert scores["cmlt"][0] < 0.2
    assert scores["beat_f"][0] == pytest.approx(2 / 3, abs=0.05)


def test_sound_events_by_hand():
    reference = [(0.0, 1.0, "a"), (2.0, 2.4, "a"), (1.0, 3.0, "b")]
    estimated = [(0.1, 1.4, "a"), (2.1, 2.9, "a"), (1.0, 2.1, "b"), (0.0, 1.0, "b")]
    scores = score_sound_events(reference, estimated, ["a", "b"], 3.0)
    # Found: the first "a" (offset within half of 1 s) and the "b" (offset within half of 2 s).
    assert scores["event_f"] == (4, 7)
    assert scores["event_recall"] == (2, 3)
    true, guess = (activity(e, ["a", "b"], 3.0) for e in (reference, estimated))
    assert true.tolist() == [[True, False], [False, True], [True, True]]
    expected = f1_score(true.reshape(-1), guess.reshape(-1))
    assert scores["segment_f"][0] / scores["segment_f"][1] == pytest.approx(expected)


def test_sound_events_are_those_of_sed_eval():
    sed_eval = pytest.importorskip("sed_eval")
    from dcase_util.containers import MetaDataContainer

    draw, labels = np.random.default_rng(1), ["a", "b"]
    options = {"event_label_list": labels, "t_collar": 0.2, "percentage_of_length": 0.5}
    by_event = sed_eval.sound_event.EventBasedMetrics(**options, event_matching_type="optimal")
    by_segment = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=1.0)
    clips = []
    for i in range(20):
        lists = []
        reference = [(float(s), float(s + draw.uniform(0.3, 2)), str(draw.choice(labels)))
                     for s in draw.uniform(0, 7, 4)]  # fmt: skip
        moved = [(max(0, s + draw.normal(0, 0.15)), max(s + 0.7, e + draw.normal(0, 0.3)), k)
                 for s, e, k in reference[:3]]  # fmt: skip
        for events in (reference, moved):
            lists.append(
                MetaDataContainer(
                    [
                        {"filename": f"{i}", "event_label": k, "onset": s, "offset": e}
                        for s, e, k in events
                    ]
                )
            )
        by_event.evaluate(*lists)
        by_segment.evaluate(*lists, evaluated_length_seconds=10)
        clips.append(score_sound_events(reference, moved, labels, 10.0))
    ours = with_intervals(clips, 10)
    theirs = by_event.results_overall_metrics()["f_measure"]["f_measure"]
    assert ours["event_f"][0] == pytest.approx(theirs, abs=1e-6)
    theirs = by_segment.results_overall_metrics()["f_measure"]["f_measure"]
    assert ours["segment_f"][0] == pytest.approx(theirs, abs=1e-6)


def test_pitch_by_hand():
    times = np.arange(6) * 0.01
    reference = np.array([440, 440, 440, 440, 0, 0.0])
    estimated = np.array([440, 440 * 2 ** (60 / 1200), 880, 440, 440, 440])
    voiced = np.array([True, True, True, False, True, False])
    scores = {k: a / b for k, (a, b) in score_pitch(times, reference, estimated, voiced).items()}
    assert scores == pytest.approx(
        {
            "raw_pitch_accuracy": 2 / 4,
            "raw_chroma_accuracy": 3 / 4,
            "overall_accuracy": 2 / 6,
            "voicing_recall": 3 / 4,
            "voicing_false_alarm": 1 / 2,
        }
    )


def test_ratios_of_sums_and_their_intervals():
    clips = [{"f": (1.0, 2.0), "none": (0, 0)}, {"f": (3.0, 4.0), "none": (0, 0)}] * 50
    found = with_intervals(clips)
    assert set(found) == {"f"}
    value, low, high = found["f"]
    assert value == pytest.approx(4 / 6)
    assert low < value < high
    # The delta method for a ratio of sums.
    error = np.std([(a - value * b) / 3 for a, b in (c["f"] for c in clips)]) / 10
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.2)


def test_perfect_probabilities_give_perfect_scores():
    events = [(0.31, 0.9, "a"), (1.2, 1.7, "b"), (1.2, 2.0, "a")]
    clip = frames_with(events)
    onsets = Onsets()
    assert onsets.score(clip, onsets.targets(clip), 0.5)["onset_f"] == (1, 1)
    sound = SoundEvents()
    sound.labels = ["a", "b"]
    scores = sound.score(clip, sound.targets(clip), 0.5)
    assert scores["event_f"] == (6, 6)
    pitch, clip = PitchTrack(), frames_with([(0.2, 1.0, "220"), (1.1, 2.0, "330")])
    pitch.prepare(None, [clip])
    scores = pitch.score(clip, pitch.targets(clip), 0.5)
    assert {k: a / b for k, (a, b) in scores.items()} == {
        "raw_pitch_accuracy": 1,
        "raw_chroma_accuracy": 1,
        "overall_accuracy": 1,
        "voicing_recall": 1,
        "voicing_false_alarm": 0,
    }
    assert set(track(clip)) == {0, 220, 330}


def test_short_gaps_are_closed_and_the_threshold_is_the_middle_of_the_best():
    clip = frames_with([])
    active = np.zeros(150, bool)
    active[10:20] = active[23:30] = active[40:45] = True
    found = [(round(s, 3), round(e, 3)) for s, e, _ in runs(clip, active, "a")]
    assert found == [(0.2, 0.6), (0.8, 0.9)]
    assert chosen_threshold(lambda t: float(0.2 < t < 0.6)) == pytest.approx(0.4)


def test_the_table_is_read(timed):
    clips = load_annotations("events", timed, file="events.csv")
    assert clips.classes == ("high", "low", "middle")
    assert len(clips) == 30
    first = clips.table["events"][0]
    assert all(0 < start < end for start, end, _ in first)
    assert set(clips.split) == {"train", "val", "test"}
    pitched = load_annotations("events", timed, file="pitch.tsv", pitch=True)
    assert pitched.classes == ("pitched",)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a.wav,2,1,x,train", "The event ends before it starts"),
        ("a.wav,-1,1,x,train", "start is -1"),
        ("a.wav,0,1,x,train\na.wav,2,3,x,test", "is in two splits"),
        ("a.wav,,,x,train", "No row has a start"),
        (",1,2,x,train", "The path in column 'path' is empty"),
    ],
)
def test_mistakes_in_the_table(lines, said, tmp_path, exported, capsys):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    (tmp_path / "events.csv").write_text("path,start,end,label,split\n" + lines + "\n")
    given = [f"--data_dirs.events={tmp_path}", f"--checkpoints={exported}", "--tasks=events"]
    assert main([*given, "--methods=onsets", f"--out={tmp_path / 'out'}"]) == 2
    assert said in capsys.readouterr().err


def probed(timed, exported, cache, out, *more):
    given = [f"--data_dirs.events={timed}", f"--checkpoints={exported}", "--tasks=events"]
    where = [f"--out={out}", f"--cache_dir={cache}", "--projection=none"]
    short = ["--training.max_epochs=15", "--training.lr=0.03"]
    assert main([*given, *where, *short, *more]) == 0
    with (out / "results.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["checkpoint"] == "tiny"]
    return {(r["method"], r["metric"]): float(r["value"]) for r in rows}, rows


def test_the_command_scores_events(timed, exported, cache, tmp_path):
    methods = "--methods=[onsets,beats,sound_events]"
    found, rows = probed(
        timed, exported, cache, tmp_path, methods, "--task_kwargs.events.file=events.csv"
    )
    assert {method for method, _ in found} == {"onsets", "beats", "sound_events"}
    assert found["sound_events", "segment_f"] > 0.5
    assert found["onsets", "onset_f"] > 0.2
    assert all(0 <= float(r["low"]) <= float(r["value"]) <= float(r["high"]) <= 1 for r in rows)
    assert all("ms frames" in r["detail"] for r in rows)
    # Times are part of what identifies a result.
    table = timed / "events.csv"
    text = table.read_text()
    table.write_text(text.replace(",1.", ",1.0", 1))
    try:
        _, again = probed(
            timed,
            exported,
            cache,
            tmp_path,
            "--methods=onsets",
            "--task_kwargs.events.file=events.csv",
        )
    finally:
        table.write_text(text)
    onsets = [{r["identity"] for r in of if r["method"] == "onsets"} for of in (rows, again)]
    assert onsets[0].isdisjoint(onsets[1])


def test_the_command_scores_pitch(timed, exported, cache, tmp_path):
    options = ["--task_kwargs.events.file=pitch.tsv", "--task_kwargs.events.pitch=true"]
    found, _ = probed(timed, exported, cache, tmp_path, "--methods=pitch_track", *options)
    assert found["pitch_track", "raw_pitch_accuracy"] > 0.5
    assert found["pitch_track", "voicing_recall"] > found["pitch_track", "voicing_false_alarm"]


def test_mistakes_of_methods(timed, tones, exported, cache, tmp_path, capsys):
    tags = ["--task_kwargs.csv.label=tags", "--task_kwargs.csv.kind=multilabel"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--projection=none"]
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv", *where]
    assert main([*given, *tags, "--methods=onsets"]) == 2
    assert "has no events with times" in capsys.readouterr().err
    given = [f"--data_dirs.events={timed}", "--checkpoints=mfcc", "--tasks=events", *where]
    assert main([*given, "--task_kwargs.events.file=events.csv", "--methods=onsets"]) == 2
    assert "gives no frames" in capsys.readouterr().err
    given = [f"--data_dirs.events={timed}", f"--checkpoints={exported}", "--tasks=events", *where]
    assert main([*given, "--task_kwargs.events.file=events.csv", "--methods=pitch_track"]) == 2
    assert "are no frequencies" in capsys.readouterr().err
