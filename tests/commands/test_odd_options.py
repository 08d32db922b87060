"""Numbers, paths, devices and cache folders that cannot be meant: one sentence with the option's
full name, status 2, and nothing left behind."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNN
from semisupcon.paths import cache_folder

RATE = 16000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An encoder, and 24 clips of two classes with a table, under a name with spaces and letters
    beyond ASCII."""
    root = tmp_path_factory.mktemp("odd ü")
    export_encoder(SampleCNN(sample_rate=RATE), root / "encoder é", {})
    rows = []
    for i in range(24):
        path = root / "clips ß" / f"{'ab'[i % 2]}" / f"clip {i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.3 * np.random.default_rng(i).uniform(-1, 1, RATE // 2), RATE)
        rows.append(
            (f"{'ab'[i % 2]}/{path.name}", "ab"[i % 2], i / 10, "test" if i >= 16 else "train")
        )
    pd.DataFrame(rows, columns=["path", "label", "value", "split"]).to_csv(
        root / "clips ß" / "clips.csv", index=False
    )
    (root / "file").write_text("no folder")
    return root


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *args):
    try:
        code = main([str(arg) for arg in args])
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().err


def refused(capsys, option, *args):
    before = sorted(Path.cwd().rglob("*"))
    code, text = run(capsys, *args)
    assert code == 2
    assert text.startswith("error: ")
    assert option in text
    assert len(text.splitlines()) <= 3
    assert sorted(Path.cwd().rglob("*")) == before


def commands(world):
    wav = world / "clips ß/a/clip 0.wav"
    return {
        "probe": [
            "probe",
            "--tasks",
            "csv",
            "--data_dirs.csv",
            world / "clips ß",
            "--checkpoints",
            world / "encoder é",
            "--out",
            "out",
        ],
        "embed": [
            "embed",
            world / "clips ß",
            "--checkpoint",
            world / "encoder é",
            "--out",
            "out.npy",
        ],
        "pack": [
            "pack",
            "--data.data_dir",
            world / "clips ß",
            "--data.target_sample_rate",
            "8000",
            "--out",
            "out",
        ],
        "hear": ["hear", wav, "--aug_list", "gain", "--out", "out"],
        "data check": ["data", "check", "class_folders", "--data_dir", world / "clips ß"],
    }


COUNTS = "batch_size resamples neighbours way shot queries episodes training.batch_size training.max_epochs training.patience training.hidden"
COUNTS += " finetune.batch_size finetune.max_epochs finetune.patience"
ODD = [("probe", name, value) for name in COUNTS.split() for value in ("0", "1" + 20 * "0")]
ODD += [("probe", "batch_size", value) for value in ("-1", ".nan", "2.5", "x")]
REALS = (
    "train_share",
    "training.lr",
    "training.weight_decay",
    "shares",
    "finetune.lr",
    "finetune.encoder_rate",
    "finetune.decay",
)
ODD += [("probe", name, value) for name in REALS for value in ("-1", ".inf")]
ODD += [
    ("probe", name, value)
    for name in ("train_share", "finetune.lr")
    for value in ("0", ".nan", "x")
]
ODD += [("probe", "invariance_noise", value) for value in (".nan", "-.inf", "x")]
ODD += [("probe", "seeds", value) for value in ("[a]", "x", "2.5", "[]", "1" + 20 * "0")]
ODD += [("embed", "batch_size", value) for value in ("0", "-1", "nan", "2.5", "x")]
ODD += [("pack", "threads", value) for value in ("0", "-1", "nan", "x", "1" + 20 * "0")]
ODD += [
    ("pack", f"data.{name}", v)
    for name in ("batch_size", "target_sample_rate", "views")
    for v in ("0", "-1")
]
ODD += [
    ("pack", f"data.{name}", v)
    for name in ("max_bad", "val_split", "supervised_data_p", "crop_fraction")
    for v in ("2", ".nan")
]
ODD += [
    ("hear", name, v)
    for name in ("sample_rate", "views", "seconds")
    for v in ("0", "-1", "nan", "inf", "x")
]
ODD += [
    ("hear", name, v) for name in ("start", "severity", "pass") for v in ("-1", "nan", "inf", "x")
]
ODD += [
    ("data check", name, v)
    for name in ("max_missing", "max_unreadable")
    for v in ("-1", "1.5", "nan", "inf", "x")
]


@pytest.mark.parametrize("command", ["probe", "embed", "pack", "hear", "data check"])
def test_numbers_that_cannot_be_meant_are_refused_before_any_work(world, capsys, command):
    for _, option, value in (odd for odd in ODD if odd[0] == command):
        refused(capsys, f"--{option}", *commands(world)[command], f"--{option}", value)


@pytest.mark.parametrize("device", ["cuda:99", "cdua", "meta"])
@pytest.mark.parametrize("command", ["probe", "embed"])
def test_a_device_that_is_not_there_is_refused(world, capsys, command, device):
    refused(
        capsys,
        f"--device {device} is not available on this machine. Give auto, or one of: cpu",
        *commands(world)[command],
        "--device",
        device,
    )


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("probe", "out"),
        ("probe", "data_dirs.csv"),
        ("probe", "cache_dir"),
        ("embed", "out"),
        ("embed", "checkpoint"),
        ("pack", "out"),
        ("pack", "data.data_dir"),
        ("data check", "data_dir"),
        ("hear", "out"),
    ],
)
def test_an_empty_path_does_not_mean_the_current_folder(world, capsys, command, option):
    refused(capsys, f"--{option} is empty", *commands(world)[command], f"--{option}", "")


def test_a_file_in_place_of_a_folder_and_a_folder_that_cannot_be_made(world, capsys):
    file, nowhere = world / "file", "/proc/nothing/x"
    assert run(capsys, *commands(world)["pack"])[0] == 0
    packed = Path("out").rename("packed")
    for out in (file, nowhere):
        for command in ("pack", "hear"):
            refused(capsys, str(out), *commands(world)[command], "--out", out)
        refused(capsys, str(out), "stream", packed, out)
        refused(capsys, str(out), "export", world / "encoder é", "--out", out)
        refused(capsys, str(out), "data", "check", "class_folders", "--data_dir", out)
    refused(capsys, "is a file", "data", "download", "speech_commands", "--data_dir", file)
    refused(
        capsys, "--data_dir", "data", "download", "speech_commands", "--yes", "--data_dir", nowhere
    )
    refused(capsys, "--chunk_bytes", "stream", packed, "chunks", "--chunk_bytes", "0")


def test_inputs_that_are_missing_empty_or_of_another_kind(world, capsys, here):
    (world / "empty").mkdir(exist_ok=True)
    wav = world / "clips ß/a/clip 0.wav"
    for place in (world / "nowhere", world / "empty", world / "file"):
        refused(capsys, str(place), "hear", place, "--aug_list", "gain", "--out", "out")
        refused(capsys, str(place), "stream", place, "out")
        refused(
            capsys,
            str(place),
            "pack",
            "--data.data_dir",
            place,
            "--data.target_sample_rate",
            "8000",
            "--out",
            "out",
        )
        refused(capsys, str(place), "data", "check", "class_folders", "--data_dir", place)
        for command in (["export"], ["import", "clmr"]):
            refused(capsys, str(place), *command, place, "--out", "out")
    for command in (["export"], ["import", "panns"]):
        refused(capsys, str(wav), *command, wav, "--out", "out")


@pytest.mark.parametrize("where", ["file", "shut"])
def test_a_cache_that_cannot_be_used_stops_no_command_but_those_that_keep_results_there(
    world, capsys, monkeypatch, where
):
    places = {"file": world / "file", "shut": world / "shut"}
    if where == "shut":  # by hand, since root may search any folder

        def closed(function):
            def answer(path, *args, **kwargs):
                if str(path).startswith(str(world / "shut")):
                    raise PermissionError(13, "Permission denied", str(path))
                return function(path, *args, **kwargs)

            return answer

        for name in ("stat", "mkdir", "open"):
            monkeypatch.setattr(os, name, closed(getattr(os, name)))
    monkeypatch.setenv("SEMISUPCON_CACHE", f"{places[where]}/deep")
    assert run(capsys, *commands(world)["data check"])[0] == 0
    assert run(capsys, *commands(world)["pack"])[0] == 0
    assert run(capsys, *commands(world)["embed"])[0] == 0
    code, text = run(capsys, *commands(world)["probe"])
    assert code == 2
    assert "--cache_dir" in text
    code, text = run(capsys, "data", "check", "synthetic_tags")
    assert code == 2
    assert "SEMISUPCON_CACHE" in text


def test_without_a_home_folder_nothing_can_be_kept(monkeypatch):
    monkeypatch.delenv("SEMISUPCON_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def none(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", none)
    assert str(cache_folder()).startswith(os.devnull)


@pytest.mark.parametrize(("label", "one"), [("label", {"label": "a"}), ("value", {"value": 0.5})])
def test_knn_answers_where_all_training_clips_are_of_one_class_or_value(
    world, capsys, caplog, tmp_path, label, one
):
    table = pd.read_csv(world / "clips ß/clips.csv")
    for column, value in one.items():
        table.loc[table["split"] == "train", column] = value
    table["path"] = [str(world / "clips ß" / path) for path in table["path"]]
    (tmp_path / "set").mkdir()
    table.to_csv(tmp_path / "set/clips.csv", index=False)
    args = commands(world)["probe"] + [
        "--data_dirs.csv",
        tmp_path / "set",
        "--task_kwargs.csv.label",
        label,
        "--methods",
        "knn",
    ]
    args += ["--task_kwargs.csv.kind", "regression"] if label == "value" else []
    code, text = run(capsys, *args, "--resamples", "20")
    assert code == 0, text
    assert "all training clips have the same class or value" in caplog.text


def test_a_head_that_diverges_says_so(world, capsys):
    code, text = run(capsys, *commands(world)["probe"], "--methods", "mlp", "--training.lr", "1e30")
    assert code == 2
    assert "Lower --training.lr" in text
