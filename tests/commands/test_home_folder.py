"""A leading ``~/`` is the home folder wherever a path is given: no shell replaces it in YAML, nor
after an equals sign."""

import numpy as np
import pytest
import soundfile
import yaml

from semisupcon.__main__ import main
from semisupcon.commands.parsing.options import resumed_configuration
from semisupcon.commands.parsing.parser import Parser
from semisupcon.written import at_home
from tests.pretraining.runs import TINY
from tests.probing.conftest import cache, exported, tones  # noqa: F401


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for i in range(8):
        (tmp_path / "set" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        soundfile.write(
            tmp_path / "set" / "ab"[i % 2] / f"{i}.wav",
            0.1 * np.random.default_rng(i).standard_normal(3000),
            8000,
        )
    (tmp_path / "set" / "labels.csv").write_text(
        "path,label\n" + "".join(f"{'ab'[i % 2]}/{i}.wav,{i % 2}\n" for i in range(8))
    )
    return tmp_path


def test_pretrain_pack_and_resume(home, monkeypatch):
    config = {
        "data": {
            "data_dir": "~/set",
            "sl_task": "csv",
            "sl_kwargs": {"root": "~/set", "file": "~/set/labels.csv"},
        },
        "ckpt_path": "~/runs",
        "run_name": "first",
        "trainer": {"max_steps": 1},
        "model": {"criterion": "SimCLR"},
    }
    (home / "c.yaml").write_text(yaml.safe_dump(config))
    tiny = [f"--{name}={value}" for name, value in TINY.items()] + ["--data.batch_size=4"]
    assert main(["pretrain", "--config=~/c.yaml", *tiny]) == 0
    assert (home / "runs/first/last.ckpt").is_file()
    more = ["--resume_from_checkpoint=~/runs/first", "--trainer.max_steps=2", "--ckpt_path=~/runs"]
    assert resumed_configuration(more)[0] == "--config"
    assert main(["pretrain", *more]) == 0
    assert main(["export", "~/runs/first", "--out", "~/exported"]) == 0
    assert main(["embed", "~/set/a", "--checkpoint=~/exported", "--out=~/embeddings.npy"]) == 0
    assert (
        main(
            ["pack", "--config", "~/c.yaml", "--out=~/packed", "--data.target_sample_rate", "8000"]
        )
        == 0
    )
    assert main(["data", "check", "csv", "--data_dir=~/set", "--file", "~/set/labels.csv"]) in (
        0,
        1,
    )
    made = {"embeddings.npy", "exported", "packed", "runs"}
    assert made <= {path.name for path in home.iterdir()}
    monkeypatch.chdir(home)
    assert not (home / "~").exists()


def test_probe(home, tones, exported):  # noqa: F811
    (home / "tones").symlink_to(tones)
    (home / "model").symlink_to(exported)
    config = {
        "tasks": "pitch=csv",
        "data_dirs": {"pitch": "~/tones"},
        "checkpoints": ["mine=~/model"],
        "out": "~/out",
        "cache_dir": "~/cache",
    }
    (home / "p.yaml").write_text(yaml.safe_dump(config))
    assert (
        main(
            [
                "probe",
                "--config=~/p.yaml",
                "--resamples=10",
                "--task_kwargs.pitch.file=~/tones/labels.csv",
                "--methods=knn",
            ]
        )
        == 0
    )
    assert (home / "out" / "results.csv").is_file()
    assert (
        main(
            [
                "probe",
                "--config=~/p.yaml",
                "--checkpoints=random,~/model",
                "--resamples=10",
                "--methods=knn",
            ]
        )
        == 0
    )


def test_what_is_a_path_and_what_is_not(home):
    given = {
        "a": "~/x",
        "b": ["name=~/x", "~"],
        "c": "a~/x",
        "d": "~",
        "e": {"f": "~/y"},
        "g": 3,
        "h": "~nobody-of-this-name/x",
    }
    assert at_home(given) == {
        **given,
        "a": f"{home}/x",
        "b": [f"name={home}/x", "~"],
        "e": {"f": f"{home}/y"},
    }
    parser = Parser(prog="x")
    parser.add_argument("files", nargs="*")
    assert parser.parse_args(["~/a", "b"]).files == [f"{home}/a", "b"]
