"""`explore`: the data of its page, and what it refuses. `tests/retrieval/test_page_in_a_browser.py`
opens pages."""

import base64
import csv
import hashlib
import io
import json
import re
import sys

import numpy as np
import pytest
import soundfile

from semisupcon.__main__ import main
from semisupcon.retrieval.map import projection
from tests.retrieval.pages import read_page

HOSTILE = 'x/</script><script>document.title="run"</script>.wav'


def written(folder, names, vectors, seconds=None):
    """Embeddings as `semisupcon embed` writes them: ``.npy`` and names."""
    np.save(folder / "e.npy", np.asarray(vectors, np.float32))
    with (folder / "e.csv").open("w", newline="") as file:
        rows = zip(names, seconds or [0] * len(names), strict=True)
        csv.writer(file).writerows([("file", "second"), *rows])
    return folder / "e.npy"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Thirty embeddings in three groups, with labels; the clips 0 to 2 are audio."""
    rng = np.random.default_rng(0)
    group = np.arange(30) % 3
    vectors = np.eye(8)[group] + 0.1 * rng.standard_normal((30, 8))
    names = [f"in/{'abc'[g]}/{i:02d}.wav" for i, g in enumerate(group)]
    for i in range(3):
        (tmp_path / names[i]).parent.mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000 * (i + 1)) / 8000)
        soundfile.write(tmp_path / names[i], tone, 8000)
    written(tmp_path, names, vectors)
    (tmp_path / "labels.csv").write_text(
        "\n".join(
            ["file,label", *(f"{'abc'[g]}/{i:02d}.wav,{'xyz'[g]}" for i, g in enumerate(group))]
        )
    )
    monkeypatch.chdir(tmp_path)
    return names, vectors


def explore(*words, source="e.npy", out="map.html"):
    return main(["explore", source, "--out", out, *map(str, words)])


def test_neighbours_are_those_of_the_embedding_space(world, tmp_path):
    names, vectors = world
    assert explore("--neighbours", 5, "--method", "pca") == 0
    header, arrays, previews = read_page(tmp_path / "map.html")
    assert [header["folder"] + name for name in header["names"]] == names
    assert arrays["file"].tolist() == list(range(30))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T - 2 * np.eye(30)
    order = np.argsort(-similar, axis=1)[:, :5]
    assert np.array_equal(arrays["neighbours"].reshape(5, 30).T, order)
    found = arrays["similarities"].reshape(5, 30).T / 65535 * 2 - 1
    assert np.allclose(found, np.take_along_axis(similar, order, 1), atol=1e-4)
    assert previews == []


def test_points_are_principal_components_with_equal_scales(world, tmp_path):
    _, vectors = world
    assert explore("--method", "pca") == 0
    _, arrays, _ = read_page(tmp_path / "map.html")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = unit.astype(np.float32).astype(float)
    left, scale, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * scale[:2]
    shown = np.stack([arrays["x"], arrays["y"]], axis=1) / 65535.0
    shown -= shown.mean(axis=0)
    ratio = np.ptp(expected, axis=0).max()
    for i in range(2):
        sign = np.sign(shown[:, i] @ expected[:, i])
        assert np.allclose(shown[:, i] * sign * ratio, expected[:, i], atol=1e-3)


def test_labels_predictions_numbers_and_clusters(world, tmp_path):
    names, _ = world
    (tmp_path / "tags.csv").write_text(
        "file,start,end,label,probability\n"
        f"{names[0]},0,1,dog,0.4\n{names[0]},1,2,dog,0.4\n{names[0]},1,2,cat,0.7\n{names[1]},0,1,'=x,0.9\n"
        f"{names[2]},0,1,dog,0.3\n{names[2]},1,2,dog,0.3\n{names[2]},1,2,cat,0.7\n"
    )
    (tmp_path / "year.csv").write_text(
        "file,label\n" + "".join(f"{name},{1990 + i}\n" for i, name in enumerate(names[:20]))
    )
    assert explore("--labels", "labels.csv", "tags.csv", "year.csv", "--clusters", 3) == 0
    header, arrays, _ = read_page(tmp_path / "map.html")
    one, two, three, four = header["colourings"]
    assert (one["name"], one["classes"]) == ("labels", ["x", "y", "z"])
    assert arrays["colour0"].tolist() == (np.arange(30) % 3).tolist()
    assert two["classes"] == ["=x", "cat", "dog"]
    assert arrays["colour1"].tolist() == [2, 0, 1, *[-1] * 27]
    assert three["numbers"]
    assert arrays["colour2"][:20].tolist() == list(range(1990, 2010))
    assert np.isnan(arrays["colour2"][20:]).all()
    assert four["classes"] == ["cluster 1", "cluster 2", "cluster 3"]
    assert all(len(set(arrays["colour3"][g::3])) == 1 for g in range(3))
    assert len(set(arrays["colour3"][:3])) == 3


@pytest.mark.parametrize("form", ["e.parquet", "t.csv"])
def test_seconds_of_tables_are_windows(world, tmp_path, form):
    import pandas as pd

    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        rng.standard_normal((12, 4)).astype(np.float32), columns=[f"e{i}" for i in range(4)]
    )
    table.insert(0, "second", [0, 1, 2, 3, 4, 5] * 2)
    table.insert(0, "file", ["a.wav"] * 6 + ["b.wav"] * 6)
    (table.to_csv if form.endswith("csv") else table.to_parquet)(tmp_path / form, index=False)
    (tmp_path / "tags.csv").write_text("file,start,end,label\na.wav,0,2.6,p\na.wav,2.6,6,q\n")
    assert explore("--labels", "tags.csv", source=form) == 0
    _header, arrays, _ = read_page(tmp_path / "map.html")
    assert arrays["start"].tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert arrays["end"].tolist() == [1, 2, 3, 4, 5, 6] * 2
    assert arrays["file"].tolist() == [0] * 6 + [1] * 6
    assert arrays["colour0"].tolist() == [0, 0, 0, 1, 1, 1, *[-1] * 6]
    vectors = table.to_numpy()[:, 2:].astype(float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 3 * np.eye(12)).argmax(axis=1)
    assert arrays["neighbours"][:12].tolist() == nearest.tolist()


def test_overlapping_windows_are_no_neighbours():
    from semisupcon.retrieval.map.clips import Clips

    starts = np.array([0, 0.5, 1.0, 1.5, 0.0, 0.5])
    clips = Clips(["a"] * 4 + ["b"] * 2, np.eye(6), starts, starts + 1)
    assert clips.spans().tolist() == [[0, 2], [0, 3], [1, 4], [2, 4], [4, 6], [4, 6]]


def test_an_index_is_explored(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        soundfile.write(tmp_path / "in" / f"{i}.wav", 0.1 * rng.standard_normal(6000), 8000)
    words = ["--per", "window", "--window", "0.5", "--hop", "0.25"]
    assert main(["index", "in", "--checkpoint", str(small), "--out", "ix", *words]) == 0
    assert explore(source="ix") == 0
    header, arrays, _ = read_page(tmp_path / "map.html")
    assert header["names"] == [f"{i}.wav" for i in range(4)]
    assert arrays["start"].tolist() == [0, 0.25] * 4


def test_previews_are_short_mp3_and_of_their_clips(world, tmp_path, capsys):
    assert explore("--previews", 0.5) == 0
    assert "27 previews are missing" in capsys.readouterr().err
    _, _, previews = read_page(tmp_path / "map.html")
    assert len(previews) == 30
    assert not any(previews[3:])
    for sound in previews[:3]:
        audio, rate = soundfile.read(io.BytesIO(sound))
        assert rate == 16000
        assert len(audio) == pytest.approx(8000, abs=2400)
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
        assert spectrum.argmax() * rate / len(audio) == pytest.approx(440, abs=10)


def test_audio_is_named_relative_to_the_page(world, tmp_path):
    (tmp_path / "pages").mkdir()
    assert explore(out="pages/map.html") == 0
    header, _, _ = read_page(tmp_path / "pages" / "map.html")
    assert header["audio"] == "../in/"
    assert (tmp_path / "pages" / header["audio"] / header["names"][0]).is_file()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").rename(tmp_path / "elsewhere" / "in")
    assert explore("--audio_root", "elsewhere", out="b.html") == 0
    assert read_page(tmp_path / "b.html")[0]["audio"] == "elsewhere/in/"


def test_names_are_data_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [HOSTILE, "x/<!--", "x/{{title}}.wav", 'x/"&amp;.wav']
    written(tmp_path, names, np.random.default_rng(0).standard_normal((4, 3)))
    with (tmp_path / "l.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *((n, f"</script>{n}") for n in names)])
    assert explore("--labels", "l.csv", out="a <b>&{{data}}.html") == 0
    path = tmp_path / "a <b>&{{data}}.html"
    page = path.read_text()
    header, _, _ = read_page(path)
    assert [header["folder"] + name for name in header["names"]] == names
    assert page.count("</script>") == 3
    assert "document.title=" not in page
    assert "<title>a &lt;b&gt;&amp;{{data}}</title>" in page


def test_the_policy_allows_the_script_of_the_page_and_no_network(world, tmp_path):
    assert explore() == 0
    page = (tmp_path / "map.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "innerHTML" not in page


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
def test_the_same_input_gives_the_same_page(world, tmp_path, method):
    if method == "umap":
        pytest.importorskip("umap", reason="UMAP is an extra: semisupcon[umap]")
    pages = []
    for _ in range(2):
        assert explore("--method", method, "--clusters", 3, "--overwrite") == 0
        pages.append((tmp_path / "map.html").read_bytes())
    assert pages[0] == pages[1]


def test_the_best_feasible_method_is_taken(monkeypatch):
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    assert projection.default_method(100) == ("tsne", "")
    assert projection.default_method(4) == ("pca", "")
    method, told = projection.default_method(50_000)
    assert method == "pca"
    assert "umap-learn is not installed" in told
    monkeypatch.setattr(projection, "find_spec", lambda name: object())
    assert projection.default_method(50_000) == ("umap", "")


def test_umap_without_its_package_is_named(world, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "umap", None)
    assert explore("--method", "umap") == 2
    assert "pip install umap-learn" in capsys.readouterr().err


def test_of_more_clips_evenly_spaced_ones_are_taken(world, tmp_path, monkeypatch, capsys):
    names, _ = world
    assert explore("--most", 4) == 0
    header, _, _ = read_page(tmp_path / "map.html")
    assert [header["folder"] + n for n in header["names"]] == [names[i] for i in (0, 9, 19, 29)]
    monkeypatch.setattr("semisupcon.retrieval.map.clips.MOST", 20)
    assert explore(out="b.html") == 2
    assert "Give --most 10" in capsys.readouterr().err


MISTAKES = [
    (["--method", "umpa"], "--method takes umap, tsne or pca, got 'umpa'"),
    (["--clusters", "1"], "--clusters must lie between 2"),
    (["--clusters", "31"], "--clusters 31 is more than the number of clips, 30"),
    (["--previews", "0"], "--previews must be above 0"),
    (["--neighbours", "0"], "--neighbours must lie between"),
    (["--labels", "absent.csv"], "--labels absent.csv cannot be read"),
    (["--labels", "bad.csv"], "needs the columns file and label; it has: a, b"),
    (["--labels", "other.csv"], "names none of the 30 clips"),
    (["--labels", "times.csv"], "times.csv, line 2"),
    (["--audio_root", "absent"], "--audio_root is not a folder"),
    (["--audio_root", "empty", "--previews", "1"], "none of the files is there"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[" ".join(w) for w, _ in MISTAKES])
def test_mistakes(world, tmp_path, capsys, words, said):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text("file,label\nzzz.wav,2\n")
    (tmp_path / "times.csv").write_text("file,label,start\nin/a/00.wav,2,soon\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    try:
        status = explore(*words)
    except SystemExit as end:
        status = end.code
    err = capsys.readouterr().err
    assert status == 2
    assert said in err
    assert len(err.splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as the output"),
        (b"x" * 300, "cannot be read as the output"),
        (np.array([{}], object), "cannot be read as the output"),
        (np.zeros((4, 3), int), "it holds int64"),
        (np.zeros((4, 3)), "do not match"),
        (np.full((30, 3), np.nan), "NaN or infinite"),
        (np.zeros((0, 3)), "do not match"),
    ],
)
@pytest.mark.parametrize("name", ["e.npy"])
def test_embeddings_that_are_none(world, tmp_path, capsys, name, content, said):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    assert explore() == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 3
    assert not (tmp_path / "map.html").exists()


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.json", "nothing", "folder"])
def test_sources_that_are_none(world, tmp_path, capsys, name):
    (tmp_path / "folder").mkdir()
    if name not in ("nothing", "folder"):
        (tmp_path / name).write_text(json.dumps({"a": 1}))
    assert explore(source=name) == 2
    assert len(capsys.readouterr().err.splitlines()) <= 3


def test_equal_and_few_embeddings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, list("abcdefg"), np.ones((7, 3)))
    assert explore("--clusters", 2) == 0
    written(tmp_path, list("abc"), np.zeros((3, 1)))
    assert explore("--overwrite") == 0
    _, arrays, _ = read_page(tmp_path / "map.html")
    assert len(arrays["x"]) == 3
    written(tmp_path, list("ab"), np.ones((2, 3)))
    assert explore(out="c.html") == 2
    assert "at least 3 clips" in capsys.readouterr().err


def test_a_page_is_replaced_only_when_asked(world, tmp_path, capsys):
    (tmp_path / "map.html").write_text("mine")
    assert explore() == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "map.html").read_text() == "mine"
