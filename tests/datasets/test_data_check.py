"""``data check`` tells a fit data set from an unfit one, and says why; ``data list`` is the table
of tasks."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisupcon.__main__ import main
from semisupcon.commands.data import task_options
from semisupcon.datasets import TASKS, load_annotations
from semisupcon.datasets.care.check import check, listen
from semisupcon.errors import ConfigError
from tests.marks import mostly_slow

RATE = 8000


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path_factory.mktemp("cache")))


def noise(seed, seconds=0.25):
    return 0.3 * np.random.default_rng(seed).uniform(-1, 1, int(RATE * seconds))


@pytest.fixture
def world(tmp_path):
    """30 distinct clips of two classes by ten singers, with a table that keeps singers apart."""
    rows = ["path,label,split,singer"]
    for i in range(30):
        split = ("train", "val", "test")[0 if i % 10 < 6 else i % 10 // 8 + 1]
        sf.write(tmp_path / f"{i}.wav", noise(i), RATE)
        rows.append(f"{i}.wav,{'ab'[i % 2]},{split},singer {i % 10}")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    return tmp_path


def run(capsys, *args):
    code = main(["data", *map(str, args)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_clean_set_is_fit(world, capsys):
    code, text = run(capsys, "check", "csv", "--data_dir", world, "--group", "singer")
    assert code == 0
    assert "Fit for training." in text
    assert "Groups in two splits: 0 of 10" in text
    sizes = [
        line.split() for line in text.splitlines() if line.startswith(("train", "val", "test"))
    ]
    assert [row[:3] for row in sizes] == [
        ["train", "18", "18"],
        ["val", "6", "6"],
        ["test", "6", "6"],
    ]
    assert "Missing: 0 of 30" in text


def test_a_test_clip_in_training_is_named_with_its_copy_whatever_its_format(world, capsys):
    (world / "0.wav").unlink()
    sf.write(world / "0.flac", sf.read(world / "9.wav", dtype="int16")[0], RATE)
    code, text = run(capsys, "check", "csv", "--data_dir", world)
    assert code == 1
    assert "Same audio in two splits: 1\n  0.flac (train) = 9.wav (test)" in text
    assert (
        "NOT fit for training:\n  Files that are the same audio as one of another split: 1." in text
    )


def test_groups_in_two_splits_make_it_unfit(world, capsys):
    table = (
        (world / "clips.csv")
        .read_text()
        .replace("9.wav,b,test,singer 9", "9.wav,b,test,singer 0", 1)
    )
    (world / "clips.csv").write_text(table)
    code, text = run(capsys, "check", "csv", "--data_dir", world, "--group=singer")
    assert code == 1
    assert "Groups in two splits: 1 of 10\n  singer 0 (train, test)" in text


def test_what_is_wrong_with_files_is_told(world, capsys):
    sf.write(world / "0.wav", np.zeros(RATE), RATE)
    loud = np.clip(8 * noise(1), -1, 1)
    loud[:40] = 1
    sf.write(world / "1.wav", loud, RATE)
    shutil.copy(world / "2.wav", world / "3.wav")
    (world / "4.wav").write_bytes(b"no audio at all")
    (world / "5.wav").unlink()
    code, text = run(capsys, "check", "csv", "--data_dir", world)
    assert code == 1
    for line in (
        "Missing: 1 of 30\n  5.wav",
        "Unreadable: 1\n  4.wav (not audio",
        "Silent: 1\n  0.wav",
        "Clipped: 1\n  1.wav (",
        "  2.wav = 3.wav (train)",
    ):
        assert line in text
    assert "1 of 29 files cannot be read; the maximum is 1%." in text
    assert run(capsys, "check", "csv", "--data_dir", world, "--max_unreadable", "0.1")[0] == 0
    assert (
        run(
            capsys,
            "check",
            "csv",
            "--data_dir",
            world,
            "--max_unreadable",
            "0.1",
            "--max_missing",
            "0",
        )[0]
        == 1
    )


def test_two_silent_files_are_no_copies_of_each_other(world):
    for name in ("0.wav", "9.wav"):
        sf.write(world / name, np.zeros(RATE), RATE)
    findings = check("csv", world)
    assert findings.fit
    assert len(findings.silent) == 2


def test_copies_are_listed_once_each(world):
    for name in ("1.wav", "2.wav", "9.wav", "19.wav"):
        shutil.copy(world / "0.wav", world / name)
    findings = check("csv", world)
    assert [(a, b) for a, _, b, _ in findings.across] == [("0.wav", "9.wav"), ("0.wav", "19.wav")]
    assert [(a, b) for a, b, _ in findings.within] == [
        ("0.wav", "1.wav"),
        ("0.wav", "2.wav"),
        ("9.wav", "19.wav"),
    ]


def test_a_set_without_labelled_training_clips_is_unfit(world):
    table = (
        (world / "clips.csv").read_text().replace("a,train", ",train").replace("b,train", ",train")
    )
    (world / "clips.csv").write_text(table)
    assert check("csv", world).unfit == ["There are no labelled training clips."]


def test_long_files_are_heard_in_the_middle(tmp_path):
    audio = noise(0, 70).astype(np.float32)
    other = audio.copy()
    other[RATE * 20] += 0.1
    for name, samples in (("a", audio), ("b", audio), ("c", other)):
        sf.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    a, b, c = (listen(str(tmp_path / f"{name}.wav"), len(audio), RATE)[0] for name in "abc")
    assert a == b != c


def test_mistakes_on_the_command_line_end_with_status_two(world, capsys):
    for args, message in (
        (["check", "csv"], "needs the folder of its data"),
        (["check", "cvs", "--data_dir", world], "Did you mean 'csv'"),
        (["check", "csv", "--data_dir", world / "nowhere"], "not found"),
        (["check", "csv", "--data_dir", world, "--lable", "label"], "Did you mean --label?"),
        (["check", "csv", "--data_dir", world, "--label"], "--label needs a value"),
    ):
        code, text = run(capsys, *args)
        assert code == 2
        assert message in text


def test_options_of_the_task_are_read_as_yaml():
    assert task_options(
        ["--fold", "2", "--classes=[a, b]", "--by", "chapter", "--original_split", "true"]
    ) == {
        "fold": 2,
        "classes": ["a", "b"],
        "by": "chapter",
        "original_split": True,
    }
    with pytest.raises(ConfigError, match="belongs to no option"):
        task_options(["2"])


def test_the_list_names_every_task(capsys):
    code, text = run(capsys, "list")
    lines = text.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[1:]] == sorted(TASKS)
    assert lines[0].split() == ["task", "labels", "classes", "split", "metric", "licence"]
    assert max(map(len, lines)) < 150


REAL = {
    "fsdd": (
        "fsdd_digit",
        {},
        lambda name: name.endswith(("_1.wav", "_5.wav", "_6.wav", "_17.wav")),
    ),
    "esc10": ("esc10", {"fold": 2}, lambda name: name < "2-12"),
    "fsdkaggle2018_mini": ("class_folders", {"folds": 5}, lambda name: name < "4"),
    "librispeech_mini": ("librispeech_speaker", {"subset": "test-other"}, lambda name: True),
    "gm_notes": ("csv", {"label": "instrument"}, lambda name: True),
}


@pytest.mark.parametrize("folder", mostly_slow(REAL, ("fsdd", "fsdkaggle2018_mini")))
def test_in_a_real_set_nothing_is_wrong_but_the_test_clip_that_was_copied_into_training(
    folder, shared, tmp_path
):
    """On a part of the files, so that the test is short; the sets as they are pass as well."""
    task, options, kept = REAL[folder]
    source, root = shared(f"data/{folder}"), tmp_path / "set"
    for file in source.rglob("*"):
        if file.is_file() and (kept(file.name) or file.suffix in (".csv", ".TXT")):
            (root / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (root / file.relative_to(source)).symlink_to(file)
    table = load_annotations(task, root, max_missing=0.9, **options).table
    train, test = (
        table.loc[table["split"] == split, "path"].iloc[0] for split in ("train", "test")
    )
    (root / train).unlink()
    if task == "class_folders":  # It leaves copies of the same bytes out by itself.
        audio, rate = sf.read(root / test)
        sf.write(root / train, audio / 2, rate, subtype="PCM_24")
    else:
        shutil.copy((root / test).resolve(), root / train)
    findings = check(task, root, max_missing=0.9, **options)
    assert findings.unfit == ["Files that are the same audio as one of another split: 1."]
    assert {findings.across[0][0], findings.across[0][2]} == {train, test}
    assert (findings.unreadable, findings.silent) == ({}, [])
    # Two notes of a synthesised bass differ by their level only.
    layer = re.compile("_vl[0-9]")
    assert all(
        layer.sub("", a) == layer.sub("", b) and "killer_bass" in a for a, b, _ in findings.within
    )


def test_the_guide_names_every_task_and_its_example_runs(world, monkeypatch, capsys):
    guide = (Path(__file__).parents[2] / "docs/datasets.md").read_text()
    named = set(re.findall(r"`([a-z0-9_]+)`", guide))
    assert {task for task in TASKS if not task.startswith("synthetic")} <= named
    code = guide.split("```python\n")[1].split("```")[0]
    (world / "my_sets.py").write_text(code)
    (world / "moods.csv").write_text(
        "clip,mood,part,verified\n1,calm,train,1\n2,tense,val,0\n9,calm,test,1\n"
    )
    monkeypatch.syspath_prepend(str(world))
    status, text = run(
        capsys, "check", "my_sets.moods", "--data_dir", world, "--verified_only", "true"
    )
    assert status == 0
    assert "Missing: 0 of 2" in text
