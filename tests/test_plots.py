"""Figures are drawn without a window, say what they show, and are written whole: as files, and as
SVG text for a page."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from semisupcon.errors import ConfigError
from semisupcon.plots import (
    class_style,
    draw_confusion,
    draw_lines,
    draw_matrix,
    draw_scatter,
    draw_spectrograms,
    save_figure,
    svg_text,
)

draw = np.random.default_rng(0)
EVIL = "<script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


def titles(svg: str) -> list[str]:
    return [title.text for title in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def texts(svg: str) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def figures():
    """One of each kind, the same at every call."""
    draw = np.random.default_rng(0)
    names = [f"clip {i}.wav" for i in range(12)]
    bands = {"a": [(1.0, 0.5, 1.5), (2.0, 1.0, 3.0)], "b": [(1.0, 0.0, 2.0)]}
    yield draw_matrix(np.eye(4), "targets")
    yield draw_confusion(np.eye(3, dtype=int), ["a", "b", "c"], "confusion")
    yield draw_confusion(np.eye(30, dtype=int), [f"class {i}" for i in range(30)])
    yield draw_scatter(draw.random((12, 2)), ["a", "b", "c"] * 4, "map", "class", names, "x", "y")
    yield draw_scatter(draw.random((12, 2)), np.linspace(0, 1, 12), names=names)
    yield draw_lines(["1", "2"], bands, "lines", "epoch", "loss")
    yield draw_spectrograms({"one": (np.zeros((4, 5)), 1.0), "two": (np.zeros((4, 5)), 1.0)}, 8000)


@pytest.mark.parametrize(
    ("matrix", "limits"),
    [
        (np.eye(4), (0, 1)),
        (np.array([[1, -0.3], [-0.3, 1]]), (-1, 1)),
        (np.array([[0, 7.0], [3, np.nan]]), (0, 7)),
    ],
)
def test_matrix_colours_span_what_the_values_mean(matrix, limits):
    image = draw_matrix(matrix, "targets").axes[0].images[0]
    assert image.get_clim() == limits


def test_confusion_numbers_are_counts_and_colours_shares():
    axes = draw_confusion(np.array([[8, 2], [0, 5]]), ["dog", "rain"]).axes[0]
    opacity = axes.collections[0].get_facecolor()[:, 3]
    assert opacity == pytest.approx([0.1 + 0.9 * share for share in (0.8, 0.2, 1)])
    assert [t.get_text() for t in axes.texts] == ["8", "2", "5"]


def test_confusion_of_fifty_classes_names_each_and_its_share():
    axes = draw_confusion(np.eye(50, dtype=int) * 4, [f"class {i}" for i in range(50)]).axes[0]
    assert len(axes.get_xticklabels()) == 50
    assert [t.get_text() for t in axes.texts] == ["100%"] * 50


def test_scatter_draws_every_point_in_the_style_of_its_class():
    labels = [str(i % 12) for i in range(60)]
    axes = draw_scatter(draw.random((60, 2)), labels).axes[0]
    assert sum(len(c.get_offsets()) for c in axes.collections) == 60
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [str(i) for i in range(12)]
    assert len({class_style(i, 60) for i in range(60)}) == 60


def test_scatter_of_a_value_has_a_colour_bar():
    assert len(draw_scatter(draw.random((9, 2)), np.linspace(0, 1, 9)).axes) == 2


def test_legend_of_hundreds_of_classes_says_how_many_it_shows():
    legend = (
        draw_scatter(
            draw.random((300, 2)), [f"class {i}" for i in range(300)], label_title="species"
        )
        .axes[0]
        .get_legend()
    )
    assert len(legend.get_texts()) == 80
    assert legend.get_title().get_text() == "species (80 of 300)"


def test_lines_with_and_without_bands():
    axes = draw_lines(
        ["1", "2", "3"], {"train": [3, 2, 1], "val": [3, float("nan")]}, x="epoch", y="loss"
    ).axes[0]
    assert (len(axes.lines), len(axes.collections), axes.get_xlabel(), axes.get_ylabel()) == (
        2,
        0,
        "epoch",
        "loss",
    )
    lines = {"ours": [(0.9, 0.8, 1), (0.7, 0.6, 0.8)], "random": [(0.5, 0.4, 0.6), (0.4, 0.3, 0.5)]}
    axes = draw_lines(["clean", "reverb"], lines).axes[0]
    assert (len(axes.lines), len(axes.collections)) == (2, 2)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "reverb"]


def test_whole_numbers_are_placed_by_value_and_marked_by_whole_numbers():
    axes = draw_lines([str(i + 1) for i in range(60)], {"train": np.zeros(60)}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == list(range(1, 61))
    assert all(
        tick == int(tick) for tick in draw_lines(["1"], {"train": [0.5]}).axes[0].get_xticks()
    )
    with pytest.raises(ValueError, match="at least one position"):
        draw_lines([], {})


@pytest.mark.parametrize(("figure", "again"), zip(figures(), figures(), strict=True))
def test_every_figure_as_svg(figure, again):
    text = svg_text(figure)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox").startswith("0 0 ")
    assert not {"width", "height"} & set(root.attrib)
    assert "#000000" not in text  # Black is the text colour of the page.
    assert "currentColor" in text
    assert not re.search(r"<metadata|<style|<a |xlink|DOCTYPE", text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:href=\"|url\()#([\w-]+)", text)) == set(ids)
    assert svg_text(again) == text


def test_svg_is_the_same_in_another_process():
    code = (
        "from semisupcon.plots import *; import sys;"
        "sys.stdout.buffer.write(svg_text(draw_scatter([[0, 1], [1, 0]], ['a', 'é'], names=['x', "
        "'y'])).encode())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, timeout=120
        ).stdout
        for _ in range(2)
    ]
    assert (
        said[0]
        == said[1]
        == svg_text(draw_scatter([[0, 1], [1, 0]], ["a", "é"], names=["x", "y"])).encode()
    )


def test_ids_of_two_figures_differ():
    figures = [draw_scatter(draw.random((4, 2)), ["a", "b"] * 2) for _ in range(2)]
    found = [
        set(re.findall(r'id="([\w-]+)"', svg_text(*of)))
        for of in ((figures[0],), (figures[1],), (figures[1], "another place"))
    ]
    assert len(set.union(*found)) == sum(map(len, found)) > 0


def test_points_name_their_clips():
    names, labels = [f"{i}.wav" for i in range(5)], ["dog", "dog", "rain", "cat", "cat"]
    assert sorted(
        titles(svg_text(draw_scatter(draw.random((5, 2)), labels, names=names)))
    ) == sorted(f"{name}: {label}" for name, label in zip(names, labels, strict=True))
    assert titles(
        svg_text(draw_scatter(draw.random((2, 2)), np.array([0.25, 1.0]), names=names[:2]))
    ) == ["0.wav: 0.25", "1.wav: 1"]
    assert titles(svg_text(draw_scatter(draw.random((5, 2)), labels))) == []


@pytest.mark.parametrize("classes", [3, 30])
def test_cells_say_what_was_taken_for_what(classes):
    counts = np.zeros((classes, classes), dtype=int)
    counts[0, :2] = 3, 1
    said = titles(svg_text(draw_confusion(counts, [f"c{i}" for i in range(classes)])))
    assert set(said) == {"c0 predicted as c0: 3 of 4", "c0 predicted as c1: 1 of 4"}


def test_lines_and_cut_names_have_titles():
    long = "an encoder whose name is longer than any legend can hold"
    said = titles(svg_text(draw_lines(["1", "2"], {"a": [1, 2], long: [2, 1]})))
    assert said == [
        "a",
        "a",
        long,
        long,
        long,
    ]  # Line and markers of each, and the entry of the legend that was cut.


@pytest.mark.parametrize(
    "name", [EVIL, '"><img src=x onerror=alert(1)>', "a & b", "$x^2$", "_hidden", "$"]
)
def test_names_are_text(name):
    points = draw_scatter(draw.random((4, 2)), [name, "b"] * 2, names=[name] * 4, label_title=name)
    cells = draw_confusion(np.eye(2, dtype=int), [name, "b"], name)
    lines = draw_lines([name, "b"], {name: [1, 2], "b": [2, 1]}, name)
    for svg, title in (
        (svg_text(points), f"{name}: b"),
        (svg_text(cells), f"{name} predicted as {name}: 1 of 1"),
        (svg_text(lines), name),
    ):
        assert "<script" not in svg
        assert "<img" not in svg
        assert title in titles(svg)
        shown = " ".join(texts(svg))
        assert name[:20] in shown


def test_control_characters_and_lone_surrogates_do_not_break_the_picture():
    assert titles(
        svg_text(draw_scatter([[0, 0], [1, 1]], ["a\x00b\n", "c\udce9"], names=["x\x1b", "y"]))
    ) == ["x : a b ", "y: c "]


def test_files_are_written_and_no_window_is_opened(tmp_path):
    path = save_figure(draw_matrix(np.eye(3)), tmp_path / "new" / "matrix.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["matrix.png"]
    assert (
        save_figure(draw_lines(["1"], {"a": [1]}), tmp_path / "new" / "lines.svg")
        .read_text()
        .startswith("<svg ")
    )
    assert plt.get_fignums() == []


def test_a_figure_that_fails_leaves_no_file(tmp_path, monkeypatch):
    figure = draw_matrix(np.eye(3))
    monkeypatch.setattr(figure, "savefig", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_figure(figure, tmp_path / "matrix.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="pip install matplotlib"):
        draw_matrix(np.eye(3))
