"""The builder of rendered scores: parser, labels, groups, and builds that are stopped and continued.

music21 and tinysoundfont are not among the requirements of the tests. Tests that need them are
skipped with the command that installs them; the others use pieces and a synthesizer of their own.
"""

import csv
import hashlib
import importlib.util
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.scores import building, parsing, rendering, sources
from benchmarks.scores.__main__ import main
from benchmarks.scores.arranging import DRUM_CHANNEL, PROGRAMS, Programme, arrange
from benchmarks.scores.pieces import PROFILES, Piece, analysed_key, grouped
from semisupcon.__main__ import main as semisupcon
from semisupcon.datasets.keys import KEYS, parse_key
from semisupcon.datasets.scores import FAMILIES, GENRES

ROOT = Path(__file__).resolve().parents[2]
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}
BAR = 4 * parsing.TICKS


def has(module):
    return importlib.util.find_spec(module) is not None


with_music21 = pytest.mark.skipif(not has("music21"), reason=sources.INSTALL)
with_synth = pytest.mark.skipif(
    not (has("tinysoundfont") and has("pretty_midi")),
    reason=f"{rendering.INSTALL_SYNTH}; {rendering.INSTALL_FONT}",
)


def tune(number, tonic=0, mode="major", rhythm="reel", collection="oneills", **fields):
    """A parsed melody of 48 quavers that walks through a scale and rests on the tonic triad."""
    rng = np.random.default_rng(number)
    steps = np.where(np.arange(48) % 4 == 0, rng.choice((0, 2, 4), 48), rng.integers(0, 7, 48))
    half = parsing.TICKS // 2
    notes = [[i * half, half, 60 + tonic + SCALES[mode][s]] for i, s in enumerate(steps)]
    return {
        "piece": f"book/tunes.abc:{number}", "collection": collection, "title": f"Tune {number}",
        "meter": "4/4", "rhythm": rhythm, "key": [tonic, mode], "sharps": 0,
        "bars": list(range(0, 48 * half, BAR)), "parts": [notes],
    } | fields  # fmt: skip


def tunes():
    rhythms = ("reel", "jig", "hornpipe", "slip jig", "")
    found = [tune(i, i % 12, "minor" if i % 3 == 0 else "major", rhythms[i % 5]) for i in range(30)]
    return [*found, tune(30, parts=[[[0, 24, 60]] * 5])]  # the last one is too short


class Tone:
    """A synthesizer that plays one tone for all notes that sound."""

    def __init__(self):
        self.on, self.programs, self.clips, self.stop_at = set(), {}, 0, None

    def program_select(self, channel, font, bank, program):
        self.programs[channel] = (bank, program)

    def noteon(self, channel, pitch, velocity):
        self.on.add((channel, pitch))

    def noteoff(self, channel, pitch):
        self.on.discard((channel, pitch))

    def sounds_off(self):
        self.on.clear()
        self.clips += 1
        if self.clips == self.stop_at:
            raise KeyboardInterrupt

    def generate_simple(self, samples):
        phase = np.arange(samples) * sum(pitch for _, pitch in self.on) / 1000
        return np.repeat(np.sin(phase) / 2, 2).astype(np.float32).tobytes()


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus of 31 tunes in two units, and the synthesizer of the builds."""
    synth = Tone()
    half = {"oneills-000": tunes()[:16], "oneills-001": tunes()[16:]}
    monkeypatch.setattr(sources, "corpus_folder", lambda: tmp_path / "corpus")
    monkeypatch.setattr(sources, "units", lambda names, corpus: {unit: [unit] for unit in half})
    monkeypatch.setattr(sources, "files_of", lambda name, corpus: ([], {"a.krn": "reserved"}))
    monkeypatch.setattr(
        parsing, "parse_files", lambda name, files, corpus: (half[files[0]], {"b.abc:1": "Broken"})
    )
    monkeypatch.setattr(rendering, "check_synthesizer", lambda: None)
    monkeypatch.setattr(rendering, "_loaded", lambda font: (synth, 0))
    monkeypatch.setattr(building, "BLOCK", 3)
    (tmp_path / "One.sf2").write_bytes(b"one")
    return synth


def build(out, *more):
    font = str(out.parent / "One.sf2")
    return main(["build", "--out", str(out), "--workers", "1", "--soundfont", font, *more])


def digests(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def table(out):
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_build_that_is_stopped_continues_to_the_same_files(corpus, tmp_path, capsys):
    assert build(tmp_path / "whole", "--clips", "7") == 0
    assert "| train |" in capsys.readouterr().out
    corpus.stop_at = corpus.clips + 5  # in the second block
    stopped = tmp_path / "stopped"
    assert build(stopped, "--clips", "7") == 130
    assert "same command continues" in capsys.readouterr().err
    assert not (stopped / "labels.csv").exists()
    assert semisupcon(["data", "check", "scores_tags", "--data_dir", str(stopped)]) == 2
    assert "Continue it: python -m benchmarks.scores build" in capsys.readouterr().err
    (stopped / "audio" / ".000004.flac.1-abcdef.partial").touch()  # of a killed process
    assert build(stopped, "--clips", "7") == 0
    assert digests(stopped) == digests(tmp_path / "whole")
    assert corpus.clips == 7 + 5 + 4  # the first block was not rendered again


def test_a_set_grows_and_clips_that_were_lost_come_back(corpus, tmp_path):
    small = tmp_path / "small"
    assert build(tmp_path / "whole", "--clips", "5") == build(small, "--clips", "4") == 0
    (small / "audio" / "000001.flac").unlink()
    assert build(small, "--clips", "5") == 0
    assert digests(small) == digests(tmp_path / "whole")
    assert build(small, "--clips", "4") == 2  # the fifth clip would stay


def test_what_a_build_writes(corpus, tmp_path):
    out = tmp_path / "set"
    assert build(out, "--clips", "4") == 0
    rows = table(out)
    assert [row["path"] for row in rows] == [f"audio/{i:06d}.flac" for i in range(4)]
    assert {row["soundfont"] for row in rows} == {"One"}
    for row in rows:
        info = soundfile.info(out / row["path"])
        assert (info.samplerate, info.frames, info.channels) == (22050, 220500, 1)
    licences = (out / "LICENSES.md").read_text()
    assert "O'Neill's Music of Ireland (1903) (`oneills1850`) | 30 |" in licences
    assert "| One | unknown to this project" in licences
    left_out = list(csv.reader((out / "left_out.csv").open()))[1:]
    assert ["a.krn", "reserved"] in left_out
    assert ["b.abc:1", "music21: Broken"] in left_out
    assert ["book/tunes.abc:30", "fewer than 24 notes in every part"] in left_out


def test_mistakes_are_told_in_one_sentence(corpus, tmp_path, capsys):
    out = tmp_path / "set"
    assert build(out, "--clips", "4") == 0
    before = digests(out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "a file").touch()
    cases = {
        ("set", "--clips", "3"): "more than the 3 clips",
        ("set", "--clips", "4", "--seed", "1"): "seed was 0, now 1",
        ("set", "--clips", "4", "--collections", "bach"): "collections was",
        ("full", "--clips", "3"): "not an empty folder",
        ("a file", "--clips", "3"): "is not a folder",
        ("new", "--soundfont", str(tmp_path / "no.sf2")): "no.sf2 is not a file",
    }
    for (name, *more), message in cases.items():
        assert build(tmp_path / name, *more) == 2, name
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert digests(out) == before
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert not (tmp_path / "new").exists()
    for words in (["--clips", "0"], ["--seed", "-1"], ["--collections", "essen"]):
        with pytest.raises(SystemExit) as status:
            build(tmp_path / "new", *words)
        assert status.value.code == 2


def test_missing_packages_are_named_with_their_command(tmp_path, capsys, monkeypatch):
    for module, command in {
        "music21": "pip install music21==",
        "tinysoundfont": "pip install --no-deps tinysoundfont",
        "pretty_midi": "pip install --no-deps pretty_midi",
    }.items():
        (tmp_path / "TimGM6mb.sf2").touch()
        spec = importlib.util.spec_from_loader("other", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *_, gone=module, spec=spec: None if name == gone else spec,
        )
        assert main(["build", "--out", str(tmp_path / "set"), "--clips", "3"]) == 2
        error = capsys.readouterr().err
        assert command in error
        assert "not installed" in error
        assert not (tmp_path / "set").exists()


def test_labels_are_those_of_the_notes_that_sound():
    programme = Programme(grouped(tunes()), seed=3)
    keys, drums = Counter(), 0
    for number in range(60):
        piece = programme.piece(number)
        clip = arrange(piece, 3, number)
        labels, begins = clip.labels, [event for event in clip.events if event.on]
        assert max(event.second for event in begins) < 10
        struck = Counter(
            next(family for family, (p, *_) in PROGRAMS.items() if clip.programs[e.channel] in p)
            if e.channel != DRUM_CHANNEL
            else "drums"
            for e in begins
        )
        assert labels["tags"] == ";".join(sorted(f for f, n in struck.items() if n >= 4))
        assert set(struck) <= set(FAMILIES)
        drums += "drums" in struck
        keys[labels["key"]] += 1
        # Copies of a tune begin together, but for the 6 ms of jitter: count onsets of one copy.
        first = [event for event in begins if event.channel == 0]
        assert 2 ** float(labels["density"]) == pytest.approx(len(first) / 10, abs=0.11)
        if labels["key"]:  # all notes of the tunes are in the scale of their key
            tonic, mode = parse_key(labels["key"])
            melody = [event.pitch for event in begins if event.channel != DRUM_CHANNEL]
            assert {(pitch - tonic) % 12 for pitch in melody} <= set(SCALES[mode])
            assert (mode, labels["key"] in KEYS) == (piece.key[1], True)
        assert labels["split"] == piece.split
    assert 8 <= drums <= 30
    assert len(keys) > 15


def test_the_thirds_of_a_programme():
    programme = Programme(grouped(tunes()), seed=0)
    clips = [programme.piece(number) for number in range(60)]
    assert {piece.key[1] for piece in clips[1::3]} == {"major"}
    assert {piece.key[1] for piece in clips[2::3]} == {"minor"}
    assert set(Counter(piece.genre for piece in clips[0::3]).values()) == {5}
    assert {piece.genre for piece in clips[0::3]} == {"reel", "jig", "hornpipe", "slip jig"}
    # Pieces come in turn, in an order that depends on the seed.
    assert max(Counter(piece.name for piece in clips[2::3]).values()) == 2
    other = Programme(grouped(tunes()), seed=1)
    assert [other.piece(n).name for n in range(60)] != [piece.name for piece in clips]
    again = Programme(grouped(tunes()), seed=0)
    assert [again.piece(n).name for n in range(60)] == [piece.name for piece in clips]


def test_key_analysis_against_the_published_formula():
    rng = np.random.default_rng(0)
    for _ in range(50):
        notes = np.stack([np.zeros(30), rng.integers(1, 9, 30), rng.integers(40, 90, 30)], axis=1)
        weight = [sum(d for _, d, p in notes if p % 12 == c) for c in range(12)]
        fit = {
            (tonic, mode): np.corrcoef(np.roll(profile, tonic), weight)[0, 1]
            for mode, profile in PROFILES.items()
            for tonic in range(12)
        }
        assert analysed_key(notes.astype(int).tolist()) == max(fit, key=fit.get)


def test_a_key_needs_the_word_of_the_score_and_the_analysis():
    assert Piece(tune(1, 2, "major")).key == (2, "major")
    assert Piece(tune(1, 2, "major", key=[2, "dorian"])).key is None
    assert Piece(tune(1, 2, "major", key=[9, "major"])).key is None
    # A signature without a mode: two sharps are D major or B minor.
    assert Piece(tune(1, 2, "major", key=None, sharps=2)).key == (2, "major")
    assert Piece(tune(1, 11, "minor", key=None, sharps=2)).key == (11, "minor")
    assert Piece(tune(1, 2, "major", key=None, sharps=1)).key is None
    assert Piece(tune(1, key=None, sharps=None)).key is None


def test_tunes_that_recur_are_in_one_split():
    rows = [tune(i) for i in range(200)]
    rows += [
        # the same title in another book, the same melody a fifth higher, movements of one work
        tune(300, piece="aird/book1.abc:7", title="The Silver Tassie Reel"),
        tune(301, piece="ryan/a.abc", title="Silver Tassie, The"),
        tune(302, piece="aird/book2.abc:1", title="One name"),
        tune(302, 7, piece="ryan/b.abc", title="Another name"),
        tune(303, piece="mozart/k80/movement1.mxl", collection="mozart"),
        tune(304, piece="mozart/k80/movement2.mxl", collection="mozart"),
        tune(305, piece="mozart/k155/movement1.mxl", collection="mozart"),
    ]
    pieces = grouped(rows)
    group = {piece.name: piece.group for piece in pieces}
    assert group["aird/book1.abc:7"] == group["ryan/a.abc"]
    assert group["aird/book2.abc:1"] == group["ryan/b.abc"]
    assert group["mozart/k80/movement1.mxl"] == group["mozart/k80/movement2.mxl"]
    assert len(set(group.values())) == len(rows) - 3
    splits = {}
    for piece in pieces:
        assert splits.setdefault(piece.group, piece.split) == piece.split
    share = {split: n / len(pieces) for split, n in Counter(p.split for p in pieces).items()}
    assert share == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.09)
    assert [piece.group for piece in grouped(rows[::-1])] == [piece.group for piece in pieces]


def test_genres_of_collections_and_rhythms():
    assert Piece(tune(1, collection="bach", rhythm="")).genre == "chorale"
    found = {r: Piece(tune(1, rhythm=r)).genre for r in ("double jig", "slipjig", "reel", "air")}
    assert found == {"double jig": "jig", "slipjig": "slip jig", "reel": "reel", "air": ""}
    assert set(GENRES) >= {"chorale", "jig", "slip jig", "reel"}


ABC = """X: 1
T: A Tune in D
M: 6/8
L: 1/8
R: Double Jig
K: D
{e}d2f a2f | d3-d3 | [DF]6 |

X: 2
T: Broken
M: x/y
K: none of them
|||: ((

X:3
T: In E Dorian
M: C|
L: 1/4
K: Edor
E F G A |
"""


@with_music21
def test_the_notes_of_a_tiny_score(tmp_path):
    (tmp_path / "book.abc").write_text(ABC)
    pieces, failed = parsing.parse_files("oneills", ["book.abc"], tmp_path)
    assert [piece["piece"] for piece in pieces] + list(failed) == [
        "book.abc:1", "book.abc:3", "book.abc:2",
    ]  # fmt: skip
    first, second = pieces
    quaver = parsing.TICKS // 2
    expected = [
        (0, 2, 74),
        (2, 1, 78),
        (3, 2, 81),
        (5, 1, 78),
        (6, 6, 74),
        (12, 6, 62),
        (12, 6, 66),
    ]
    assert first["parts"] == [[[a * quaver, d * quaver, p] for a, d, p in expected]]
    assert first["bars"] == [0, 6 * quaver, 12 * quaver]
    assert (first["key"], first["sharps"], first["meter"]) == ([2, "major"], 2, "6/8")
    assert (first["title"], first["rhythm"]) == ("A Tune in D", "double jig")
    assert (second["key"], second["sharps"]) == ([4, "dorian"], 2)


@with_music21
def test_files_that_are_left_out_and_units_of_the_corpus():
    corpus = sources.corpus_folder()
    files, left_out = sources.files_of("trecento", corpus)
    assert len(left_out) == 12
    assert not set(files) & set(left_out)
    assert "bach/bwv846.mxl" in sources.files_of("bach", corpus)[1]
    units = sources.units(list(sources.COLLECTIONS), corpus)
    every = [file for files in units.values() for file in files]
    assert len(every) == len(set(every))
    assert all(collection.genre in ("", *GENRES, "madrigal", "quartet")
               for collection in sources.COLLECTIONS.values())  # fmt: skip


@with_synth
def test_a_clip_does_not_depend_on_the_clips_before_it(tmp_path, capsys):
    player = rendering.Player([rendering.packaged_font()])
    programme = Programme(grouped(tunes()), seed=0)
    clips = {number: arrange(programme.piece(number), 0, number) for number in (0, 1, 4)}
    alone, font = player.render(clips[4], 0, 4)
    assert font == "TimGM6mb"
    assert alone.shape == (220500,)
    assert np.abs(alone).max() <= 0.98
    assert -27 < 20 * np.log10(np.sqrt(np.mean(alone**2))) < -17
    player.render(clips[0], 0, 0)
    player.render(clips[1], 0, 1)
    assert np.array_equal(player.render(clips[4], 0, 4)[0], alone)
    (tmp_path / "wrong.sf2").write_bytes(b"no soundfont")
    with pytest.raises(ValueError, match="cannot be read as a soundfont"):
        rendering.Player([tmp_path / "wrong.sf2"])


@pytest.mark.slow
@with_music21
@with_synth
def test_the_real_builder_with_workers_and_after_a_kill(tmp_path, capsys):
    words = ["build", "--clips", "20", "--collections", "haydn", "--out"]
    assert main([*words, str(tmp_path / "one"), "--workers", "1"]) == 0
    command = [sys.executable, "-m", "benchmarks.scores", *words, str(tmp_path / "two")]
    for wanted in ("pieces", "audio"):  # killed while it parses, and while it renders
        process = subprocess.Popen(
            [*command, "--workers", "2"], cwd=ROOT, start_new_session=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 300
        while not any((tmp_path / "two" / wanted).glob("[!.]*")) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "two" / "labels.csv").exists()
    assert main([*words, str(tmp_path / "two"), "--workers", "2"]) == 0
    assert digests(tmp_path / "two") == digests(tmp_path / "one")
    for task in ("scores_tags", "scores_density"):
        assert semisupcon(["data", "check", task, "--data_dir", str(tmp_path / "one")]) in (0, 1)
        assert "Missing: 0 of 20" in capsys.readouterr().out
