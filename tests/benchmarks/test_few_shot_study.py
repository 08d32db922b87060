"""The study of few-shot protocols: its table, and that it runs to its last line."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.evidence import few_shot

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_the_table_has_a_column_per_protocol():
    lines = [
        ["esc10", protocol, encoder, classifier, 0.5 + 0.1 * i, 0.49, 0.51, 10_000, 2]
        for i, protocol in enumerate(few_shot.PROTOCOLS)
        for encoder in (few_shot.OWN, "mfcc")
        for classifier in few_shot.CLASSIFIERS
    ]
    text = few_shot.tables(pd.DataFrame(lines, columns=few_shot.COLUMNS))["few_shot.all"]
    assert "| ESC-10 | mfcc | nearest centroid | 50.0 ± 1.0 | 60.0 ± 1.0 | 70.0 ± 1.0 |" in text
    assert "10,000 episodes; mean over 2 seeds" in text


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is missing")
def test_a_tiny_study_runs_to_its_last_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--tiny", "--data", str(DATA), "--folder", "runs", "--figures", "figures"]
    assert few_shot.main(given) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == "RESULT protocols 4"
    found = pd.read_csv("figures/few_shot.csv")
    assert set(found["encoder"]) == {few_shot.OWN, "untrained", "mfcc"}
    assert set(found["protocol"]) == set(few_shot.PROTOCOLS)
    assert found["value"].between(0, 1).all()
