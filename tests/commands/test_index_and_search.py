"""`index` and `search`: what they find, what is embedded again, and what they refuse."""

import csv
import json
import os

import numpy as np
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.commands import index as command
from semisupcon.encoders import SampleCNNSmall
from semisupcon.labelling import stream
from semisupcon.retrieval import load_index

RATE = 8000


def exported(folder, seed=0):
    torch.manual_seed(seed)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=2000)
    return export_encoder(encoder, folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def audio(tmp_path):
    """Eight files of tones and noise, 0.5 to 1.2 s; one is a copy, one no audio."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        t = np.arange(4000 + 800 * i) / RATE
        wave = 0.3 * np.sin(2 * np.pi * 200 * (i + 1) * t) + 0.02 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{i}.wav", wave, RATE)
    (folder / "copy of 3.wav").write_bytes((folder / "3.wav").read_bytes())
    (folder / "broken.wav").write_text("not audio")
    return folder


@pytest.fixture
def index(model, audio, tmp_path):
    def run(*args, inputs=None, out="ix"):
        words = ["index", *(inputs or [audio]), "--checkpoint", model, "--out", tmp_path / out]
        return main([str(word) for word in (*words, *args)])

    return run


@pytest.fixture
def search(tmp_path, capsys):
    def run(*args, out="ix"):
        capsys.readouterr()
        status = main([str(word) for word in ("search", *args, "--index", tmp_path / out)])
        done = capsys.readouterr()
        return status, [line.split("  ") for line in done.out.splitlines()], done.err

    return run


WINDOWS = ("--per", "window", "--window", "0.25", "--hop", "0.1")


def test_hits_are_the_cosine_similarities_of_the_embeddings(index, search, audio, model, capsys):
    assert index() == 0
    assert "broken.wav" in capsys.readouterr().err
    files = sorted(str(p) for p in audio.iterdir() if p.name != "broken.wav")
    rows = semisupcon.load_encoder(model).embed(files)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    status, lines, _ = search(audio / "5.wav", "--top", 4)
    similar = unit @ unit[files.index(str(audio / "5.wav"))]
    order = [i for i in np.argsort(-similar) if not files[i].endswith("/5.wav")][:4]
    assert status == 0
    assert [line[1] for line in lines] == [files[i] for i in order]
    assert np.allclose([float(line[0]) for line in lines], similar[order], atol=1e-4)
    assert lines[0][2].endswith(" s")
    assert search(audio / "5.wav", "--include_query", "--top", 1)[1][0][:2] == [
        "1.0000",
        str(audio / "5.wav"),
    ]


def test_a_new_file_needs_the_encoder_of_the_index(index, search, audio, model, tmp_path):
    assert index() == 0
    new = tmp_path / "new.wav"
    new.write_bytes((audio / "6.wav").read_bytes())
    status, _, said = search(new)
    assert status == 2
    assert "not in the index" in said
    assert "--checkpoint" in said
    status, lines, _ = search(new, "--checkpoint", model, "--top", 1)
    assert (status, lines[0][:2]) == (0, ["1.0000", str(audio / "6.wav")])
    other = exported(tmp_path / "other", 1)
    status, _, said = search(new, "--checkpoint", other)
    assert status == 2
    assert "not the encoder of the index" in said


def test_windows_have_times_and_the_best_of_each_file_is_one_hit(
    index, search, audio, model, tmp_path
):
    assert index(*WINDOWS) == 0
    found = load_index(tmp_path / "ix")
    encoder = semisupcon.load_encoder(model)
    wave, _ = soundfile.read(audio / "4.wav", dtype="float32")
    at = found.find("4.wav")
    first = found.first_rows[at]
    starts, ends = found.times(at)
    assert len(wave) == 7200
    assert starts.tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65]
    assert ends[-1] == 0.9
    expected = encoder.embed([wave[round(s * RATE) :][:2000] for s in starts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(found.vectors[first : first + 8], expected, atol=1e-5)
    _, lines, _ = search("4.wav", "--at", 0.33, "--include_query", "--top", 1)
    assert lines == [["1.0000", str(audio / "4.wav"), "0.20-0.45 s"]]
    _, lines, _ = search("4.wav", "--by", "file", "--top", 20)
    assert len({line[1] for line in lines}) == len(lines) == 8
    _, lines, _ = search("4.wav", "--top", 20)
    assert len(lines) == 20
    assert search("4.wav", "--at", 3)[0] == 2


def test_several_queries_are_averaged(index, search, audio):
    assert index() == 0
    _, one, _ = search("1.wav", "2.wav", "--top", 3)
    _, two, _ = search("2.wav", "1.wav", "--top", 3)
    assert one == two
    assert not {"1.wav", "2.wav"} & {line[1].rsplit("/", 1)[1] for line in one}


def test_hits_as_csv_with_safe_cells(index, search, audio, tmp_path, monkeypatch):
    monkeypatch.chdir(audio)
    os.rename("2.wav", "=2.wav")
    assert index(inputs=["=2.wav", "3.wav", "4.wav"]) == 0
    assert search("3.wav", "--out", tmp_path / "hits.csv")[0] == 0
    rows = list(csv.DictReader((tmp_path / "hits.csv").open()))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert "'=2.wav" in {row["file"] for row in rows}
    assert float(rows[0]["end"]) > 0
    assert search("=2.wav", "--top", 1)[0] == 0
    status, _, said = search("3.wav", "--out", tmp_path / "hits.csv")
    assert status == 2
    assert "exists already" in said
    assert search("3.wav", "--out", tmp_path / "hits.csv", "--overwrite")[0] == 0


@pytest.mark.parametrize("per", [(), WINDOWS])
def test_only_new_and_changed_files_are_embedded(index, audio, tmp_path, monkeypatch, capsys, per):
    assert index(*per) == 0
    read, original = [], stream.read_blocks
    monkeypatch.setattr(
        stream, "read_blocks", lambda f, *a, **k: read.append(str(f)) or original(f, *a, **k)
    )
    soundfile.write(audio / "1a.wav", np.random.default_rng(1).standard_normal(5000) / 9, RATE)
    soundfile.write(audio / "4.wav", np.random.default_rng(2).standard_normal(9000) / 9, RATE)
    (audio / "7.wav").unlink()
    capsys.readouterr()
    monkeypatch.chdir(audio)
    assert index(inputs=["."]) == 0, (
        "another spelling of the same paths, and the settings of the index"
    )
    assert sorted(os.path.basename(f) for f in read) == ["1a.wav", "4.wav", "broken.wav"]
    done = capsys.readouterr()
    assert "2 files embedded, 7 unchanged" in done.out
    assert "1 files of the index no longer exist" in done.err
    assert index("--prune", inputs=[audio]) == 0
    grown = load_index(tmp_path / "ix")
    assert grown.find("7.wav") is None
    assert index(*per, out="new") == 0
    anew = load_index(tmp_path / "new")
    names = [os.path.basename(e.file) for e in anew.entries]
    assert sorted(os.path.basename(e.file) for e in grown.entries) == sorted(names)
    for name in names:
        one, two = (i.vectors[slice(*i.first_rows[i.find(name) :][:2])] for i in (grown, anew))
        assert np.allclose(one, two, atol=1e-5)
        assert grown.entries[grown.find(name)][1:] == anew.entries[anew.find(name)][1:]
    assert len(list((tmp_path / "ix").iterdir())) == 3


def test_an_interrupted_index_goes_on_to_the_same_bytes(
    index, audio, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(stream, "BATCHES_A_PART", {"cpu": 2})
    words = (*WINDOWS, "--batch_size", "2")
    assert index(*words, out="whole") == 0
    original, seen = stream.read_blocks, []

    def breaks(file, *args, **more):
        seen.append(file)
        if str(file).endswith("6.wav"):
            raise KeyboardInterrupt
        return original(file, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(stream, "read_blocks", breaks)
        assert index(*words) == 130
    assert "the same command continues after" in capsys.readouterr().err
    assert not (tmp_path / "ix" / "index.json").exists()
    assert index(*words) == 0
    assert "files are done" in capsys.readouterr().err
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("whole", "ix"))
    assert one == two


def test_a_crash_after_the_index_is_replaced_leaves_nothing_in_the_way(
    index, audio, tmp_path, monkeypatch
):
    def fails(*_):
        raise RuntimeError

    for place, done in (("write_index", False), ("finish", True)):
        with monkeypatch.context() as patch:
            patch.setattr(command, place, fails)
            patch.setattr(command.Parts, "remove", lambda self: None)
            with pytest.raises(RuntimeError):
                index()
        assert (tmp_path / "ix" / "index.json").is_file() == done
        assert (tmp_path / "ix" / "index.json.unfinished").is_dir()
    assert index() == 0
    assert not (tmp_path / "ix" / "index.json.unfinished").exists()
    assert len(load_index(tmp_path / "ix").entries) == 9


def test_a_file_on_disk_is_not_taken_for_another_of_the_same_name(
    index, search, audio, model, tmp_path, monkeypatch
):
    assert index() == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3.wav").write_bytes((audio / "6.wav").read_bytes())
    status, _, said = search("3.wav")
    assert status == 2
    assert "3.wav is not in the index" in said
    _, lines, _ = search("3.wav", "--checkpoint", model, "--top", 1)
    assert lines[0][:2] == ["1.0000", str(audio / "6.wav")]


def test_near_identical_pairs(index, search, audio, tmp_path):
    assert index() == 0
    status, lines, said = search(
        "--duplicates", "--threshold", 0.99999, "--out", tmp_path / "p.csv"
    )
    assert status == 0
    assert [line[0] for line in lines] == ["1.0000"]
    assert {lines[0][1], lines[0][3]} == {str(audio / "3.wav"), str(audio / "copy of 3.wav")}
    assert "1 pairs reach 0.99999" in said
    (row,) = csv.DictReader((tmp_path / "p.csv").open())
    assert row["other_file"].endswith("copy of 3.wav") or row["file"].endswith("copy of 3.wav")


def test_the_approximate_index_is_asked_for(index, search, audio, tmp_path):
    pytest.importorskip("faiss", reason="the approximate index is an extra: semisupcon[search]")
    assert index(*WINDOWS) == 0
    status, _, said = search("3.wav", "--method", "approximate")
    assert status == 2
    assert "--approximate yes" in said
    assert index("--approximate", "yes") == 0
    assert search("3.wav", "--method", "approximate")[1] == search("3.wav", "--method", "exact")[1]
    (graph,) = (tmp_path / "ix").glob("graph-*.faiss")
    graph.write_bytes(graph.read_bytes()[:100])
    status, _, said = search("3.wav", "--method", "approximate")
    assert status == 2
    assert "--method exact" in said


def test_without_faiss_it_is_named(index, search, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "faiss", None)
    assert index("--approximate", "yes") == 2
    assert "pip install faiss-cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--window", "1"], "need --per window"),
        (["--per", "window", "--window", "-1"], "--window must be above 0"),
        (["--per", "window", "--hop", "0"], "--hop must be above 0"),
        (["--per", "window", "--hop", "1e-9"], "--hop must be at least one sample"),
        (["--task", "both"], "no task 'both'"),
        (["--batch_size", "0"], "--batch_size must be at least 1"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_leave_nothing_behind(index, audio, tmp_path, capsys, words, said):
    assert index(*words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 3
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_another_encoder_and_other_settings_are_refused(index, audio, tmp_path, capsys):
    assert index() == 0
    before = {p: p.read_bytes() for p in (tmp_path / "ix").iterdir()}
    other = exported(tmp_path / "other", 1)
    assert index("--checkpoint", other) == 2
    assert "index of another encoder" in capsys.readouterr().err
    assert index(*WINDOWS) == 2
    assert "another --" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (tmp_path / "ix").iterdir()} == before
    assert index("--checkpoint", other, "--overwrite") == 0
    assert len(list((tmp_path / "ix").iterdir())) == 3


def test_a_folder_of_other_files_stays(index, tmp_path, capsys):
    (tmp_path / "ix").mkdir()
    (tmp_path / "ix" / "thesis.txt").write_text("mine")
    assert index("--overwrite") == 2
    assert "holds other files than an index, such as thesis.txt" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "ix").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give a query"),
        (["x.wav"], "x.wav is not in the index"),
        (["3.wav", "--duplicates"], "leave out a query"),
        (["3.wav", "--threshold", "0.5"], "--threshold needs --duplicates"),
        (["--duplicates", "--threshold", "2"], "--threshold must lie between"),
        (["3.wav", "--top", "0"], "--top must be at least 1"),
        (["3.wav", "--by", "window"], "one embedding per file"),
        (["3.wav", "--at", "1"], "--at needs an index made with"),
        (["3.wav", "--out", "x.txt"], "--out must end in .csv"),
        (["3.wav", "--index", "nowhere"], "nowhere holds no index"),
    ],
)
def test_mistakes_of_search(index, tmp_path, capsys, words, said):
    assert index() == 0
    capsys.readouterr()
    assert main(["search", "--index", str(tmp_path / "ix"), *words]) == 2
    assert said in capsys.readouterr().err


def rewritten(folder, **changes):
    """Write an index.json with other values and a digest that fits them."""
    from semisupcon.digests import with_digest

    content = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(with_digest(content | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 99},
        {"rows": 3},
        {"dim": "x"},
        {"per": "window"},
        {"precision": "load"},
        {"vectors": {"file": "../other.npy", "digest": ""}},
        {"vectors": {"file": "/etc/passwd", "digest": ""}},
        {"files": {"file": "index.json", "digest": "x"}},
        {"sample_rate": 0},
    ],
)
def test_a_damaged_index_is_told_in_a_sentence(index, search, tmp_path, changes):
    assert index() == 0
    rewritten(tmp_path / "ix", **changes)
    status, _, said = search("3.wav")
    assert status == 2
    assert said.startswith("error: ")
    assert len(said.splitlines()) <= 3


def test_changed_vectors_are_found_when_asked_and_before_files_are_added(
    index, search, audio, tmp_path
):
    assert index() == 0
    (vectors,) = (tmp_path / "ix").glob("vectors-*.npy")
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    assert search("3.wav")[0] == 0
    assert "was changed" in search("3.wav", "--verify")[2]
    (audio / "new.wav").write_bytes((audio / "1.wav").read_bytes())
    assert index() == 2


def test_a_name_stays_on_its_line(index, search, audio):
    odd = audio / "a\nb.wav"
    odd.write_bytes((audio / "5.wav").read_bytes())
    assert index() == 0
    _, lines, _ = search("5.wav", "--top", 1)
    assert lines[0][1].endswith("a\\nb.wav")


def test_the_folder_is_locked(index, tmp_path, monkeypatch):
    there = []
    monkeypatch.setattr(
        command, "run", lambda given: there.extend(p.name for p in given.out.iterdir()) or 0
    )
    assert index() == 0
    assert there == [".lock"]
