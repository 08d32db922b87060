"""The study of baselines: its tables, and that it runs to its last line."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.evidence import baselines

DATA = Path(__file__).parents[3] / "shared" / "data"


def rows():
    """Three encoders on one task, mfcc the best."""
    values = {baselines.OWN: 0.8, "untrained": 0.6, "mfcc": 0.9}
    lines = []
    for ours, value in values.items():
        for theirs, other in values.items():
            if ours != theirs:
                gap = value - other
                word = "better" if gap > 0.05 else "worse" if gap < -0.05 else "same"
                numbers = [value, value - 0.05, value + 0.05, 0.01, 300, 3]
                pair = [theirs, gap, gap - 0.05, gap + 0.05, word]
                lines.append([ours, "digit", "accuracy", *numbers, *pair])
    return pd.DataFrame(lines, columns=baselines.COLUMNS)


def test_the_tables_give_values_and_paired_differences():
    found = baselines.tables(rows())
    values, differences = found["baselines.values"], found["baselines.differences"]
    assert f"| {baselines.OWN} | 80.0 (75 to 85) |" in values
    assert "| mfcc | 90.0 (85 to 95) |" in values
    assert "| test clips | 300 |" in values
    assert "| seeds | 3 |" in values
    assert "| untrained | +20.0 (+15 to +25), better |" in differences
    assert "| mfcc | -10.0 (-15 to -5), worse |" in differences


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is missing")
def test_a_tiny_study_runs_to_its_last_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--tiny", "--data", str(DATA), "--folder", "runs", "--figures", "figures"]
    assert baselines.main(given) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("RESULT encoders 3")
    found = pd.read_csv("figures/baselines.csv")
    assert set(found["encoder"]) == {baselines.OWN, "untrained", "mfcc"}
    assert set(found["task"]) == {"instrument"}
