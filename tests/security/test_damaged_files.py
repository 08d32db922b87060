"""Files that a broken disk or a stranger has changed, through the commands: refused in a sentence,
or made again; never used."""

import csv
import json
import logging
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from hostile import content, save

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.commands.probe import main as probe
from semisupcon.data.packed.checks import HEADER, INDEX
from semisupcon.digests import digest_of, read_json, with_digest
from semisupcon.encoders import SampleCNNSmall
from semisupcon.paths import cache_folder


def refused(status, capsys, *words):
    said = capsys.readouterr().err
    assert status == 2
    said = said[said.index("error: ") :]  # Progress of an earlier command stands before it.
    assert said.strip().count("\n") <= 2
    for word in words:
        assert word in said


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    state = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.fixture
def clip(tmp_path):
    soundfile.write(
        tmp_path / "clip.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 8000
    )
    return tmp_path / "clip.wav"


def embed(clip, what):
    return main(
        [
            "embed",
            str(clip),
            "--checkpoint",
            str(what),
            "--out",
            str(clip.parent / "e.npy"),
            "--overwrite",
        ]
    )


# Checkpoints, exports, heads.


@pytest.mark.parametrize("share", np.linspace(0.3, 0.9, 9))
def test_a_flipped_bit_of_a_checkpoint_is_found(clip, tmp_path, capsys, share):
    path = save(content(), tmp_path / "run")
    whole = path.read_bytes()
    tensors = [v for v in content()["state_dict"].values() if v.numel() > 8]
    at = whole.index(tensors[int(share * len(tensors))].numpy().tobytes())
    flip(path, at + 2)
    torch.load(path, weights_only=True)  # Torch itself sees nothing.
    refused(embed(clip, path), capsys, "last.ckpt", "checksum")
    path.write_bytes(whole)
    assert embed(clip, path) == 0


def test_a_resume_reads_no_flipped_bit(digits, tmp_path, capsys):
    from tests.pretraining.runs import pretrain

    runs = tmp_path / "runs"
    assert pretrain(digits, runs, "--run_name", "run", "--trainer.max_steps", "1") == 0
    path = runs / "run" / "last.ckpt"
    weight = torch.load(path, weights_only=True)["state_dict"]["encoder.trunk.0.0.weight"]
    flip(path, path.read_bytes().index(weight.numpy().tobytes()))
    resume = ("--resume_from_checkpoint", str(path), "--trainer.max_steps", "2")
    refused(pretrain(digits, runs, *resume), capsys, "checksum")


def test_checkpoints_without_checksums_are_read(clip, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = save(content(), tmp_path / "run")
    finally:
        torch.serialization.set_crc32_options(True)
    assert embed(clip, path) == 0


@pytest.fixture
def export(tmp_path):
    torch.manual_seed(0)
    return export_encoder(
        SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000),
        tmp_path / "model",
        {"note": "x"},
    )


def test_a_changed_export_is_found(export, clip, capsys):
    flip(export / "model.safetensors", (export / "model.safetensors").stat().st_size - 30)
    refused(embed(clip, export), capsys, "changed after the export")
    flip(export / "model.safetensors", (export / "model.safetensors").stat().st_size - 30)
    config = json.loads((export / "config.json").read_text())
    (export / "config.json").write_text(json.dumps(config | {"about": {"note": "edited"}}))
    assert embed(clip, export) == 0
    config["encoder"]["init_args"]["segment_samples"] = 2001
    (export / "config.json").write_text(json.dumps(config))
    refused(embed(clip, export), capsys, "changed after the export", 'remove its "digest"')
    del config["digest"]  # As version 0.1 wrote it.
    (export / "config.json").write_text(json.dumps(config))
    assert embed(clip, export) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("exported", [True, False])
def test_weights_that_are_not_finite_are_refused(clip, tmp_path, capsys, value, exported):
    what = content()
    name = next(name for name in what["state_dict"] if name.endswith("running_mean"))
    what["state_dict"][name][0] = value
    if exported:
        encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
        with torch.no_grad():
            next(encoder.parameters()).view(-1)[0] = value
        source = export_encoder(encoder, tmp_path / "model")
    else:
        source = save(what, tmp_path / "run")
    refused(embed(clip, source), capsys, "NaN or infinite", "earlier checkpoint")


@pytest.mark.parametrize(
    "spec",
    [
        7,
        [],
        "SampleCNN",
        {"init_args": {}},
        {"class_path": "LinearHead", "init_args": {"in_dim": 2, "out_dim": 2}},
    ],
)
def test_a_description_of_something_else_than_an_encoder(clip, tmp_path, capsys, spec):
    what = content()
    what["semisupcon"]["encoder"] = spec
    refused(embed(clip, save(what, tmp_path / "run")), capsys, "its encoder is described")


PARTS = {
    "optimizer_states": [7, {}, [7], [{"state": {}}]],
    "lr_schedulers": ["x", [None]],
    "callbacks": [[], {"KeepCheckpoints": 7}],
    "loops": [7, {"fit_loop": []}],
    "global_step": [None, "x", -1],
    "epoch": [[], 1.5],
    "semisupcon": [7, {"config": []}, {"training": "x"}],
}


@pytest.mark.parametrize(
    ("part", "value"), [(part, value) for part, values in PARTS.items() for value in values]
)
def test_parts_of_other_types_are_refused_before_anything_is_restored(part, value):
    from semisupcon.errors import CheckpointError
    from semisupcon.training.contents import check_run

    good = {
        "state_dict": {},
        "global_step": 1,
        "epoch": 0,
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "semisupcon": {},
    }
    check_run(good, "last.ckpt")
    with pytest.raises(CheckpointError, match=part):
        check_run(good | {part: value}, "last.ckpt")


def test_a_run_whose_files_are_damaged_is_resumed(digits, tmp_path, capsys, caplog):
    from tests.pretraining.runs import pretrain

    runs = tmp_path / "runs"
    assert pretrain(digits, runs, "--run_name", "run", "--trainer.max_steps", "3") == 0
    run = runs / "run"
    whole = (run / "metrics.csv").read_text()
    rows = whole.splitlines(keepends=True)
    (run / "run.json").write_bytes((run / "run.json").read_bytes()[:40])
    resume = ("--resume_from_checkpoint", str(run), "--trainer.max_steps", "4")

    broken = torch.load(run / "last.ckpt", weights_only=True)
    state = broken["optimizer_states"][0]["state"]
    state[next(iter(state))]["exp_avg"] = 7
    torch.save(broken, tmp_path / "broken.ckpt")
    assert (
        pretrain(
            digits,
            runs,
            "--resume_from_checkpoint",
            str(tmp_path / "broken.ckpt"),
            "--trainer.max_steps",
            "4",
        )
        == 2
    )
    assert "state of its optimizer is damaged" in capsys.readouterr().err

    (run / "metrics.csv").write_bytes(
        "".join([*rows[:2], "1\n", "\0" * 30 + "\n", rows[2], "2,0,0.1"]).encode()
    )
    with caplog.at_level(logging.WARNING):
        assert pretrain(digits, runs, *resume) == 0
    assert "run.json is damaged" in caplog.text
    assert "3 damaged rows are dropped, the first in line 3" in caplog.text
    with (run / "metrics.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["step"] for row in found[:2]] == [rows[1].split(",")[0], rows[2].split(",")[0]]
    assert all(None not in row and None not in row.values() for row in found)


# Packed sets.


@pytest.fixture
def packing(tmp_path):
    (tmp_path / "audio").mkdir()
    for i in range(4):
        soundfile.write(
            tmp_path / "audio" / f"{i}.wav",
            0.1 * np.random.default_rng(i).standard_normal(90000),
            8000,
        )
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"data": {"data_dir": str(tmp_path / "audio"), "target_sample_rate": 8000}})
    )
    options = ["pack", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "packed")]
    assert main(options) == 0
    return options


HEADERS = [
    {"sample_rate": "8000"},
    {"sample_rate": 0},
    {"shards": []},
    {"shards": [-5]},
    {"shards": 3},
    {"shards": [True]},
    {"sources": None},
    {"sources": {}},
    {"classes": "ab"},
    {"classes": [1]},
    {"kind": "other"},
    {"kind": []},
    {"clips": None},
    {"hours": "x"},
    {"index_digest": 7},
    {"version": "2"},
]


@pytest.mark.parametrize("change", HEADERS)
def test_a_header_with_other_values_is_refused(packing, tmp_path, capsys, change):
    file = tmp_path / "packed" / HEADER
    file.write_text(json.dumps(with_digest(read_json(file) | change)))
    refused(main(packing), capsys, "packed")
    refused(main([*packing, "--verify"]), capsys, str(tmp_path / "packed"))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("offset", 10**9),
        ("offset", -8),
        ("shard", -1),
        ("shard", 9),
        ("frames", 0),
        ("frames", -1),
        ("frames", 2**62),
        ("path", 7),
        ("split", None),
    ],
)
def test_an_index_that_leads_out_of_the_shards_is_refused(packing, tmp_path, capsys, column, value):
    folder = tmp_path / "packed"
    table = pd.read_parquet(folder / INDEX)
    table[column] = (
        [value, *table[column][1:]] if isinstance(value, int) and column != "path" else value
    )
    table["crc"] = 0  # The checksum of no samples.
    table.to_parquet(folder / INDEX)
    header = read_json(folder / HEADER) | {
        "index_digest": digest_of(folder / INDEX, folder / "targets.npy")
    }
    (folder / HEADER).write_text(json.dumps(with_digest(header)))
    refused(main([*packing, "--verify"]), capsys, INDEX)


def test_a_flipped_bit_of_a_header_is_found(packing, tmp_path, capsys):
    file = tmp_path / "packed" / HEADER
    text = file.read_text()
    file.write_text(text.replace('"sample_rate": 8000', '"sample_rate": 8001'))
    refused(main(packing), capsys, "its content was changed")
    file.write_text(text.replace('"digest"', '"digesu"'))
    refused(main(packing), capsys, "not what was written")


def test_content_of_the_same_size_and_time_is_found_by_verify(packing, tmp_path, capsys, caplog):
    folder = tmp_path / "packed"
    with caplog.at_level(logging.INFO):
        assert main([*packing, "--verify"]) == 0
    assert "4 of their source files exist and are unchanged" in caplog.text
    flip(folder / "audio-00000.pcm", 5001)
    refused(main([*packing, "--verify"]), capsys, "1 clips are not what was packed")
    flip(folder / "audio-00000.pcm", 5001)
    source = tmp_path / "audio" / "2.wav"
    flip(source, 90_000)  # Far from both ends.
    refused(main([*packing, "--verify"]), capsys, "2.wav", "Pack them again")
    os.utime(source)  # Another time: it is read without being asked for.
    refused(main(packing), capsys, "clips have changed")


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[]", b'{"shards": 3}', b"\xff\xfe"])
def test_what_is_remembered_of_a_packed_set_is_made_again(packing, spoilt):
    (seen,) = cache_folder().glob("packed-*.json")
    seen.write_bytes(spoilt)
    assert main(packing) == 0
    assert read_json(seen)["shards"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "user cache"))


@pytest.mark.parametrize(
    "spoilt", ["", "{", "[[1]]", "[[1, 2], [3, 4], [5, -1], [0, 0]]", '[["a", 0]]', "null"]
)
def test_notes_and_plan_of_an_interrupted_packing_are_made_again(packing, tmp_path, spoilt):
    folder = tmp_path / "packed"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("plan.json", "audio-00000.pcm.json"):
        (folder / HEADER).unlink()
        plan = json.dumps({"fingerprint": json.loads(whole[HEADER])["fingerprint"]})
        (folder / "plan.json").write_text(plan if name != "plan.json" else spoilt)
        (folder / "audio-00000.pcm.json").write_text(spoilt)
        assert main(packing) == 0
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


# Probes.


def probe_options(tones, exported, folder):
    options = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={tones}",
        "--checkpoints",
        str(exported),
        "--resamples=10",
        "--training.max_epochs=2",
    ]
    return [*options, "--out", str(folder / "out"), "--cache_dir", str(folder / "cache")]


@pytest.fixture(scope="module")
def probed_once(tones, exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probed")
    assert probe(probe_options(tones, exported, folder)) == 0
    return folder


@pytest.fixture
def probing(tones, exported, probed_once, tmp_path):
    shutil.copytree(probed_once, tmp_path, dirs_exist_ok=True)
    return probe_options(tones, exported, tmp_path), tmp_path / "out", tmp_path / "cache"


CACHES = {
    "an empty index": lambda npy, index: index.write_text(""),
    "half an index": lambda npy, index: index.write_text(index.read_text()[:60]),
    "a list": lambda npy, index: index.write_text("[]"),
    "another encoder": lambda npy, index: index.write_text(
        json.dumps(read_json(index) | {"encoder": "x"})
    ),
    "sizes that are none": lambda npy, index: index.write_text(
        json.dumps(read_json(index) | {"sizes": "x"})
    ),
    "too many sizes": lambda npy, index: index.write_text(
        json.dumps(read_json(index) | {"sizes": [1] * 1000})
    ),
    "a size too large": lambda npy, index: index.write_text(
        json.dumps(read_json(index) | {"sizes": [10**6] * 90})
    ),
    "no clips": lambda npy, index: index.write_text(
        json.dumps({k: v for k, v in read_json(index).items() if k != "clips"})
    ),
    "a flipped bit of the index": lambda npy, index: flip(
        index, index.read_text().index('"sizes": [') + 10
    ),
    "a flipped bit of the values": lambda npy, index: flip(npy, 500),
    "cut values": lambda npy, index: os.truncate(npy, 300),
    "no values": lambda npy, index: npy.unlink(),
    "empty values": lambda npy, index: npy.write_bytes(b""),
    "text": lambda npy, index: npy.write_text("x" * 500),
}


@pytest.mark.parametrize("harm", CACHES)
def test_damaged_embeddings_are_made_again(probing, caplog, harm):
    options, out, cache = probing
    options = [*options, "--projection=none", "--overwrite"]
    before = (out / "results.csv").read_text()
    (npy,) = cache.rglob("*.npy")
    CACHES[harm](npy, npy.with_suffix(".json"))
    (out / "results.csv").unlink()
    assert probe(options) == 0
    assert "Removed damaged cached embeddings" in caplog.text
    without = [
        [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in csv.DictReader(text.splitlines())
        ]
        for text in (before, (out / "results.csv").read_text())
    ]
    assert without[0] == without[1]
    (again,) = cache.rglob("*.npy")
    assert again != npy


def test_audio_of_the_same_size_and_time_is_found_by_verify(tones, exported, tmp_path):
    clips, cache = tmp_path / "clips", tmp_path / "cache"
    shutil.copytree(tones, clips)
    options = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={clips}",
        "--checkpoints",
        str(exported),
        "--cache_dir",
        str(cache),
    ]
    options += ["--resamples=10", "--projection=none", "--methods=knn", "--out"]
    assert probe([*options, str(tmp_path / "a")]) == 0
    flip(clips / "03.wav", 500)
    assert probe([*options, str(tmp_path / "b")]) == 0
    assert len(list(cache.rglob("*.npy"))) == 1  # It is taken to be unchanged.
    assert probe([*options, str(tmp_path / "c"), "--verify=true"]) == 0
    assert len(list(cache.rglob("*.npy"))) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": "x"}'])
def test_remembered_hashes_are_made_again(probing, text):
    options, _, cache = probing
    before = read_json(cache / "content.json")
    (cache / "content.json").write_text(text)
    assert probe(options) == 0
    assert read_json(cache / "content.json") == before


def test_damaged_parts_of_results_are_left_out_or_made_again(probing, capsys, caplog):
    options, out, _ = probing
    (map_file,) = (out / "maps").glob("*.json")
    whole = map_file.read_text()
    map_file.write_text(whole[:100])
    for curve in (out / "curves").glob("*.json"):
        curve.write_text("{}")
    assert probe(options) == 0
    assert map_file.read_text() == whole
    (predictions,) = (out / "predictions").glob("*.csv")
    rows = predictions.read_text()
    predictions.write_text(rows[:200])
    capsys.readouterr()
    refused(probe(options), capsys, "Delete it and repeat the command")
    predictions.unlink()
    caplog.clear()
    assert probe(options) == 0
    assert "1 predictions are missing" in caplog.text
    assert predictions.read_text() == rows


def test_a_flipped_bit_of_a_head_is_found(probing, capsys):
    options, out, _ = probing
    (head,) = (out / "heads").glob("*.safetensors")
    saved = [*options, "--test_only", "--head", str(head)]
    assert probe(saved) == 0
    flip(head, head.stat().st_size - 20)
    capsys.readouterr()
    refused(probe(saved), capsys, "it is damaged")
