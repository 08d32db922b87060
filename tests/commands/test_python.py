"""The functions of `semisupcon` do what the commands of the same names do, and raise what these
print."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder, read_checkpoint
from semisupcon.commands.calls import options_of
from semisupcon.commands.pretrain import main as pretrain_command
from semisupcon.commands.probe import main as probe_command
from semisupcon.commands.python import labels_of, words_of
from semisupcon.encoders import SampleCNNSmall
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


@pytest.fixture
def encoder(music):
    """An exported encoder with random weights, of segments of half a second."""
    torch.manual_seed(0)
    return export_encoder(SampleCNNSmall(segment_samples=11025), music / "encoder")


def test_labels_and_maps_are_those_of_the_commands(music, encoder):
    """Each call beside the command: the same files, byte for byte."""
    Path("some.csv").write_text("\n".join(Path("labels.csv").read_text().splitlines()[:13]))
    given = {"checkpoint": encoder, "device": "cpu"}
    heads = {"save_head": "ours.head", "labels": "some.csv", "audio": "music"}
    assert semisupcon.tag(out="ours.csv", **heads, **given) == Path("ours.csv")
    semisupcon.embed("music", out="ours.parquet", **given)
    semisupcon.predict("music/9.wav", head="ours.head", out="ours.txt", format="audacity", **given)
    semisupcon.index(["music/0.wav", "music/1.wav", "music"], out="ours", **given)
    semisupcon.explore("ours", out="ours.html", method="pca", clusters=2)
    hits = semisupcon.search("music/0.wav", "ours", top=3)
    common = ["--checkpoint", str(encoder), "--device", "cpu"]
    page = Path("ours.html").read_bytes()  # its name and place stand in it
    Path("ours.html").unlink()
    for words in (
        ["tag", "--audio=music", "--labels=some.csv", "--save_head=b.head", "--out=b.csv", *common],
        ["embed", "music", "--out", "b.parquet", *common],
        ["predict", "music/9.wav", "--head=b.head", "--out=b.txt", "--format=audacity", *common],
        ["index", "music/0.wav", "music/1.wav", "music", "--out", "b", *common],
        ["explore", "ours", "--out", "ours.html", "--method", "pca", "--clusters", "2"],
        ["search", "music/0.wav", "--index", "b", "--top", "3", "--out", "hits.csv"],
    ):
        assert main(words) == 0
    for kind in ("csv", "parquet", "txt"):
        assert Path(f"ours.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()
    assert Path("ours.html").read_bytes() == page
    pd.testing.assert_frame_equal(hits, pd.read_csv("hits.csv"), check_dtype=False)
    assert list(hits["rank"]) == [1, 2, 3]
    pairs = semisupcon.search([], "ours", duplicates=True, threshold=-1)
    assert list(pairs)[:2] == ["similarity", "file"]
    assert len(pairs) == 10


def test_mistakes_of_calls_are_raised(music, encoder):
    with pytest.raises(UserError, match="nowhere"):
        semisupcon.embed("nowhere", encoder, "a.csv")
    with pytest.raises(UserError, match="--windo"):
        semisupcon.index("music", encoder, "ix", windo=1.0)
    with pytest.raises(UserError, match="--window and --hop need --per window"):
        semisupcon.index("music", encoder, "ix", window=1.0)
    with pytest.raises(UserError, match="no dictionary"):
        semisupcon.explore("ix", "a.html", labels={"a": 1})
    with pytest.raises(UserError, match="leave out the option 'out'"):
        semisupcon.search("a.wav", "ix", out="hits.csv")
    with pytest.raises(UserError, match="Give a query"):
        semisupcon.search([], "ix")
    with pytest.raises(AttributeError, match="no attribute 'tags'"):
        semisupcon.tags  # noqa: B018


def test_keyword_arguments_become_options():
    given = {"a": True, "b": False, "c": None, "d": ["x", Path("y")], "e": -1.5, "f": "u v"}
    assert options_of(given) == ["--a", "--d", "x", "y", "--e=-1.5", "--f=u v"]


@pytest.mark.parametrize("name", mostly_slow(BLOCKS, ("loop.py",)))
@pytest.mark.filterwarnings("ignore")
def test_the_page_runs(music, name, capsys):
    names: dict = {}
    if name == "label.py":
        export_encoder(SampleCNNSmall(), music / "runs" / "mine")
        Path("some.csv").write_text("\n".join(Path("labels.csv").read_text().splitlines()[:13]))
        shutil.copytree("music", "more")
    exec(compile(BLOCKS[name], name, "exec"), names)  # noqa: S102
    if name == "use.py":
        assert names["vectors"].shape == (2, names["encoder"].embedding_dim)
        assert set(names["results"]["checkpoint"]) == {"mine", "mfcc"}
    elif name == "label.py":
        assert len(names["hits"]) == 5
        assert len(names["best"]) == 24
        assert len(pd.read_csv("tags.csv")) == 12
        assert Path("map.html").exists()
    else:
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 10
        assert float(said[-1].split()[1]) < float(said[0].split()[1])


def test_the_page_has_three():
    assert set(BLOCKS) == {"use.py", "label.py", "loop.py"}
