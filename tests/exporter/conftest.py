"""An exported folder, and a stub of the Hugging Face hub."""

import time

import pytest
import torch
from hub_server import Hub

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNNSmall


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported folder with a card, as the command writes it."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=8000, segment_samples=400)
    made = export_encoder(encoder, tmp_path_factory.mktemp("made") / "run")
    out = tmp_path_factory.mktemp("out") / "mine"
    assert main(["export", str(made), "--out", str(out), "--licence", "cc-by-4.0"]) == 0
    return out


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The stub; logged in, with an empty cache."""
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", server.token)
    # huggingface_hub reads the variable once, when it is imported.
    constants = "huggingface_hub.constants"
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", server.url)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "all"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # before each repetition
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(hub, folder):
    """The model me/mine on the stub."""
    hub.models["me/mine"] = {file.name: file.read_bytes() for file in folder.iterdir()}
    return hub.models["me/mine"]
