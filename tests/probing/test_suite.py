"""What a suite leaves behind: results that continue, tables with verdicts, a page that needs
nothing else, studies beside the probes."""

import csv
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from semisupcon.commands.probe import main
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.by_name import METHODS, find_method
from semisupcon.probing.report.section import Section
from semisupcon.probing.scores.results import Results, read_predictions, write_predictions
from semisupcon.probing.studies.maps import load_map, project
from semisupcon.probing.studies.robustness import BASE, Corruption, corrupt_with, corruptions


@pytest.fixture(scope="module")
def out(tones, exported, tmp_path_factory):
    """A suite of two encoders, four methods and two seeds, with a robustness curve and an
    invariance table."""
    folder = tmp_path_factory.mktemp("suite")
    assert main(arguments(tones, exported, folder)) == 0
    return folder


def arguments(tones, exported, folder, *extra):
    where = [
        f"--data_dirs.pitch={tones}",
        f"--out={folder / 'out'}",
        f"--cache_dir={folder / 'cache'}",
        f"--checkpoints=[ssl={exported},random]",
    ]
    what = [
        "--tasks=pitch=csv",
        "--methods=linear,knn,prototypes,few_shot",
        "--seeds=[0,1]",
        "--way=3",
        "--episodes=300",
        "--resamples=100",
    ]
    return [
        *where,
        *what,
        "--shares=[0.1,1.0]",
        "--robustness=severity",
        "--invariance=[gain,delay]",
        *extra,
    ]


def read(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_probe_stands_in_the_results(out):
    rows = [r for r in read(out / "out" / "results.csv") if r["metric"] == "accuracy"]
    methods = {(r["checkpoint"], r["method"], r["train_share"], r["seed"]) for r in rows}
    assert {s for c, m, _, s in methods if (c, m) == ("ssl", "linear")} == {"0", "1"}
    assert {s for c, m, _, s in methods if (c, m) == ("ssl", "knn")} == {"0"}
    assert {s for c, m, _, s in methods if (c, m) == ("random", "knn")} == {"0", "1"}
    assert {share for c, m, share, _ in methods if m == "prototypes"} == {"0.1", "1"}
    few = [r for r in rows if r["method"].startswith("few_shot")]
    assert {r["n_test"] for r in few} == {"300"}
    assert all(float(r["chance"]) == pytest.approx(1 / 3, abs=1e-5) for r in few)


def test_lines_and_verdicts(out):
    lines, comparisons = read(out / "out" / "summary.csv"), read(out / "out" / "comparisons.csv")
    linear = {
        r["checkpoint"]: r for r in lines if r["method"] == "linear" and r["metric"] == "accuracy"
    }
    rows = [
        float(r["value"])
        for r in read(out / "out" / "results.csv")
        if (r["checkpoint"], r["method"], r["metric"]) == ("ssl", "linear", "accuracy")
    ]
    assert float(linear["ssl"]["value"]) == pytest.approx(np.mean(rows), abs=1e-5)
    assert float(linear["ssl"]["spread"]) == pytest.approx(np.std(rows, ddof=1), abs=1e-5)
    assert linear["random"]["untrained"] == "True"
    assert {c["verdict"] for c in comparisons} <= {"better", "same", "worse"}
    for c in comparisons:
        (back,) = [
            d
            for d in comparisons
            if (d["method"], d["metric"], d["ours"], d["theirs"])
            == (c["method"], c["metric"], c["theirs"], c["ours"])
        ]
        assert float(back["difference"]) == pytest.approx(-float(c["difference"]))
        assert {c["verdict"], back["verdict"]} in ({"same"}, {"better", "worse"})


def test_a_stopped_suite_continues_where_it_was(out, tones, exported, monkeypatch):
    file = out / "out" / "results.csv"
    before, untouched = Results(file).rows, file.read_bytes()
    results = Results(file)
    lost = [r for r in results.rows if r.method == "knn" and r.checkpoint == "ssl"]
    results.rows = [r for r in results.rows if r not in lost]
    results.put([])
    ran = []
    for method in map(find_method, METHODS):

        def counted(self, case, run=type(method).run):
            ran.append((self.name, case.seed))
            return run(self, case)

        monkeypatch.setattr(type(method), "run", counted)
    assert main(arguments(tones, exported, out)) == 0
    assert ran == [("knn", 0)]
    key = lambda r: (r.unit(), r.metric)  # noqa: E731
    assert {key(r): r.value for r in Results(file).rows} == {key(r): r.value for r in before}
    file.write_bytes(untouched)


def test_the_page_needs_nothing_else_and_names_every_clip(out):
    text = (out / "out" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!#|data:image/png;base64,)|@import|url\((?!#)', text)

    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.titles = [], []

        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            if self.open and self.open[-1] == "title":
                self.titles.append(data)

    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    tested = {
        r[0]
        for r in csv.reader(
            (out / "out" / next(r for r in read(out / "out" / "results.csv"))["predictions"]).open()
        )
    } - {"path"}
    assert all(any(t.startswith(f"{name}: ") for t in checker.titles) for name in tested)
    assert any("predicted as" in t for t in checker.titles)
    assert "<code>probe.py --data_dirs.pitch=" in text
    for heading in ("Robustness", "Invariance", "pitch"):
        assert f"{heading}</h2>" in text


def test_markdown_table_says_what_the_terminal_says(out):
    text = (out / "out" / "report.md").read_text().splitlines()
    assert len([line for line in text if line.startswith("| pitch | linear |")]) == 2


def test_markdown_describes_every_encoder(out):
    text = (out / "out" / "report.md").read_text()
    (header, _, *rows) = text.partition("## Encoders\n\n")[2].splitlines()
    names = [cell.strip() for cell in header.strip("|").split("|")]
    found = [
        dict(zip(names, (c.strip() for c in r.strip("|").split("|")), strict=True)) for r in rows
    ]
    assert {row["encoder"] for row in found} >= {"ssl", "random"}
    assert {row["sample_rate"] for row in found} == {"8000"}
    assert all(row["layer"] and row["pooling"] and row["input"] for row in found)


def test_cells_of_markdown_tables_stay_in_their_place():
    section = Section("T", "", tables=[(["a", "b"], [["x | y", "two\nlines"]])])
    assert "| x \\| y | two lines |" in section.markdown()


def test_maps_are_of_the_test_clips(out):
    found = load_map(out / "out" / "maps" / "pitch-ssl-embedding-tsne.json")
    assert len(found.paths) == len(set(found.paths)) == len(found.points) == 18
    assert set(found.labels) == {"low", "middle", "high"}


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_projections_keep_clusters_apart(method):
    if method == "umap":
        pytest.importorskip("umap", reason="the extra 'umap' is not installed")
    draw = np.random.default_rng(0)
    centres = np.eye(3)[np.arange(60) % 3] * 10
    points = project(
        centres @ draw.standard_normal((3, 8)) + 0.1 * draw.standard_normal((60, 8)), method
    )
    means = np.stack([points[c::3].mean(axis=0) for c in range(3)])
    within = max(np.linalg.norm(points[c::3] - means[c], axis=1).mean() for c in range(3))
    assert (
        min(np.linalg.norm(means[a] - means[b]) for a, b in [(0, 1), (0, 2), (1, 2)]) > 2 * within
    )


def test_a_projection_is_that_of_seed_0():
    embeddings = np.random.default_rng(0).standard_normal((12, 4))
    assert np.array_equal(project(embeddings), project(embeddings, seed=0))
    assert not np.array_equal(project(embeddings), project(embeddings, seed=1))


def test_robustness_curves_start_clean(out):
    rows = [r for r in read(out / "out" / "robustness.csv") if r["metric"] == "accuracy"]
    clean = {
        r["checkpoint"]: r["value"]
        for r in rows
        if r["detail"] == "severity/0" and r["method"].startswith("linear")
    }
    linear = {
        r["checkpoint"]: r["value"]
        for r in read(out / "out" / "results.csv")
        if (r["metric"], r["method"], r["seed"]) == ("accuracy", "linear", "0")
    }
    assert clean == linear
    assert {r["detail"] for r in rows} == {f"severity/{s}" for s in range(6)}
    assert {r["n_test"] for r in rows} == {"18"}


def test_every_segment_is_corrupted_and_always_the_same_way():
    segments = np.random.default_rng(0).standard_normal((20, 4000)).astype(np.float32) * 0.1
    corrupt = corrupt_with(Corruption("severity", "1", ("gain", "polarity_inversion"), 1.0), 8000)
    once, again, other = (
        corrupt(segments, "a.wav"),
        corrupt(segments, "a.wav"),
        corrupt(segments, "b.wav"),
    )
    assert (once != segments).any(axis=1).all()
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    in_pieces = np.concatenate(
        [corrupt(segments[:7], "a.wav", 0), corrupt(segments[7:], "a.wav", 7)]
    )
    assert np.array_equal(once, in_pieces)
    assert np.array_equal(
        corrupt_with(Corruption("severity", "0", BASE, 0.0), 8000)(segments, "a.wav"), segments
    )


def test_families_of_corruptions_grow():
    tiers = corruptions(["tiers"])
    assert [len(t.operators) for t in tiers] == [6, 7, 8, 10, 11, 13, 15]
    assert all(set(a.operators) < set(b.operators) for a, b in pairwise(tiers))
    assert [c.position for c in corruptions(["severity"])] == list("012345")


def test_a_saved_head_scores_another_table(out, tones, exported, tmp_path, capsys):
    row = next(
        r
        for r in read(out / "out" / "results.csv")
        if (r["checkpoint"], r["method"], r["metric"]) == ("ssl", "linear", "accuracy")
    )
    table = tmp_path / "only_test.csv"
    lines = (tones / "labels.csv").read_text().splitlines()
    table.write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if ",test," in line)]) + "\n"
    )
    scored = tmp_path / "scored"
    call = [
        "--tasks=again=csv",
        f"--data_dirs.again={tones}",
        f"--task_kwargs.again.file={table}",
        f"--out={scored}",
        f"--cache_dir={out / 'cache'}",
    ]
    call += ["--test_only", f"--head={out / 'out' / row['head']}", "--resamples=20"]
    assert (
        main([*call, f"--checkpoints={exported}", "--task_kwargs.again.classes=[low,middle,high]"])
        == 0
    )
    (found,) = [r for r in read(scored / "results.csv") if r["metric"] == "accuracy"]
    assert found["value"] == row["value"]
    assert (
        read_predictions(scored / found["predictions"])[0]
        == read_predictions(out / "out" / row["predictions"])[0]
    )
    capsys.readouterr()
    assert main([*call, f"--checkpoints={exported}", "--task_kwargs.again.label=loud"]) == 2
    assert "The head predicts multiclass labels of 3 classes" in capsys.readouterr().err
    assert main([*call, "--checkpoints=semisupcon.encoders.SampleCNNSmall"]) == 2
    assert "another encoder" in capsys.readouterr().err


def test_invariance_of_every_operator(out):
    (file,) = (out / "out" / "invariance").glob("pitch-ssl-*.csv")
    rows = {r["operator"]: r for r in read(file)}
    assert set(rows) == {"gain", "delay"}
    assert all(0 < float(r["cosine"]) < 2 for r in rows.values())
    assert float(rows["gain"]["mahalanobis"]) < float(rows["gain"]["unrelated_mahalanobis"])


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--robustness=severty"], "Did you mean 'severity'"),
        (["--projection=pca"], "Unknown projection 'pca'"),
        (["--colour_by=mood"], "no column 'mood'"),
        (["--invariance=gian"], "gian"),
        (["--head=x"], "must be given together"),
        (["--way=9"], "9 are needed"),
        (["--checkpoints=[{0},x={0},x={0}]"], "Two checkpoints have the same name"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(tones, exported, tmp_path, capsys, extra, told):
    extra = [e.format(exported) for e in extra]
    assert main([*arguments(tones, exported, tmp_path), *extra]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) <= 3


def test_predictions_survive_their_file(tmp_path):
    draw = np.random.default_rng(0)
    for kind, targets in (
        ("multiclass", np.eye(3)[[0, 2, 1]]),
        ("multilabel", np.array([[1, 0, 1.0], [0, 0, 0], [1, 1, 1]])),
        ("regression", draw.random((3, 3))),
    ):
        scores = draw.random((3, 3))
        write_predictions(
            tmp_path / "p.csv",
            ["a,b.wav", 'c"d.wav', "é.wav"],
            targets,
            scores,
            ("x, y", "y", "z"),
            kind,
        )
        paths, again, read_scores, classes, _ = read_predictions(tmp_path / "p.csv")
        assert (paths, classes) == (["a,b.wav", 'c"d.wav', "é.wav"], ("x, y", "y", "z"))
        assert np.allclose(again, targets, atol=1e-5)
        assert np.allclose(read_scores, scores, atol=1e-5)


def test_a_representation_that_is_not_there_is_named(exported):
    with pytest.raises(ValueError, match="without heads"):
        load_subject(str(exported), "projection")
