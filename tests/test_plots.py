"""Figures are drawn without a window, say what they show, and are written whole."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from semisupcon.plots import class_style, draw_confusion, draw_matrix, draw_robustness, draw_scatter, save_figure

draw = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("matrix", "limits"),
    [(np.eye(4), (0, 1)), (np.array([[1, -0.3], [-0.3, 1]]), (-1, 1)), (np.array([[0, 7.0], [3, np.nan]]), (0, 7))],
)
def test_matrix_colours_span_what_the_values_mean(matrix, limits):
    image = draw_matrix(matrix, "targets").axes[0].images[0]
    assert image.get_clim() == limits


def test_confusion_numbers_are_counts_and_colours_shares():
    counts = np.array([[8, 2], [0, 5]])
    axes = draw_confusion(counts, ["dog", "rain"]).axes[0]
    assert axes.images[0].get_array().data.tolist() == [[0.8, 0.2], [0, 1]]
    assert sorted(t.get_text() for t in axes.texts) == ["2", "5", "8"]


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


def test_robustness():
    lines = {"ours": [(0.9, 0.8, 1), (0.7, 0.6, 0.8)], "random": [(0.5, 0.4, 0.6), (0.4, 0.3, 0.5)]}
    assert len(draw_robustness(["0", "1"], lines).axes[0].lines) == 2


def test_files_are_written_and_no_window_is_opened(tmp_path):
    path = save_figure(draw_matrix(np.eye(3)), tmp_path / "new" / "matrix.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["matrix.png"]
    assert plt.get_fignums() == []
