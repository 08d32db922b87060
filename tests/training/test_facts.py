"""A run keeps what it was trained on and with."""

import json

import yaml

from semisupcon.training import facts
from tests.pretraining.runs import pretrain

ONE = ("--trainer.max_steps", "1")


def test_run_json_holds_data_packages_and_code(digits, tmp_path):
    assert (
        pretrain(digits, tmp_path, "--run_name", "r", *ONE, "--data.supervised_data_p", "0.5") == 0
    )
    kept = json.loads((tmp_path / "r" / "run.json").read_text())
    assert kept["packages"]["torch"].startswith("2.")
    data = kept["data"]
    assert data["classes"] == 10
    assert data["label_kind"] == "multiclass"
    assert data["train_labelled_clips"] > 0
    assert 0 < data["train_labelled_hours"] < 0.01
    assert {"commit", "command", "diff"} <= kept["code"].keys()


def test_tensorboard_shows_configuration_and_facts(digits, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert pretrain(digits, tmp_path, "--run_name", "r", *ONE, "--log", "tensorboard") == 0
    events = EventAccumulator(str(tmp_path / "r" / "tensorboard"))
    events.Reload()
    (text,) = [
        event.tensor_proto.string_val[0].decode() for event in events.Tensors("run/text_summary")
    ]
    assert "seed_everything: 123" in text
    assert "train_labelled_clips" in text


def test_wandb_gets_group_tags_and_facts(digits, tmp_path, monkeypatch):
    import wandb

    given = {}
    init = wandb.init

    def noted(*args, **more):
        given.update(more)
        return init(*args, **more)

    monkeypatch.setattr(wandb, "init", noted)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert (
        pretrain(
            digits,
            tmp_path,
            "--run_name",
            "r",
            *ONE,
            "--log",
            "wandb",
            "--group",
            "g",
            "--tags",
            "[a,b]",
        )
        == 0
    )
    assert (given["group"], list(given["tags"])) == ("g", ["a", "b"])


def test_uncommitted_changes_are_kept_where_they_fit(tmp_path, monkeypatch):
    changes = {"out": b"diff --git a/x b/x\n"}

    class Done:
        returncode = 0

        @property
        def stdout(self):
            return changes["out"]

    monkeypatch.setattr(facts.subprocess, "run", lambda *_, **__: Done())
    assert facts.write_diff(tmp_path)
    assert (tmp_path / facts.DIFF).read_text().startswith("diff --git")
    changes["out"] = b"x" * (facts.MOST_DIFF + 1)
    assert not facts.write_diff(tmp_path / "other")
    assert yaml.safe_dump(facts.package_versions())
