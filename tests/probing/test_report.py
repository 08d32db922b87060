"""The HTML report: pictures with titles, tables that scroll, a dark mode, its origin at the bottom,
and names that stay text."""

import json
import re
import sys
from dataclasses import fields
from html.parser import HTMLParser

import numpy as np
import pytest

from semisupcon.commands.probe import main
from semisupcon.probing.report import write_report
from semisupcon.probing.report.html import document, figure, table
from semisupcon.probing.scores.results import Results, Row, write_predictions
from semisupcon.probing.studies.maps import Map, save_map

EVIL = "<script>alert(1)</script>"
CLASSES = (EVIL, 'b"&', "_c")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two probes of 12 clips with predictions, learning curves, a map each, and a robustness curve;
    all names are hostile."""
    out = tmp_path_factory.mktemp("report")
    (out / "curves").mkdir()
    return out


@pytest.fixture(scope="module")
def rows(out):
    draw, targets = np.random.default_rng(0), np.eye(3)[np.arange(12) % 3]
    paths, rows, robust = [f"{EVIL}/{i}.wav" for i in range(12)], [], []
    for k, who in enumerate(("mine", EVIL)):
        write_predictions(
            out / f"predictions/{k}.csv",
            paths,
            targets,
            targets + draw.random((12, 3)),
            CLASSES,
            "multiclass",
        )
        curve = [{"train_loss": 1 / (i + 1)} | ({"val_loss": 1.0} if k else {}) for i in range(20)]
        (out / f"curves/{k}.json").write_text(json.dumps(curve))
        points = draw.random((12, 2)).tolist()
        save_map(
            Map(EVIL, who, "tsne", EVIL, paths, [CLASSES[i % 3] for i in range(12)], points),
            out / f"maps/{k}.json",
        )
        one = {"checkpoint": who, "predictions": f"predictions/{k}.csv", "identity": str(k)}
        rows.append(row(**one))
        robust += [
            row(
                **one
                | {
                    "method": f"linear, severity {s}",
                    "detail": f"severity/{s}",
                    "value": 0.9 - 0.1 * s,
                }
            )
            for s in range(3)
        ]
    write_results(out / "robustness.csv", robust)
    return rows


def row(**changed) -> Row:
    plain = {f.name: "" for f in fields(Row)} | dict.fromkeys(("fold", "seed", "seconds"), 0)
    plain |= {
        "task": EVIL,
        "kind": "multiclass",
        "checkpoint": "mine",
        "source": "file",
        "representation": "embedding",
    }
    plain |= {
        "method": "linear",
        "aggregation": "embedding",
        "train_share": 1.0,
        "n_train": 10,
        "n_test": 12,
    }
    plain |= {"metric": "accuracy", "value": 0.9, "low": 0.8, "high": 1.0, "chance": 0.3}
    return Row(**plain | changed)


def write_results(file, rows):
    results = Results(file)
    results.rows = rows
    results.put([])


@pytest.fixture(scope="module")
def page(out, rows):
    write_report(rows, out, 20, "probe.py --tasks '[<a>]'", "2026-01-02 03:04 +0000")
    return (out / "report.html").read_text()


class Elements(HTMLParser):
    """Tags with their attributes, and the text of every title of a picture."""

    def __init__(self, page: str):
        super().__init__()
        self.found, self.titles, self.depth = [], [], 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.depth += tag == "svg"
        if tag == "title" and self.depth:
            self.titles.append("")

    def handle_endtag(self, tag):
        self.depth -= tag == "svg"

    def handle_data(self, data):
        if self.depth and self.found[-1][0] == "title":
            self.titles[-1] += data


def test_names_stay_text(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_points_cells_and_lines_have_titles(page):
    titles = Elements(page).titles
    assert {f"{EVIL}/{i}.wav: {CLASSES[i % 3]}" for i in range(12)} <= set(titles)
    assert any(
        re.fullmatch(rf"{re.escape(EVIL)} predicted as .*: \d of 4", title) for title in titles
    )
    assert {"mine, training", f"{EVIL}, training", f"{EVIL}, validation"} <= set(titles)
    assert "mine, validation" not in titles  # It has no validation loss.


def test_pictures_shrink_and_follow_the_colours_of_the_page(page):
    elements = Elements(page).found
    pictures = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(pictures) == 6  # Two confusion matrices, two maps, losses, robustness.
    assert all(
        "viewbox" in a and not {"width", "height"} & set(a) and a["fill"] == "currentColor"
        for a in pictures
    )
    assert [a["style"] for tag, a in elements if tag == "figure"] == [
        f"--w:{float(a['viewbox'].split()[2]) * 1.15:.0f}px" for a in pictures
    ]
    assert "@media(prefers-color-scheme:dark)" in page
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_every_chart_has_axis_titles(page):
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        shown = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
        assert any(
            pair <= shown
            for pair in (
                {"true", "predicted"},
                {"epoch", "loss"},
                {"t-SNE 1", "t-SNE 2"},
                {"severity", "accuracy"},
            )
        )


def test_the_bottom_says_where_the_page_is_from(page, out, rows):
    footer = page[page.index("<footer>") :]
    assert "Made on 2026-01-02 03:04 +0000." in footer
    assert "<code>probe.py --tasks &#x27;[&lt;a&gt;]&#x27;</code>" in footer
    assert re.search(r"Python 3\.\d+\.\d+, .*torch \d.*matplotlib \d", footer)


def test_the_same_results_give_the_same_page(page, out, rows):
    write_report(rows, out, 20, "probe.py --tasks '[<a>]'", "2026-01-02 03:04 +0000")
    assert (out / "report.html").read_text() == page


def test_a_representation_without_curves(out, rows):
    write_report([row(representation="projection", predictions="predictions/0.csv")], out, 20)
    assert "loss by epoch" not in (out / "report.html").read_text()


def test_tables_scroll_and_the_page_does_not(page):
    assert page.count("<table>") == page.count('<div class="scroll"><table>') == 4
    assert table(("a", "b"), [(EVIL, ""), ("+0.1", "")]).count("<th>") == 1
    assert "<footer>" not in document("title", "")
    assert '"--w:115px"' in figure('<svg viewBox="0 0 100 50"></svg>', "caption")


def test_without_matplotlib_nothing_is_begun(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert (
        main(
            [
                "--tasks",
                "synthetic_instrument",
                "--checkpoints",
                "nowhere",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 2
    )
    assert (
        capsys.readouterr().err
        == "error: Figures and reports need matplotlib. Install it: pip install matplotlib\n"
    )
    assert not (tmp_path / "out").exists()
