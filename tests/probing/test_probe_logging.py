"""Scores, the table and the figures of a probe in wandb, TensorBoard and loggers by class path,
through the command."""

import csv
import json
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semisupcon.commands.probe import main


@pytest.fixture
def probe(tones, exported, cache, tmp_path):
    def run(*more):
        where = [
            f"--data_dirs.csv={tones}",
            f"--checkpoints=[{exported},random]",
            f"--out={tmp_path / 'out'}",
            f"--cache_dir={cache}",
        ]
        return main(
            [
                "--tasks=csv",
                "--methods=[linear,knn]",
                "--training.max_epochs=3",
                "--resamples=20",
                *where,
                *more,
            ]
        )

    return run


def test_tensorboard_has_scores_table_and_figures(probe, tmp_path):
    assert probe("--log", "tensorboard") == 0
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert {f"{r['task']}/{r['method']}/{r['checkpoint']}/{r['metric']}" for r in rows} <= set(
        events.Tags()["scalars"]
    )
    score = events.Scalars("csv/linear/tiny/accuracy")[0].value
    assert score == pytest.approx(
        float(
            next(r for r in rows if r["method"] == "linear" and r["checkpoint"] == "tiny")["value"]
        ),
        abs=1e-3,
    )
    assert any("confusion matrix" in name for name in events.Tags()["images"])
    assert any("t-SNE" in name for name in events.Tags()["images"])
    assert any(name.startswith("results") for name in events.Tags()["tensors"])


@pytest.mark.slow
def test_wandb_offline_continues_one_run(probe, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert probe("--log", "wandb", "--group", "g", "--tags", "[a]", "--projection", "none") == 0
    (first,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    identity = json.loads((tmp_path / "out" / "wandb.json").read_text())["wandb_id"]
    assert first.name.endswith(identity)
    file = first / f"run-{identity}.wandb"
    for _ in range(200):  # wandb's own process writes it.
        if b"csv/linear/tiny/accuracy" in (content := file.read_bytes()):
            break
        time.sleep(0.05)
    assert b"csv/linear/tiny/accuracy" in content
    media = {p.suffix for p in (first / "files" / "media").rglob("*") if p.is_file()}
    assert {".png", ".json"} <= media


@pytest.mark.parametrize("form", ["command line", "file"])
def test_a_logger_by_class_path(probe, tmp_path, form):
    (tmp_path / "more.yaml").write_text(
        f"logger:\n  - class_path: pytorch_lightning.loggers.CSVLogger\n    init_args: {{save_dir: "
        f"{tmp_path / 'extra'}}}\n"
    )
    line = (
        "--logger",
        "pytorch_lightning.loggers.CSVLogger",
        "--logger.save_dir",
        str(tmp_path / "extra"),
    )
    assert (
        probe(
            *(line if form == "command line" else ("--config", str(tmp_path / "more.yaml"))),
            "--projection",
            "none",
        )
        == 0
    )
    (metrics,) = (tmp_path / "extra").rglob("metrics.csv")
    assert "csv/knn/tiny/accuracy" in metrics.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--log", "wandb"), "wandb login"),
        (("--log", "neptune"), "--log takes"),
        (("--logger", "CSVLoger"), "CSVLogger"),
    ],
)
def test_mistakes_are_told_before_anything_is_embedded(
    probe, tmp_path, monkeypatch, capsys, cache, options, said
):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    try:
        status = probe(*options)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) <= 3
    assert not any(cache.iterdir())
    assert not (tmp_path / "out").exists()
