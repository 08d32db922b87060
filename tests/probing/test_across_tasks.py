"""Encoders over several tasks: mean ranks, records, Friedman's test, the critical difference."""

import csv

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from semisupcon.commands.probe import main
from semisupcon.plots import draw_critical, svg_text
from semisupcon.probing.report.across import across_section, sentence
from semisupcon.probing.scores.across import across_tasks, critical_difference, not_different
from semisupcon.probing.scores.summary import Comparison, Line

# Demsar (2006), table 5a: q at 0.05 for 2 to 10 classifiers.
QUANTILES = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
# Demsar (2006), table 6: C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets; AUC.
TABLE = """.763 .768 .771 .798 .599 .591 .590 .569 .954 .971 .968 .967 .628 .661 .654 .657 .882 .888
.886 .898 .936 .931 .916 .931 .661 .668 .609 .685 .583 .583 .563 .625 .775 .838 .866 .875 1 1 1 1
.940 .962 .965 .962 .619 .666 .614 .669 .972 .981 .9751 .975 .957 .978 .946 .970"""
NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")


def line(task, who, value, metric="roc_auc", method="linear"):
    return Line(task, method, metric, who, False, value, value, value, np.nan, 0.5, 10, 1)


def demsar():
    values = np.array(TABLE.split(), float).reshape(14, 4)
    return values, [
        line(f"t{i:02}", who, value)
        for i, row in enumerate(values)
        for who, value in zip(NAMES, row, strict=True)
    ]


@pytest.mark.parametrize(("k", "q"), list(enumerate(QUANTILES, 2)))
def test_the_critical_difference_is_that_of_the_published_table(k, q):
    assert critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / 84), abs=1.5e-3)


def test_the_published_example():
    values, lines = demsar()
    (found,) = across_tasks(lines, [])
    ranks = dict(zip(found.encoders, found.ranks, strict=True))
    published = {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}
    assert ranks == pytest.approx(published, abs=1e-3)
    assert found.encoders[0] == "C4.5+m+cf"
    assert found.critical == pytest.approx(1.25, abs=0.01)
    assert found.p == pytest.approx(friedmanchisquare(*values.T).pvalue)
    assert not_different(found.ranks, found.critical)


def test_lower_is_better_for_errors_and_incomplete_tasks_are_left_out():
    lines = [line("a", who, v, "median_error x") for who, v in zip("xyz", (1, 2, 3), strict=True)]
    lines += [line("b", who, v) for who, v in zip("xyz", (0.9, 0.8, 0.7), strict=True)]
    lines += [line("c", "x", 0.9), line("c", "y", 0.8), line("b", "w", 0.99)]
    (found,) = across_tasks(lines, [])
    assert found.encoders == ("x", "y", "z")
    assert found.ranks == (1, 2, 3)
    assert found.tasks == ("a", "b")
    assert found.left_out == ("w", "c")
    assert "Left out" in sentence(found)


def test_wins_and_losses_are_those_of_the_paired_intervals():
    lines = [line(task, who, v) for task in "ab" for who, v in (("x", 0.9), ("y", 0.8))]
    pairs = [
        Comparison("a", "linear", "roc_auc", "x", "y", 0.1, 0.05, 0.15, "better"),
        Comparison("a", "linear", "roc_auc", "y", "x", -0.1, -0.15, -0.05, "worse"),
        Comparison("b", "linear", "roc_auc", "x", "y", 0.1, -0.05, 0.15, "same"),
        Comparison("b", "linear", "roc_auc", "y", "x", -0.1, -0.15, 0.05, "same"),
        Comparison("b", "linear", "accuracy", "x", "y", 0.1, 0.05, 0.15, "better"),
    ]
    (found,) = across_tasks(lines, pairs)
    assert found.record == ((1, 1, 0), (0, 1, 1))
    assert "Friedman's test needs three encoders" in sentence(found)


def test_groups_that_are_not_different():
    assert not_different([1, 1.5, 2.4, 4], 1) == [(0, 1), (1, 2)]
    assert not_different([1, 3, 5], 1) == []
    assert not_different([1, 1.2, 1.4], 1) == [(0, 2)]


def test_the_diagram_names_every_encoder_and_its_rank():
    text = svg_text(draw_critical(NAMES, (1.9, 2.0, 2.9, 3.1), 1.25, [(0, 3)]))
    for told in (*NAMES, "1.90", "3.10", "critical difference 1.25"):
        assert told in text


def test_too_few_results_are_a_sentence():
    section = across_section([line("a", "x", 0.9), line("a", "y", 0.8)], [])
    assert "from two encoders and two tasks" in section.markdown()
    assert not section.told


def test_through_the_command(tones, exported, cache, tmp_path, capsys):
    status = main(
        [
            *("--tasks=[pitch=csv,loud=csv]", f"--data_dirs.pitch={tones}"),
            *(f"--data_dirs.loud={tones}", "--task_kwargs.loud.label=loud"),
            *(f"--checkpoints=[tiny={exported},random,mfcc]", "--methods=[knn]"),
            *("--resamples=100", "--projection=none", f"--out={tmp_path}", f"--cache_dir={cache}"),
        ]
    )
    assert status == 0
    told = capsys.readouterr().out
    assert "Across tasks:" in told
    assert "knn, 2 tasks:" in told
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert "critical difference" in page
    rows = [r for r in text.splitlines() if r.startswith("| knn |")]
    assert len(rows) == 3
    ranks = [float(row.split("|")[3]) for row in rows]
    assert sum(ranks) == pytest.approx(6)
    with (tmp_path / "summary.csv").open(newline="") as file:
        assert {row["checkpoint"] for row in csv.DictReader(file)} == {"tiny", "random", "mfcc"}
