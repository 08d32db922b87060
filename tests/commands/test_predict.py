"""`predict`: rows, formats, windows, interruptions, and heads that do not fit."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from semisupcon import embedding
from semisupcon.__main__ import main
from semisupcon.commands import label_files
from semisupcon.files import plain_cell
from semisupcon.labelling import stream, tagger
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.head import load_head, new_head, save_head

draw = np.random.default_rng(0)


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Eleven files of 1 to 11 quarters of a second, and one that is no audio."""
    folder = tmp_path_factory.mktemp("audio") / "in"
    folder.mkdir()
    for i in range(11):
        samples = 0.1 * draw.standard_normal((2000 * (i + 1) - 100, 2)) * (1 + i)
        soundfile.write(folder / f"{i:02d}.wav", np.clip(samples, -1, 1), 8000)
    (folder / "05a.wav").write_text("not audio")
    return folder


@pytest.fixture
def predict(small, tags, tmp_path):
    def run(*args, out="out.csv", head=tags, checkpoint=small):
        words = ["--checkpoint", str(checkpoint), "--head", str(head), "--batch_size", "2"]
        return main(["predict", *map(str, args), *words, "--out", str(tmp_path / out)])

    return run


def table(file):
    return pd.read_csv(file)


def scores_of(audio, small, head):
    """Probabilities of every file, computed from the embeddings by hand."""
    found, about = load_head(head)
    subject = load_subject(str(small))
    files = [file for file in sorted(audio.iterdir()) if file.name != "05a.wav"]
    rows = subject.encoder.embed(files)
    state = {name: value.numpy().astype(float) for name, value in found.state_dict().items()}
    weight = next(v for n, v in state.items() if n.endswith("weight"))
    bias = next(v for n, v in state.items() if n.startswith("net.") and n.endswith("bias"))
    logits = ((rows - state["mean"]) / state["scale"]) @ weight.T + bias + state["target_mean"]
    return [str(f) for f in files], logits / about.get("temperature", 1.0)


def test_a_row_for_every_label_above_its_threshold(predict, audio, small, tags, tmp_path, capsys):
    assert predict(audio) == 0
    err = capsys.readouterr().err
    assert "left out" in err
    assert "1 files could not be read" in err
    files, logits = scores_of(audio, small, tags)
    probabilities = 1 / (1 + np.exp(-logits))
    names, thresholds = ["'=risky", "b", "c\tc"], (0.4, 0.5, 0.6)
    expected = [
        (file, names[c], row[c])
        for file, row in zip(files, probabilities, strict=True)
        for c in np.argsort(-row)
        if row[c] >= thresholds[c]
    ]
    found = table(tmp_path / "out.csv")
    assert list(found.columns) == ["file", "start", "end", "label", "probability"]
    assert 0 < len(expected) < 33
    assert list(zip(found.file, found.label, strict=True)) == [e[:2] for e in expected]
    assert np.allclose(found.probability, [e[2] for e in expected], atol=1e-5)
    lengths = {f: (2000 * (int(f[-6:-4]) + 1) - 100) / 8000 for f in files}
    assert found.start.eq(0).all()
    assert np.allclose(found.end, [lengths[f] for f in found.file])


def test_all_labels_and_one_threshold(predict, audio, tmp_path):
    assert predict(audio, "--all") == 0
    every = table(tmp_path / "out.csv")
    assert len(every) == 33
    assert predict(audio, "--threshold", "0.55", out="some.csv") == 0
    some = table(tmp_path / "some.csv")
    assert some.equals(every[every.probability >= 0.55].reset_index(drop=True))


def test_the_best_of_several_classes_and_values(predict, saved, audio, small, tmp_path, capsys):
    head = saved("multiclass", ["x", "y", "z"])
    assert predict(audio, head=head) == 0
    assert "holds no temperature and no thresholds; temperature 1" in capsys.readouterr().err
    _, logits = scores_of(audio, small, head)
    best = table(tmp_path / "out.csv")
    assert best.label.tolist() == [("x", "y", "z")[c] for c in logits.argmax(axis=1)]
    values = saved("regression", ["pitch", "level"])
    assert predict(audio, head=values, out="values.csv") == 0
    found = table(tmp_path / "values.csv")
    assert list(found.columns) == ["file", "start", "end", "label", "value"]
    assert found.label.tolist() == ["pitch", "level"] * 11
    _, expected = scores_of(audio, small, values)
    assert np.allclose(found.value, expected.ravel(), atol=1e-4)
    assert predict(audio, "--threshold", "0.5", head=values, out="no.csv") == 2
    assert "these are values" in capsys.readouterr().err


@pytest.mark.parametrize("aggregation", ["logit", "probability", "vote"])
def test_a_window_is_predicted_as_a_file_of_its_length(
    predict, saved, audio, tmp_path, aggregation
):
    head = saved("multilabel", ["a", "b"], aggregation=aggregation)
    file = audio / "10.wav"
    windows = ("--per", "window", "--window", "0.7", "--hop", "0.5", "--all")
    assert predict(file, *windows, head=head) == 0
    found = table(tmp_path / "out.csv")
    assert found.start.tolist()[::2] == [0, 0.5, 1.0, 1.5, 2.0, 2.0375]
    samples, _ = soundfile.read(file)
    for i, start in enumerate(found.start[::2]):
        first = round(start * 8000)
        cut = samples[first : first + 5600]
        soundfile.write(tmp_path / f"{i}.wav", cut, 8000, subtype="PCM_16")
    assert predict(*sorted(tmp_path.glob("?.wav")), "--all", head=head, out="cut.csv") == 0
    again = table(tmp_path / "cut.csv")
    assert found.label.tolist() == again.label.tolist()
    assert np.allclose(found.probability, again.probability, atol=1e-5)


def test_every_format_holds_the_same_rows(predict, audio, tmp_path, capsys):
    per = ("--per", "window", "--hop", "0.2", "--all")
    for out in ("a.csv", "a.parquet", "a.selections.txt"):
        assert predict(audio, *per, out=out) == 0
    text = table(tmp_path / "a.csv")
    arrow = pd.read_parquet(tmp_path / "a.parquet")
    assert arrow.probability.dtype == np.float32
    assert np.array_equal(text.probability.astype(np.float32), arrow.probability)
    assert arrow.label.tolist() == [plain_cell(label) for label in text.label]
    for name in ("file", "start", "end"):
        assert arrow[name].tolist() == text[name].tolist()
    with open(tmp_path / "a.selections.txt", newline="") as lines:
        raven = list(csv.DictReader(lines, dialect="excel-tab"))
    assert [r["Begin Path"] for r in raven] == text.file.tolist()
    assert [float(r["File Offset (s)"]) for r in raven] == text.start.tolist()
    assert [r["Label"] for r in raven] == [label.replace("\t", " ") for label in text.label]
    assert [float(r["Probability"]) for r in raven] == text.probability.tolist()
    lengths = text.groupby("file").end.max().cumsum().shift(fill_value=0)
    before = lengths.loc[text.file].to_numpy()
    assert np.allclose([float(r["Begin Time (s)"]) for r in raven], before + text.start)
    assert np.allclose([float(r["End Time (s)"]) for r in raven], before + text.end)

    assert predict(audio / "10.wav", *per, out="a.txt") == 0
    mine = text[text.file == str(audio / "10.wav")]
    lines = [line.split("\t") for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert [(float(a), float(b)) for a, b, _ in lines] == list(
        zip(mine.start, mine.end, strict=True)
    )
    assert [c for _, _, c in lines] == [plain_cell(x).replace("\t", " ") for x in mine.label]
    capsys.readouterr()
    assert predict(audio, out="b.txt") == 2
    assert "Audacity labels belong to one recording, and 12" in capsys.readouterr().err


@pytest.mark.parametrize("per", [(), ("--per", "window", "--window", "0.4", "--hop", "0.3")])
def test_an_interrupted_run_continues_to_the_same_bytes(
    predict, audio, tmp_path, monkeypatch, capsys, per
):
    monkeypatch.setattr(stream, "BATCHES_A_PART", {"cpu": 3})
    assert predict(audio, *per, out="whole.csv") == 0
    original = stream.Reading._load

    def breaks(self, item):
        if item[0] == 9:
            raise KeyboardInterrupt
        return original(self, item)

    monkeypatch.setattr(stream.Reading, "_load", breaks)
    assert predict(audio, *per) == 130
    assert "the same command continues after" in capsys.readouterr().err
    unfinished = tmp_path / "out.csv.unfinished"
    found = [json.loads(file.read_text()) for file in sorted(unfinished.glob("rows-*.json"))]
    done = sum(len(content["sizes"]) for content in found)
    assert 0 < done < 12
    assert all(len(content["lengths"]) == len(content["sizes"]) for content in found)
    assert not (tmp_path / "out.csv").exists()
    read = []
    monkeypatch.setattr(
        stream.Reading, "_load", lambda self, item: read.append(item) or original(self, item)
    )
    assert predict(audio, "--all", *per, head=load_other(tmp_path), out="out.csv") == 2
    assert "another encoder" in capsys.readouterr().err
    assert predict(audio, *per) == 0
    assert f"{done} of 12 files are done" in capsys.readouterr().err
    assert len(read) == 12 - done
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not unfinished.exists()


def test_windows_of_a_long_file_come_in_blocks(predict, audio, tmp_path, monkeypatch):
    """Blocks of windows give the rows of all windows at once."""
    per = ("--per", "window", "--window", "0.3", "--hop", "0.1", "--all")
    for out in ("a.csv", "a.selections.txt"):
        assert predict(audio, *per, out=out) == 0
    for module in (label_files, tagger):
        monkeypatch.setattr(module, "ROWS", 7)
    for out in ("b.csv", "b.selections.txt"):
        assert predict(audio, *per, out=out) == 0
    a, b = (table(tmp_path / f"{name}.csv") for name in "ab")
    pd.testing.assert_frame_equal(a, b, atol=1e-6)
    lines = [(tmp_path / f"{name}.selections.txt").read_text().splitlines() for name in "ab"]
    cut = [[line.rsplit("\t", 1)[0] for line in of] for of in lines]
    assert cut[0] == cut[1]


def load_other(folder):
    save_head(
        new_head("linear", 16, 1, "binary"),
        folder / "other.safetensors",
        {"classes": ["a"], "encoder": "0" * 64},
    )
    return folder / "other.safetensors"


def test_nothing_is_overwritten_and_the_output_is_checked_first(
    predict, audio, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(stream.Reading, "_load", lambda *_: pytest.fail("audio was read"))
    (tmp_path / "out.csv").write_text("mine")
    assert predict(audio) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_text() == "mine"
    (tmp_path / "new.csv.unfinished").mkdir()
    (tmp_path / "new.csv.unfinished" / "mine").write_text("mine")
    assert predict(audio, out="new.csv") == 2
    assert "holds other files" in capsys.readouterr().err
    assert predict(audio, out="out.csv/x.csv") == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--window", "1"), "--window needs --per window."),
        (("--per", "window", "--window", "nan"), "--window must be a positive number"),
        (("--per", "window", "--hop", "0"), "--hop must be a positive number"),
        (("--per", "window", "--hop", "inf"), "--hop must be a positive number"),
        (("--per", "window", "--window", "1e-5"), "--window must be at least"),
        (("--threshold", "2"), "--threshold must lie between 0 and 1"),
        (("--threshold", "0.3", "--all"), "leave one out"),
        (("--head_classes", "a"), "--head_classes is for heads of imported checkpoints only"),
        (("--workers", "0"), "--workers must be at least 1"),
        (("--representation", "projektion"), "is an exported encoder without heads"),
    ],
)
def test_options_that_do_not_fit(predict, audio, tmp_path, capsys, words, told):
    assert predict(audio, *words) == 2
    assert told in (err := capsys.readouterr().err)
    assert len(err.strip().splitlines()) <= 3
    assert not list(tmp_path.iterdir())


def test_heads_that_do_not_fit(predict, audio, small, saved, tmp_path, capsys):
    vote = saved("regression", ["a"], aggregation="vote")
    nameless = saved("multilabel", ["a"], named=[])
    wide = tmp_path / "wide.safetensors"
    subject = load_subject(str(small))
    about = {"classes": ["a"], "encoder": subject.fingerprint()}
    save_head(new_head("linear", 17, 1, "binary"), wide, about)
    for head, told in (
        (vote, "its aggregation is vote"),
        (nameless, "names no classes"),
        (wide, "takes embeddings of width 17; those of 'small' are 16 wide"),
        (tmp_path / "absent.safetensors", "is not a saved probe head"),
    ):
        assert predict(audio, head=head) == 2, told
        assert told in (err := capsys.readouterr().err)
        assert len(err.strip().splitlines()) <= 3
    assert predict(audio, out="out.json") == 2
    assert "--out must end in .csv, .parquet" in capsys.readouterr().err


def test_a_folder_without_usable_audio(predict, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_text("no audio")
    assert predict(tmp_path / "bad") == 2
    assert "None of the 1 files can be read" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "out.csv.unfinished").exists()


def test_a_baseline_labels_too(audio, tmp_path):
    subject = load_subject("mfcc")
    head = new_head("linear", subject.encoder.embedding_dim, 2, "multiclass")
    about = {"classes": ["a", "b"], "encoder": subject.fingerprint()}
    save_head(head, tmp_path / "head.safetensors", about)
    words = ["--checkpoint", "mfcc", "--head", str(tmp_path / "head.safetensors")]
    for per, count in (("file", 11), ("window", 21)):  # windows of a second
        out = tmp_path / f"{per}.csv"
        assert main(["predict", str(audio), *words, "--out", str(out), "--per", per]) == 0
        assert len(table(out)) == count


def test_a_fine_tuned_encoder_is_named_beside_its_head(predict, saved, audio, tmp_path, capsys):
    head = saved("binary", ["a"], encoder="0" * 64)
    (tmp_path / "heads").mkdir()
    (tmp_path / "finetuned" / "x").mkdir(parents=True)
    (tmp_path / "heads" / "x.safetensors").write_bytes(head.read_bytes())
    assert predict(audio, head=tmp_path / "heads" / "x.safetensors") == 2
    assert f"Give --checkpoint {tmp_path / 'finetuned' / 'x'}." in capsys.readouterr().err


def test_it_streams(predict, audio, monkeypatch):
    """No more than the pieces that are read ahead are in memory: a long file comes in many."""
    sizes = []
    original = embedding.embed_pieces

    def watched(encode, pieces, *rest):
        def counted():
            for piece in pieces:
                sizes.append(0 if piece.rows is None else piece.rows.nbytes)
                yield piece

        return original(encode, counted(), *rest)

    monkeypatch.setattr(stream, "embed_pieces", watched)
    long = audio.parent / "long.wav"
    soundfile.write(long, np.tile(draw.standard_normal(8000) * 0.1, 400), 8000)
    assert predict(long, "--per", "window", "--window", "1", "--hop", "0.5") == 0
    assert max(sizes) <= 5 << 20
    assert sum(sizes) > 4 * max(sizes)
