"""What a file names never becomes a path outside its folder; what is written as text is never run
by a spreadsheet."""

import csv
import json
import os
import re

import numpy as np
import pytest
import soundfile
import yaml
from hostile import Gadget, pretended_export, watch
from hypothesis import given
from hypothesis import strategies as st

from semisupcon.__main__ import main
from semisupcon.commands.probe import main as probe
from semisupcon.data.packed.checks import HEADER, INDEX
from semisupcon.digests import digest_of, read_json, with_digest
from semisupcon.files import cell, plain_cell
from semisupcon.probing.methods.head import load_head

RISKY = ("=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", "'=x", "''@y")


@pytest.fixture
def packed(tmp_path):
    """A packed set of six clips, made by the command."""
    (tmp_path / "audio").mkdir()
    for i in range(6):
        soundfile.write(
            tmp_path / "audio" / f"{i}.wav",
            0.1 * np.random.default_rng(i).standard_normal(2000),
            8000,
        )
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump({"data": {"data_dir": str(tmp_path / "audio"), "target_sample_rate": 8000}})
    )
    assert main(["pack", "--config", str(config), "--out", str(tmp_path / "packed")]) == 0
    return tmp_path / "packed"


def header_of(folder, **changes):
    (folder / HEADER).write_text(json.dumps(with_digest(read_json(folder / HEADER) | changes)))


@pytest.mark.parametrize(
    "fingerprint",
    ["x/../../ESCAPED", "../ESCAPED", "/ESCAPED", "", "A" * 32, None, 7, ["a"], "a" * 32 + "\0"],
)
def test_the_fingerprint_of_a_packed_set_is_no_path(
    packed, tmp_path, capsys, monkeypatch, fingerprint
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    header_of(packed, fingerprint=fingerprint)
    with watch() as seen:
        status = main(["stream", str(packed), str(tmp_path / "out")])
    assert status == 2
    assert "its fingerprint is" in capsys.readouterr().err
    assert not [what for event, what in seen if "ESCAPED" in what]
    assert not list(tmp_path.rglob("*ESCAPED*"))


def enum_of(name):
    return json.dumps(
        [
            1,
            {
                "type": {"__enum__": True, "fqn": name, "name": "X"},
                "context": None,
                "children_spec": [],
            },
        ]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["config"].update(data_format=["pickle"]),
        lambda index: index["config"].update(data_spec=enum_of("antigravity:X")),
        lambda index: index["config"].update(data_spec="[" * 100_000),
        lambda index: index["config"].update(item_loader="PyTreeLoader"),
        lambda index: index["config"].update(compression="zstd"),
        lambda index: index["config"]["temporal_schema"]["fields"]["audio"].update(dtype="|O"),
        lambda index: index["chunks"][0].update(filename="../../ESCAPED.bin"),
        lambda index: index["chunks"][0].update(filename=None),
        lambda index: index.update(chunks=7),
    ],
)
def test_the_index_of_a_stream_is_read_only_where_it_is_one_of_ours(
    packed, tmp_path, capsys, change
):
    pytest.importorskip("litdata")
    from semisupcon.commands.pretrain import main as pretrain

    assert main(["stream", str(packed), str(tmp_path / "out")]) == 0
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    change(index)
    (tmp_path / "out" / "index.json").write_text(json.dumps(index))
    recipe = [
        "--config",
        "config/pretraining/pretrain_ssl.yaml",
        "--config",
        "config/overlays/small/pretrain_ssl.yaml",
    ]
    tiny = [
        "--model.encoder.sample_rate",
        "8000",
        "--data.target_sample_rate",
        "8000",
        "--data.target_length",
        "0.2",
    ]
    where = [
        "--data.class_path",
        "StreamedDataModule",
        "--data.stream",
        str(tmp_path / "out"),
        "--ckpt_path",
        str(tmp_path / "runs"),
    ]
    assert pretrain([*recipe, *where, *tiny]) == 2
    assert "streamed set is damaged" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*ESCAPED*"))


@pytest.mark.parametrize(
    "header", ["[]", "3", '"x"', "null", "[" * 100_000, "{}", '{"version": 99}']
)
def test_a_header_that_is_none_is_refused_in_a_sentence(packed, tmp_path, capsys, header):
    (packed / HEADER).write_text(header)
    assert main(["stream", str(packed), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: The packed set")


def test_a_pipe_in_the_place_of_a_source_file_is_not_opened(packed, tmp_path):
    pd = pytest.importorskip("pandas")
    os.mkfifo(tmp_path / "pipe")
    clips = pd.read_parquet(packed / INDEX)
    clips.loc[0, "path"] = str(tmp_path / "pipe")
    clips.to_parquet(packed / INDEX)
    header_of(packed, index_digest=digest_of(packed / INDEX, packed / "targets.npy"))
    assert (
        main(["stream", str(packed), str(tmp_path / "out")]) == 0
    )  # Opened, it would wait for ever.


@pytest.fixture
def probed(tones, exported, cache, tmp_path):
    """Options of a probe of a tiny encoder, and its results folder."""
    out = tmp_path / "out"
    options = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={tones}",
        "--checkpoints",
        str(exported),
        "--out",
        str(out),
    ]
    options += ["--cache_dir", str(cache), "--resamples=10", "--projection=none"]
    assert probe(options) == 0
    return options, out


@pytest.mark.parametrize("column", ["predictions", "head"])
@pytest.mark.parametrize("name", ["../../secret.csv", "/etc/passwd", "predictions/../../x", "a\0b"])
def test_results_of_somebody_else_name_no_file_outside_their_folder(probed, capsys, column, name):
    options, out = probed
    rows = list(csv.DictReader((out / "results.csv").open(newline="")))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([row | {column: name} for row in rows])
    with watch() as seen:
        status = probe(options)
    assert status == 2
    assert re.search("is outside its folder|not a results file", capsys.readouterr().err)
    assert not [
        what
        for event, what in seen
        if event == "open" and what.endswith(("secret.csv", "passwd", "/x"))
    ]


def test_a_head_of_somebody_else_is_data(probed, tmp_path, capsys):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    options, out = probed
    (head,) = (out / "heads").glob("*.safetensors")
    with safe_open(head, framework="pt") as file:
        about = json.loads(file.metadata()["head"])
    hostile = [
        about | {"method": "os.system"},
        about | {"in_dim": 10**18},
        about | {"out_dim": "x"},
        about | {"hidden": None, "method": "mlp"},
        [],
    ]
    hostile += [
        {},
        about | {"kind": ["multiclass"]},
        about | {"classes": 7},
        about | {"aggregation": "__import__"},
    ]
    for told in hostile:
        save_file(
            load_file(head), tmp_path / "evil.safetensors", metadata={"head": json.dumps(told)}
        )
        assert (
            probe([*options, "--test_only", "--head", str(tmp_path / "evil.safetensors")]) == 2
        ), told
        assert capsys.readouterr().err.startswith("error: "), told
    assert load_head(head)[1]["method"] == "linear"


def test_the_wandb_run_of_a_stranger_s_run_json_is_no_path(digits, tmp_path, capsys, monkeypatch):
    from tests.pretraining.runs import pretrain

    monkeypatch.setenv("WANDB_MODE", "offline")
    assert pretrain(digits, tmp_path / "runs", "--run_name", "run", "--trainer.max_steps", "1") == 0
    (tmp_path / "runs" / "run" / "run.json").write_text(json.dumps({"wandb_id": "../../ESCAPED"}))
    resume = (
        "--resume_from_checkpoint",
        str(tmp_path / "runs" / "run"),
        "--log",
        "wandb",
        "--trainer.max_steps",
        "2",
    )
    assert pretrain(digits, tmp_path / "runs", *resume) == 2
    assert "The ID of a wandb run has letters" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*ESCAPED*"))


@pytest.mark.parametrize(
    "text",
    [
        "class_path: os.system",
        "class_path: semisupcon.commands.pretrain_cli.PretrainCLI",
        "class_path: SampleCNN\ninit_args: 7",
    ],
)
def test_a_description_of_an_encoder_names_no_other_class(tones, tmp_path, capsys, text):
    (tmp_path / "evil.yaml").write_text(text)
    where = ["--tasks", "pitch=csv", f"--data_dirs.pitch={tones}", "--out", str(tmp_path / "out")]
    assert probe([*where, "--checkpoints", str(tmp_path / "evil.yaml")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_pickled_weights_beside_a_description_are_not_unpickled(tones, tmp_path, capsys):
    import torch

    torch.save({"state_dict": Gadget(tmp_path / "marker")}, tmp_path / "weights.pt")
    (tmp_path / "evil.yaml").write_text("class_path: SampleCNN\nweights: weights.pt")
    where = ["--tasks", "pitch=csv", f"--data_dirs.pitch={tones}", "--out", str(tmp_path / "out")]
    assert probe([*where, "--checkpoints", str(tmp_path / "evil.yaml")]) == 2
    assert not (tmp_path / "marker").exists()


# Spreadsheets.


@given(st.text())
def test_cells_come_back_as_they_were(text):
    assert plain_cell(cell(text)) == text
    assert not re.match(r"[=+\-@\t\r]", str(cell(text))) or _number(text)


def _number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "written"),
    [(-0.5, -0.5), ("-0.5", "-0.5"), ("+1", "+1"), ("=1", "'=1"), ("plain", "plain"), ("'x", "'x")],
)
def test_numbers_stay_numbers(value, written):
    assert cell(value) == written


def formulas(file):
    with file.open(newline="") as lines:
        return [
            text
            for row in csv.reader(lines)
            for text in row
            if re.match(r"[=+\-@\t\r]", text) and not _number(text)
        ]


def test_no_cell_of_a_probe_is_a_formula(exported, cache, tmp_path):
    root, draw = tmp_path / "set", np.random.default_rng(0)
    root.mkdir()
    lines = ["path,split,label"]
    for i in range(24):
        name = f"{('=x', '@y')[i % 2]}{i}.wav"
        soundfile.write(root / name, 0.1 * draw.standard_normal(3000), 8000)
        lines.append(
            f"{name},{('train', 'train', 'val', 'test')[i // 2 % 4]},{('=HYPERLINK()', '-minus')[i % 2]}"
        )
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    options = [
        "--tasks",
        "@task=csv",
        f"--data_dirs.@task={root}",
        "--out",
        str(out),
        "--cache_dir",
        str(cache),
    ]
    options += [
        "--checkpoints",
        f"[+mine={exported},random]",
        "--methods",
        "[linear,knn]",
        "--resamples=10",
        "--projection=none",
    ]
    options += ["--invariance", "[gain]"]
    assert probe(options) == 0
    files = list(out.rglob("*.csv"))
    assert len(files) >= 4
    assert {file.name: formulas(file) for file in files if formulas(file)} == {}
    rows = (out / "results.csv").read_text()
    assert (
        probe(options) == 0
    )  # What was escaped is understood again: nothing is run anew, and the report names things as they are.
    assert (out / "results.csv").read_text() == rows
    page = next(out.glob("*.html")).read_text()
    assert "=HYPERLINK()" in page
    assert "&#x27;=HYPERLINK" not in page


def test_no_cell_beside_embeddings_is_a_formula(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=folder").mkdir()
    soundfile.write(
        tmp_path / "=folder" / "=x.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 8000
    )
    assert main(["embed", "=folder", "--checkpoint", str(exported), "--out", "e.npy"]) == 0
    assert formulas(tmp_path / "e.csv") == []
    assert "'=folder/=x.wav" in (tmp_path / "e.csv").read_text()


def test_an_export_that_is_no_export(tmp_path, capsys):
    folder = pretended_export(tmp_path / "evil", {})
    for config in (
        "[]",
        "7",
        "null",
        "[" * 100_000,
        '{"format": "x", "encoder": {}}',
        '{"format": 0}',
        "{}",
    ):
        (folder / "config.json").write_text(config)
        assert main(["export", str(folder), "--out", str(tmp_path / "out")]) == 2, config
        assert capsys.readouterr().err.startswith("error: "), config
