"""The pages of evidence: intervals, tables, the check that finds a changed digit, and studies that
go on where they stopped."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.evidence import check, runner
from benchmarks.evidence.cell import COLUMNS, as_arguments, probe_arguments, read_rows
from benchmarks.evidence.questions import (
    QUESTIONS,
    SPEAKERS,
    fsdd_tags,
    fsdd_without,
    notes,
    resplit,
)
from benchmarks.evidence.study import Cell, Probe, Setting, Study, cells
from benchmarks.evidence.tables import (
    Column,
    Table,
    first_difference,
    mean_and_half,
    percent,
    rebuilt,
    render,
)
from semisupcon.probing.scores.results import Results, Row

TABLE = Table(
    "probe",
    ("ours", "never run"),
    (Column("digit", "digit"), Column("speaker", "speaker")),
    {"theirs": ("98.4", "n/a")},
    rank=True,
)
STUDY = Study(
    "toy",
    (Setting("ours", "clmr"), Setting("other", "cola", seeds=(0,))),
    (Probe(("digit",)),),
    {"data.data_dir": "fsdd"},
    (TABLE,),
)


def row(setting="ours", seed=0, task="digit", value=0.9, **more):
    """A row of a study's CSV."""
    about = {
        "study": "toy",
        "representation": "embedding",
        "method": "linear",
        "metric": "accuracy",
        "low": value - 0.01,
        "high": value + 0.01,
    }
    about |= {"chance": 0.1, "classes": 10, "steps": 400, "seconds": 60, "machine": "a processor"}
    return {"setting": setting, "seed": seed, "task": task, "value": value} | about | more


def test_the_interval_is_that_of_a_t_test():
    values = [0.9, 0.93, 0.87]
    mean, half = mean_and_half(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert half == pytest.approx(4.302653 * np.std(values, ddof=1) / math.sqrt(3))
    assert (percent(values), percent([0.5]), percent([])) == ("90.0 ± 7.5", "50.0", "")


def test_a_table_shows_means_chance_ranks_and_what_was_published():
    rows = [row(seed=s, value=v) for s, v in enumerate((0.9, 0.93, 0.87))] + [
        row(task="speaker", value=0.5, chance=1 / 6, classes=6)
    ]
    rows += [
        row("elsewhere", value=0.1),
        row(method="knn", value=0.2),
        row(representation="waveform", value=0.3),
    ]
    lines = render(TABLE, pd.DataFrame(rows)).splitlines()
    assert lines[0] == "|  | digit | speaker | mean rank |"
    assert lines[2:5] == [
        "| ours | 90.0 ± 7.5 | 50.0 | 1.0 |",
        "| chance (classes) | 10.0 (10) | 16.7 (6) |  |",
        "| published: theirs | 98.4 | n/a |  |",
    ]
    assert "mean over 3 seeds" in lines[6]
    assert "400 steps; 60 s of processor time a cell" in lines[6]


def test_a_mean_row_has_its_interval_over_the_other_rows():
    table = Table("probe", ("a", "b", "c", "never run"), (Column("digit", "digit"),), mean="all")
    text = render(
        table,
        pd.DataFrame(
            [row(name, value=value) for name, value in zip("abc", (0.9, 0.93, 0.87), strict=True)]
        ),
    )
    assert "| c | 87.0 |\n| all | 90.0 ± 7.5 |" in text


def test_ranks_are_averaged_over_columns_and_intervals_over_episodes_are_told():
    table = Table(
        "probe",
        ("a", "b"),
        (Column("x", "x", "few_shot 5-way"), Column("y", "y", "few_shot 5-way")),
        rank=True,
    )
    values = {("a", "x"): 0.9, ("a", "y"): 0.3, ("b", "x"): 0.8, ("b", "y"): 0.2}
    text = render(
        table,
        pd.DataFrame(
            [row(s, task=t, value=v, method="few_shot 5-way") for (s, t), v in values.items()]
        ),
    )
    assert "| a | 90.0 | 30.0 | 1.0 |" in text
    assert "| b | 80.0 | 20.0 | 2.0 |" in text
    assert "the interval is ± 1.0 at most" in text


LEARNING = "".join(
    f"<!-- evidence: {name} -->\n<!-- end of evidence -->\n"
    for name in ("learning.all", "baselines.values", "baselines.differences", "few_shot.all")
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page of one study with one table, and the CSV it is made of; checked by the returned
    function."""
    monkeypatch.setattr(check, "NAMES", ("toy",))
    monkeypatch.setattr(check, "load_study", lambda name: STUDY)
    (tmp_path / "results.md").write_text(
        "Words.\n\n<!-- evidence: toy.probe -->\n<!-- end of evidence -->\n\n"
        + LEARNING
        + "\nMore words.\n"
    )
    runner.put(tmp_path / "toy.csv", [row(seed=seed, value=0.9 + 0.01 * seed) for seed in range(3)])
    return lambda *more: check.main(
        [*more, "--page", str(tmp_path / "results.md"), "--figures", str(tmp_path)]
    )


def test_the_check_passes_what_it_wrote_and_fails_on_one_digit(page, tmp_path, capsys):
    assert page() == 1
    assert page("--write") == 0
    assert page() == 0
    file = tmp_path / "results.md"
    written = file.read_text()
    assert written.startswith("Words.\n\n<!--")
    assert written.endswith("-->\n\nMore words.\n")
    file.write_text(written.replace("91.0 ±", "91.1 ±"))
    capsys.readouterr()
    assert page() == 1
    said = capsys.readouterr().err
    assert "toy.probe" in said
    assert "91.1 ±" in said
    assert "91.0 ±" in said


def test_a_changed_csv_and_a_page_without_the_table_are_found(page, tmp_path):
    assert page("--write") == 0
    figures = tmp_path / "toy.csv"
    results = pd.read_csv(figures)
    results.assign(value=results["value"].where(results["seed"] != 2, 0.95)).to_csv(
        figures, index=False
    )
    assert page() == 1
    (tmp_path / "results.md").write_text("Words.\n")
    assert page() == 2


def test_a_page_may_not_name_a_table_twice():
    block = "<!-- evidence: a.b -->\n<!-- end of evidence -->\n"
    with pytest.raises(ValueError, match=r"a\.b"):
        rebuilt(block + block, {"a.b": "text\n"})
    page = rebuilt(block, {"a.b": "text\n"})
    assert first_difference(page, rebuilt(page, {"a.b": "text\n"})) is None
    assert "more" in first_difference(page, rebuilt(page, {"a.b": "text\nmore\n"}))


def test_the_page_of_the_project_is_what_its_csvs_say():
    assert check.main([]) == 0


def test_a_study_goes_on_where_it_stopped_and_survives_a_failing_cell(tmp_path, capsys):
    asked, file = [], tmp_path / "toy.csv"

    def work(cell):
        asked.append((cell.setting.name, cell.seed))
        if cell.setting.name == "other" and len(asked) < 4:
            raise SystemExit(2)
        return [row(cell.setting.name, cell.seed), row("untrained", cell.seed, steps=0)]

    todo = cells(STUDY, [0, 1], tmp_path, tmp_path)
    assert runner.run(todo, file, work=work) == 1
    assert "other, seed 0: FAILED" in capsys.readouterr().out
    assert asked == [("ours", 0), ("other", 0), ("ours", 1)]
    assert runner.done(file) >= {("ours", 0), ("ours", 1)}
    assert runner.run(todo, file, work=work) == 0
    assert asked[3:] == [("other", 0)]
    assert runner.run(todo, file, work=work) == 0
    assert len(asked) == 4
    assert pd.read_csv(file).columns.tolist() == COLUMNS


def test_settings_are_chosen_by_name_and_a_wrong_name_is_told(tmp_path):
    assert [(c.setting.name, c.seed) for c in cells(STUDY, [0, 1], tmp_path, tmp_path)] == [
        ("ours", 0),
        ("other", 0),
        ("ours", 1),
    ]
    assert [c.setting.name for c in cells(STUDY, [0], tmp_path, tmp_path, only=["other"])] == [
        "other"
    ]
    with pytest.raises(SystemExit, match="no setting othr"):
        cells(STUDY, [0], tmp_path, tmp_path, only=["othr"])


@pytest.mark.parametrize("name", check.NAMES)
def test_what_tables_and_quick_runs_name_exists(name):
    study = check.load_study(name)
    names = [s.name for s in study.settings]
    untrained = {s.untrained for s in study.settings if s.untrained}
    probes = [p for s in study.settings for p in (study.probes if s.probes is None else s.probes)]
    questions = {q for p in probes for q in p.questions}
    assert len(names) == len(set(names)) == len(set(names) - untrained)
    assert len({c.name for c in cells(study, [0], *[study.name] * 2)}) == len(names)
    assert set(study.quick) <= set(names)
    assert study.quick
    assert {r for t in study.tables for r in t.rows} <= set(names) | untrained
    assert questions <= set(QUESTIONS)
    assert {c.task for t in study.tables for c in t.columns} <= {
        q.partition(" of ")[0] for q in questions
    }
    assert all(
        len(texts) <= len(t.columns) + t.rank
        for t in study.tables
        for texts in t.published.values()
    )


def test_options_are_typed_as_a_person_types_them(tmp_path):
    assert as_arguments({"a": "text", "b": None, "c": [1, "x"], "d": {"e": False}}) == [
        "--a=text",
        "--b=null",
        '--c=[1, "x"]',
        '--d={"e": false}',
    ]
    cell = Cell("toy", Setting("ours", "clmr", untrained="untrained"), 3, tmp_path, tmp_path)
    args = probe_arguments(
        cell, Probe(("digit of theo",), options={"way": 3}), tmp_path / "run", tmp_path / "out"
    )
    assert f"--data_dirs.digit_of_theo={tmp_path / 'fsdd'}" in args
    assert "--task_kwargs.digit_of_theo.speaker=theo" in args
    assert {"--seeds=[3]", "--way=3"} <= set(args)


def test_rows_come_from_results_corruptions_and_invariance(tmp_path):
    words = {
        "kind": "multiclass",
        "fold": 0,
        "source": "pretrained",
        "representation": "embedding",
        "aggregation": "embedding",
        "detail": "",
    }
    numbers = {
        "train_share": 1.0,
        "seed": 0,
        "low": 0.8,
        "high": 0.9,
        "chance": 0.1,
        "n_train": 9,
        "n_test": 9,
        "seconds": 1.0,
    }
    files = {"identity": "", "predictions": "", "head": ""}
    main = Row(
        task="digit_of_theo",
        checkpoint="trained",
        method="linear",
        metric="accuracy",
        value=0.85,
        **words,
        **numbers,
        **files,
    )
    Results(tmp_path / "results.csv").put([main, Row(**{**vars(main), "metric": "f1"})])
    Results(tmp_path / "robustness.csv").put(
        [Row(**{**vars(main), "task": "digit", "method": "linear, severity 3", "value": 0.5})]
    )
    folder = tmp_path / "invariance"
    folder.mkdir()
    (folder / "digit-trained-embedding-0.csv").write_text(
        "head,operator,mahalanobis,unrelated_mahalanobis\npredictive,gain,2,8\n"
    )
    (folder / "digit-trained-embedding-0-weights.csv").write_text("head,share\npredictive,0.6\n")
    found = [
        (r["task"], r["method"], r["representation"], r["metric"], r["value"])
        for r in read_rows(tmp_path, "a tenth")
    ]
    assert sorted(found) == [
        ("digit", "invariance", "predictive", "gain", 0.25),
        ("digit", "linear, a tenth", "embedding", "accuracy", 0.85),
        ("digit", "linear, severity 3, a tenth", "embedding", "accuracy", 0.5),
        ("digit", "weight share", "predictive", "share", 0.6),
    ]


def test_splits_of_the_studies(shared):
    fsdd, gm = shared("data/fsdd"), shared("data/gm_notes")
    table = fsdd_without(fsdd, "theo").table
    assert set(table.loc[table["speaker"] == "theo", "split"]) == {"test"}
    assert set(table.loc[table["speaker"] != "theo", "split"]) == {"train", "val"}
    tags = fsdd_tags(fsdd)
    assert (tags.targets.sum(axis=1) == 2).all()
    assert len(tags.classes) == 10 + len(SPEAKERS)
    splits = [
        resplit(gm, **notes(*label)).table.set_index("path")["split"]
        for label in (("instrument",), ("pitch_midi", "regression"))
    ]
    assert splits[0].equals(splits[1].loc[splits[0].index])


@pytest.mark.parametrize("status", [130, 143])
def test_a_study_whose_run_is_stopped_stops(tmp_path, status):
    def work(cell):
        raise SystemExit(status)

    with pytest.raises(SystemExit) as stopped:
        runner.run(cells(STUDY, [0, 1], tmp_path, tmp_path), tmp_path / "toy.csv", work=work)
    assert stopped.value.code == status
    assert not (tmp_path / "toy.csv").exists()
