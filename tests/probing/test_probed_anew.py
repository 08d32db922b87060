"""What a probe is computed anew for: other clips, labels, weights or settings; and nothing for
which its answer stays the same."""

import csv
import shutil
from functools import partial

import pytest
import soundfile

from semisupcon.checkpoints import export_encoder
from semisupcon.commands.probe import main
from semisupcon.probing.methods.knn import KNN
from semisupcon.probing.studies.run import Studies
from tests.probing.conftest import tiny_encoder


@pytest.fixture
def data(tones, tmp_path):
    root = tmp_path / "tones"
    shutil.copytree(tones, root)
    return root


@pytest.fixture
def probe(data, exported, cache, tmp_path, monkeypatch):
    """Probe the copied tones by kNN; returns how many probes were computed."""
    ran, once = [], KNN.run
    monkeypatch.setattr(KNN, "run", lambda self, case: ran.append(1) or once(self, case))

    def run(*options, checkpoint=exported):
        ran.clear()
        where = [
            f"--data_dirs.csv={data}",
            f"--checkpoints={checkpoint}",
            f"--out={tmp_path / 'out'}",
            f"--cache_dir={cache}",
        ]
        assert (
            main(
                [
                    "--tasks=csv",
                    "--methods=knn",
                    "--projection=none",
                    "--resamples=20",
                    *where,
                    *options,
                ]
            )
            == 0
        )
        return len(ran)

    return run


def edited(data, old: str, new: str, line: int) -> None:
    lines = (data / "labels.csv").read_text().splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    (data / "labels.csv").write_text("\n".join(lines) + "\n")


def test_another_label_split_or_recording_is_probed_anew(probe, data):
    assert probe() == 1
    assert probe() == 0
    edited(data, ",low,", ",middle,", 1)
    assert probe() == 1
    edited(data, ",train,", ",test,", 2)
    assert probe() == 1
    samples, rate = soundfile.read(data / "03.wav")
    soundfile.write(data / "03.wav", samples[::-1], rate)
    assert probe() == 1
    assert probe() == 0


def test_other_weights_and_settings_are_probed_anew(probe, tmp_path):
    assert probe() == 1
    other = export_encoder(tiny_encoder(seed=1), tmp_path / "models" / "tiny")
    assert probe(checkpoint=other) == 1
    assert probe(checkpoint=other) == 0
    assert probe("--resamples=30", checkpoint=other) == 1
    assert probe("--train_share=0.5", checkpoint=other) == 1
    assert probe("--distance=euclidean", checkpoint=other) == 1
    assert probe("--way=2", checkpoint=other) == 1, "the results of cosine were replaced"
    assert probe("--way=3", checkpoint=other) == 0


OTHERS = {
    "clips": (9, "-50", "gain"),
    "noise": (8, "-40", "gain"),
    "operators": (8, "-50", "[gain,reverse]"),
}


@pytest.mark.parametrize("changed", OTHERS)
def test_an_invariance_table_is_made_anew_for_other_settings(probe, tmp_path, monkeypatch, changed):
    tables = []
    for clips, noise, operators in ((8, "-50", "gain"), (8, "-50", "gain"), OTHERS[changed]):
        monkeypatch.setattr(
            "semisupcon.probing.studies.run.Studies", partial(Studies, invariance_clips=clips)
        )
        probe(f"--invariance_noise={noise}", f"--invariance={operators}")
        (table,) = (tmp_path / "out" / "invariance").glob("csv-tiny-*.csv")
        tables.append((table.name, table.stat().st_mtime_ns))
        header, *rows = csv.reader(table.open(newline=""))
        assert header[:2] == ["task", "checkpoint"]
        assert {row[1] for row in rows} == {"tiny"}
    assert tables[0] == tables[1]
    assert tables[2][0] != tables[0][0]
