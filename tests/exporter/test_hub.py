"""`push` and ``hf://user/name``, against a stub of the hub on this machine."""

import json

import numpy as np
import pytest
import soundfile

import semisupcon
from semisupcon.__main__ import main
from semisupcon.errors import CheckpointError, UserError

hub_library = pytest.importorskip("huggingface_hub")


def mistake(capsys, *words):
    """What a command prints that exits with status 2."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as error:
        status = error.code
    text = capsys.readouterr()
    assert status == 2, text.out
    assert "Traceback" not in text.err
    assert "hf_stub" not in text.err + text.out
    return text.err


def test_push_and_load_again(hub, folder, tmp_path, capsys):
    (folder / "notes.txt").write_text("not part of the model")
    (folder / "pretraining_audio.npz").write_bytes(b"fingerprints")
    assert main(["push", str(folder), "--repo", "me/mine", "--private"]) == 0
    text = capsys.readouterr()
    assert f"Uploaded 3 files: {hub.url}/me/mine" in text.out
    assert "hf_stub" not in text.out + text.err
    assert set(hub.models["me/mine"]) == {"README.md", "config.json", "model.safetensors"}
    assert hub.private == {"me/mine"}
    for name, content in hub.models["me/mine"].items():
        assert content == (folder / name).read_bytes()
    encoder = semisupcon.load_encoder("hf://me/mine")
    clip = np.random.default_rng(0).standard_normal(1000).astype(np.float32) / 10
    expected = semisupcon.load_encoder(folder).embed([clip])
    assert np.array_equal(encoder.embed([clip]), expected)
    assert np.array_equal(semisupcon.load("hf://me/mine@v1").embed([clip]), expected)
    soundfile.write(tmp_path / "a.wav", clip, 8000, subtype="FLOAT")
    out = tmp_path / "a.npy"
    words = [str(tmp_path / "a.wav"), "--checkpoint", "hf://me/mine", "--out", str(out)]
    assert main(["embed", *words]) == 0
    np.testing.assert_array_equal(np.load(out), expected)
    assert main(["push", str(folder), "--repo", "me/mine", "--with_record"]) == 0
    assert "pretraining_audio.npz" in hub.models["me/mine"]


def test_a_model_in_the_cache_needs_no_connection(hub, published, monkeypatch):
    semisupcon.load_encoder("hf://me/mine")
    before = len(hub.requests)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    semisupcon.load_encoder("hf://me/mine")
    assert len(hub.requests) == before


def test_names_in_tables_are_those_of_the_model(published):
    from semisupcon.probing.embeddings.encoders import load_subject

    assert load_subject("hf://me/mine@v1").name == "mine"
    assert load_subject("other=hf://me/mine").name == "other"


def test_mistakes_of_addresses(hub, published, capsys, tmp_path, monkeypatch):
    def load(address):
        words = ["embed", __file__, "--out", tmp_path / "a.npy", "--checkpoint", address]
        return mistake(capsys, *words)

    assert "There is no model me/other at" in load("hf://me/other")
    assert "me/mine has no revision 'v9'." in load("hf://me/mine@v9")
    for address in ("hf://mine", "hf://me/../mine", "hf://me/mine/x", "hf://", "hf://me/mine@../x"):
        assert f"'{address}' is not the address of a model." in load(address)
    hub.gated.add("me/mine")
    assert "me/mine is open only to users who accept its terms, at http" in load("hf://me/mine")
    hub.gated.clear()
    hub.private.add("me/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "or it is private.\nLog in with `hf auth login`" in load("hf://me/mine")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set, and config.json of me/mine is not" in load("hf://me/mine")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in load("hf://me/mine")


def test_files_of_a_stranger_are_checked(hub, published, capsys):
    """Nothing of another kind or size is downloaded, and nothing is executed."""
    config = json.loads(published["config.json"])
    hub.models["a/bert"] = {"config.json": b'{"model_type": "bert"}', "model.safetensors": 1}
    with pytest.raises(CheckpointError, match="holds no encoder of semisupcon"):
        semisupcon.load_encoder("hf://a/bert")
    assert not any("model.safetensors" in path for _, path in hub.requests)
    hub.models["a/large"] = {**published, "model.safetensors": 11 << 30}
    with pytest.raises(CheckpointError, match="It was not downloaded"):
        semisupcon.load_encoder("hf://a/large")
    assert ("GET", "/a/large/resolve/" + "a" * 40 + "/model.safetensors") not in hub.requests
    config["encoder"]["class_path"] = "os.system"
    config.pop("digest")
    hub.models["a/evil"] = {**published, "config.json": json.dumps(config).encode()}
    with pytest.raises(CheckpointError, match="nothing was imported"):
        semisupcon.load_encoder("hf://a/evil")
    hub.models["a/damaged"] = {**published, "model.safetensors": b"\0" * 100}
    with pytest.raises(CheckpointError, match="is not a complete exported model"):
        semisupcon.load_encoder("hf://a/damaged")
    hub.models["a/empty"] = {"README.md": b""}
    with pytest.raises(UserError, match=r"a/empty has no config\.json"):
        semisupcon.load_encoder("hf://a/empty")


def test_a_file_that_is_cut_short(hub, published, tmp_path):
    hub.cut.add("model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors of me/mine was cut short"):
        semisupcon.load_encoder("hf://me/mine")
    hub.cut.clear()
    semisupcon.load_encoder("hf://me/mine")


def test_mistakes_of_push(hub, folder, capsys, tmp_path, monkeypatch):
    def push(what, *words):
        return mistake(capsys, "push", what, *words)

    good = ("--repo", "me/mine")
    assert "--repo takes user/name, got 'mine'." in push(folder, "--repo", "mine")
    assert "is no exported folder: it has no config.json." in push(tmp_path, *good)
    bare = tmp_path / "bare"
    words = ["export", str(folder), "--out", str(bare), "--no_card"]
    assert main(words) == 0
    assert "has no README.md." in push(bare, *good)
    (bare / "README.md").write_text("a card")
    assert f"--with_record: {bare} has no" in push(bare, *good, "--with_record")
    assert main(["push", str(bare), *good, "--dry_run"]) == 0
    assert "Nothing was uploaded." in capsys.readouterr().out
    hub.models["me/public"] = {}
    refused = push(folder, "--repo", "me/public", "--private")
    assert "me/public exists and is public" in refused
    assert hub.models == {"me/public": {}}
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "refuses your login" in push(folder, *good)
    monkeypatch.delenv("HF_TOKEN")
    assert "You are not logged in to the Hugging Face hub." in push(folder, *good)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in push(folder, *good)
    (bare / "model.safetensors").write_bytes(b"other")
    assert "is not a complete exported model" in push(bare, *good)
    assert hub.models == {"me/public": {}}
