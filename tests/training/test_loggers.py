"""Which wandb run a run continues, and what the file of metrics keeps."""

import csv
from types import SimpleNamespace

import pytest

from semisupcon.errors import ConfigError
from semisupcon.training.loggers import MetricsFile, make_logger


@pytest.fixture
def made(monkeypatch):
    """What `make_logger` gives to wandb."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("pytorch_lightning.loggers.WandbLogger", lambda **options: options)

    def make(kind="wandb", stored=None, resume_id=None, **more):
        run = SimpleNamespace(
            folder=SimpleNamespace(name="mine"), state={"wandb_id": stored} if stored else {}
        )
        return make_logger(kind, run, "music", resume_id, **more)

    return make


@pytest.mark.parametrize(
    ("stored", "given", "continued"),
    [(None, None, None), ("old", None, "old"), (None, "new", "new"), ("old", "new", "new")],
)
def test_the_run_of_wandb_that_is_continued(made, stored, given, continued):
    options = made(stored=stored, resume_id=given)
    assert (options["id"], options["resume"]) == (continued, "allow" if continued else None)
    assert (options["name"], options["project"], options["log_model"]) == ("mine", "music", False)
    assert (options["group"], options["tags"]) == (None, None)


def test_group_and_tags_reach_wandb(made):
    options = made("true", group="g", tags=("a", "b"))
    assert (options["group"], options["tags"]) == ("g", ["a", "b"])


@pytest.mark.parametrize("kind", ["csv", "false", "False", "none"])
def test_the_file_of_metrics_may_be_alone(made, kind):
    assert made(kind) is None


@pytest.mark.parametrize(
    ("kind", "given"), [("wandbs", None), ("wandb", "../x"), ("wandb", "a" * 129)]
)
def test_what_cannot_be_is_refused(made, kind, given):
    with pytest.raises(ConfigError):
        made(kind, resume_id=given)
    assert made(resume_id="a" * 128)["id"] == "a" * 128


def test_values_of_a_step_share_a_row_and_a_resumed_run_drops_what_it_repeats(tmp_path):
    first = MetricsFile(tmp_path)
    for step, values in (
        (0, {"loss": 3.0}),
        (0, {"lr": 0.1}),
        (1, {"loss": 2.0}),
        (2, {"loss": 1.5, "val_loss": 9.0}),
    ):
        first.log_metrics(values, step)
    first.finalize("success")
    again = MetricsFile(tmp_path, resumed_step=2)
    again.log_metrics({"loss": 1.0, "rate": 5.0}, 2)
    again.save()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open(newline="")))
    assert [(r["step"], r["loss"], r["lr"], r["val_loss"], r["rate"]) for r in rows] == [
        ("0", "3.0", "0.1", "", ""),
        ("1", "2.0", "", "", ""),
        ("2", "1.0", "", "", "5.0"),
    ]
    fresh = MetricsFile(tmp_path)
    fresh.log_metrics({"loss": 7.0}, 0)
    fresh.save()
    assert len(list(csv.DictReader((tmp_path / "metrics.csv").open(newline="")))) == 1
