"""`semisupcon.pretrain` and `semisupcon.probe` do what the commands do, and raise what these
print."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.pretrain import main as pretrain_command
from semisupcon.commands.probe import main as probe_command
from semisupcon.commands.python import labels_of, words_of
from semisupcon.errors import UserError
from tests.marks import mostly_slow
from tests.pretraining.runs import rows

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE, re.M | re.S))
QUICK = {
    "data.batch_size": 8,
    "data.num_workers": 0,
    "trainer.max_steps": 2,
    "trainer.accelerator": "cpu",
    "trainer.log_every_n_steps": 1,
    "trainer.enable_progress_bar": False,
    "draw_every": 0,
}


@pytest.fixture
def music(tmp_path, monkeypatch):
    """A folder of 24 tones of two classes, and a table of their labels beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    table = [("path", "label")]
    for number in range(24):
        tone = np.sin(2 * np.pi * (300, 900)[number % 2] * np.arange(22050) / 22050)
        noise = 0.05 * np.random.default_rng(number).standard_normal(22050)
        soundfile.write(f"music/{number}.wav", 0.3 * tone + noise, 22050)
        table.append((f"{number}.wav", ("low", "high")[number % 2]))
    with open("labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(table)
    return tmp_path


def test_a_run_is_that_of_the_command(music):
    recipe = ["pretrain_smsl", "small/pretrain_smsl"]
    run = semisupcon.pretrain(recipe, "music", "labels.csv", QUICK, name="a")
    assert run == Path("runs/a")
    typed = ["--config", recipe[0], "--config", recipe[1], "--data.data_dir", "music"]
    typed += ["--data.sl_task", "csv", "--data.sl_kwargs.file", str(music / "labels.csv")]
    typed += [word for name, value in QUICK.items() for word in (f"--{name}", str(value).lower())]
    assert pretrain_command([*typed, "--run_name", "b"]) == 0
    assert rows(run) == rows(Path("runs/b"))
    ours, theirs = (read_checkpoint(f"runs/{name}/last.ckpt")["state_dict"] for name in "ab")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_results_are_those_of_the_command(music):
    given = {"data_dirs.csv": "music", "task_kwargs.csv.file": music / "labels.csv"}
    found = semisupcon.probe("mfcc", "csv", methods=["knn"], overrides=given, out="ours")
    typed = ["--checkpoints", "mfcc", "--tasks", "csv", "--methods", "knn", "--out", "theirs"]
    typed += ["--data_dirs.csv=music", f"--task_kwargs.csv.file={music / 'labels.csv'}"]
    assert probe_command(typed) == 0
    theirs = pd.read_csv("theirs/results.csv")
    columns = ["checkpoint", "method", "metric", "value", "low", "high", "identity"]
    pd.testing.assert_frame_equal(found[columns], theirs[columns], check_dtype=False)
    again = semisupcon.probe("mfcc", "csv", methods="knn", overrides=given, out="ours")
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"overrides": {"trainer.max_stepz": 3}}, "Did you mean --trainer.max_steps"),
        ({"overrides": {"--trainer.max_steps": 3}}, "without dashes"),
        ({"overrides": {"model.optimizer": torch.optim.Adam}}, "Name a class by its path"),
        ({"overrides": {"model.encoder": "SampleCNX"}}, "SampleCNNXL"),
        ({"overrides": {"trainer.limit_train_batches": -1}}, "--trainer.limit_train_batches"),
        ({"data_dir": "nowhere"}, "nowhere"),
        ({"data_dir": "music", "labels": "absent.csv"}, "absent.csv"),
    ],
)
def test_mistakes_are_raised(music, given, said, capsys):
    with pytest.raises(UserError, match=re.escape(said)):
        semisupcon.pretrain("pretrain_ssl", **given)
    assert "error:" not in capsys.readouterr().err
    assert not Path("runs").exists()


def test_mistakes_of_probes_are_raised(music):
    with pytest.raises(UserError, match="Unknown task 'nothing'"):
        semisupcon.probe("mfcc", "nothing")
    with pytest.raises(UserError, match="--methodz"):
        semisupcon.probe("mfcc", "csv", overrides={"methodz": "knn"})


def test_the_commands_still_exit_after_a_call(music):
    with pytest.raises(UserError):
        semisupcon.pretrain("pretrain_ssl", overrides={"trainer.max_stepz": 3})
    with pytest.raises(SystemExit):
        pretrain_command(["--config", "pretrain_ssl", "--trainer.max_stepz", "3"])


def test_values_become_words():
    given = {"a": 1e-4, "b": True, "c": None, "d": "x y", "e": [1, "u"], "f": -1, "g": Path("p/q")}
    given |= {"h": np.int64(3), "i": (1, 2), "j": {"class_path": "A", "init_args": {"k": 2}}}
    words = dict(zip(*[iter(words_of(given | {"f": 1}))] * 2, strict=True))
    assert words["--a"] == "0.0001"
    assert (words["--b"], words["--c"], words["--d"]) == ("true", "null", "x y")
    assert (words["--e"], words["--g"], words["--h"], words["--i"]) == (
        '[1, "u"]',
        str(Path("p/q")),
        "3",
        "[1, 2]",
    )
    assert words["--j"] == '{"class_path": "A", "init_args": {"k": 2}}'
    assert words_of({"f": -1}) == ["--f=-1"]


def test_labels_are_a_table_its_arguments_or_a_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = {"data.sl_task": "csv", "data.sl_kwargs": {"file": str(tmp_path / "a.tsv")}}
    assert labels_of("a.tsv") == labels_of({"file": Path("a.tsv")}) == table
    assert labels_of("gtzan") == {"data.sl_task": "gtzan"}
    assert labels_of(None) == {}


@pytest.mark.parametrize("name", mostly_slow(BLOCKS, ("loop.py",)))
@pytest.mark.filterwarnings("ignore")
def test_the_page_runs(music, name, capsys):
    names: dict = {}
    exec(compile(BLOCKS[name], name, "exec"), names)  # noqa: S102
    if name == "use.py":
        assert names["vectors"].shape == (2, names["encoder"].embedding_dim)
        assert set(names["results"]["checkpoint"]) == {"mine", "mfcc"}
    else:
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 10
        assert float(said[-1].split()[1]) < float(said[0].split()[1])


def test_the_page_has_both():
    assert set(BLOCKS) == {"use.py", "loop.py"}
