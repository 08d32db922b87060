"""The adapters have the interfaces of their benchmarks, and give the embeddings of ``semisupcon
embed``. The packages of the benchmarks are not needed here; test_benchmark_packages.py uses them."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from semisupcon.adapters import hear, marble, mteb, xares
from semisupcon.adapters.common import Adapter
from semisupcon.errors import AudioError, CheckpointError, ConfigError, UserError
from semisupcon.probing.embeddings.encoders import load_subject
from tests.adapters.conftest import DIM, RATE, SEGMENT

CLOSE = {"rtol": 0, "atol": 1e-6}


def test_hear(checkpoint, clips, embedded):
    model = hear.load_model(str(checkpoint))
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (
        RATE,
        DIM,
        DIM,
    )
    audio = torch.from_numpy(clips)
    scenes = hear.get_scene_embeddings(audio, model)
    np.testing.assert_allclose(scenes.numpy(), embedded["file"], **CLOSE)
    embeddings, times = hear.get_timestamp_embeddings(audio, model)
    assert (embeddings.shape, times.shape) == ((4, 32, DIM), (4, 32))  # 1.6 s every 50 ms
    np.testing.assert_allclose(times[0, :3], [25, 75, 125])
    seconds = hear.load_model(checkpoint, hop_ms=1000)
    embeddings, times = hear.get_timestamp_embeddings(audio, seconds)
    np.testing.assert_allclose(embeddings.flatten(0, 1).numpy(), embedded["second"], **CLOSE)
    assert times[0].tolist() == [500, 1500]


def test_hear_resamples_to_the_rate_of_the_encoder(tmp_path, clips):
    from semisupcon.checkpoints import export_encoder
    from semisupcon.encoders import SampleCNNSmall

    encoder = SampleCNNSmall(widths=[8, DIM], stem=20, sample_rate=8000, segment_samples=2000)
    model = hear.load_model(export_encoder(encoder.eval(), tmp_path / "slow"))
    assert model.sample_rate == 16000
    import soxr

    slow = soxr.resample(clips[0], 16000, 8000)
    expected = encoder.embed([slow])
    found = hear.get_scene_embeddings(torch.from_numpy(clips[:1]), model)
    np.testing.assert_allclose(found.numpy(), expected, **CLOSE)


def test_xares(checkpoint, clips, embedded, monkeypatch):
    # X-ARES takes the only name of the module that ends in Encoder, and gives no arguments.
    (name,) = [name for name in dir(xares) if name.endswith("Encoder")]
    monkeypatch.setenv("SEMISUPCON_CHECKPOINT", str(checkpoint))
    encoder = getattr(xares, name)()
    assert (encoder.sampling_rate, encoder.output_dim, encoder.hop_size_in_ms) == (RATE, DIM, 250)
    frames = encoder(torch.from_numpy(clips))
    assert frames.shape == (4, 7, DIM)  # of 6.4 segments
    np.testing.assert_allclose(frames.mean(dim=1).numpy(), embedded["file"], **CLOSE)
    assert encoder(torch.randn(2, 50)).shape == (2, 1, DIM)
    # Its results are kept by the name of the class.
    assert type(encoder).__name__.endswith("Encoder")
    assert encoder.fingerprint in type(encoder).__name__
    monkeypatch.setenv("SEMISUPCON_HOP_MS", "100")
    fine = getattr(xares, name)()
    assert (fine.hop_size_in_ms, fine(torch.from_numpy(clips)).shape[1]) == (100, 16)
    assert type(fine).__name__ != type(encoder).__name__
    monkeypatch.setenv("SEMISUPCON_HOP_MS", "fast")
    with pytest.raises(ConfigError, match="SEMISUPCON_HOP_MS is a number of milliseconds"):
        getattr(xares, name)()


def test_mteb_batches(checkpoint, clips, embedded):
    rows = [{"audio": {"array": clip, "sampling_rate": RATE}} for clip in clips]
    rows[1]["audio"]["array"] = np.stack([clips[1], clips[1]]).astype(np.float64)  # two channels
    found = mteb.encode(Adapter(checkpoint), DataLoader(rows, batch_size=3))
    np.testing.assert_allclose(found, embedded["file"], **CLOSE)
    with pytest.raises(ConfigError, match="rows without audio"):
        mteb.encode(Adapter(checkpoint), DataLoader([{"text": "a"}], batch_size=1))


def test_a_missing_mteb_is_named(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(ConfigError, match="pip install mteb"):
        mteb.load(checkpoint)


def test_marble(checkpoint, clips, embedded):
    encoder = marble.MarbleEncoder(str(checkpoint))
    assert (encoder.sample_rate, encoder.NUM_FEATURES, encoder.TOKEN_RATE) == (RATE, DIM, 4)
    frames = encoder(torch.from_numpy(clips)[:, None])  # MARBLE gives [B, channels, T]
    assert frames.shape == (4, 7, DIM)
    np.testing.assert_allclose(frames.mean(dim=1).numpy(), embedded["file"], **CLOSE)
    (layer,) = marble.MarbleEncoder(str(checkpoint), as_layers=True)(torch.from_numpy(clips))
    torch.testing.assert_close(layer, frames, rtol=0, atol=0)
    encoder.train()
    assert not any(part.training for part in encoder.adapter.modules())


def test_marble_extends_its_base_class(monkeypatch):
    """A stub of MARBLE, which is not on PyPI: its published abstract base class."""
    stub = ModuleType("marble.core.base_encoder")

    class BaseEncoder(torch.nn.Module):
        pass

    stub.BaseEncoder = BaseEncoder
    for name in ("marble", "marble.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "marble.core.base_encoder", stub)
    assert marble._base() is BaseEncoder
    monkeypatch.setitem(sys.modules, "marble.core.base_encoder", None)
    assert marble._base() is torch.nn.Module


def test_mistakes(checkpoint, clips, tmp_path, monkeypatch):
    monkeypatch.delenv("SEMISUPCON_CHECKPOINT", raising=False)
    for load in (hear.load_model, xares.SemisupconEncoder, marble.MarbleEncoder):
        with pytest.raises(ConfigError, match="environment variable SEMISUPCON_CHECKPOINT"):
            load()
        with pytest.raises(CheckpointError, match="No checkpoint at"):
            load(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="at least one sample"):
        Adapter(checkpoint, hop_ms=0)
    adapter = Adapter(checkpoint)
    for audio, told in (
        (torch.zeros(5), "is \\[B, T\\] or"),
        (torch.zeros(2, 10, dtype=torch.int16), "in floating point"),
        (torch.zeros(1, 0), "holds no samples"),
        (torch.full((1, 10), 1e9), "cannot be used"),
    ):
        with pytest.raises(UserError, match=told):
            marble.MarbleEncoder(checkpoint)(audio)
    with pytest.raises(AudioError, match="holds no samples"):
        adapter.clip_embeddings([np.zeros(0, np.float32)])
    assert os.environ.get("SEMISUPCON_CHECKPOINT") is None


def test_weights_have_one_fingerprint(checkpoint):
    assert Adapter(checkpoint).fingerprint == Adapter(checkpoint, 10).fingerprint
    assert len(Adapter(checkpoint).fingerprint) == 8
    assert load_subject(str(checkpoint)).encoder.segment_samples == SEGMENT


def test_mteb_gets_the_facts_of_the_model(checkpoint, monkeypatch):
    """Against a stub of mteb; tests/adapters/test_benchmark_packages.py has the package."""
    models, abstract = ModuleType("mteb.models"), ModuleType("mteb.models.abs_encoder")
    models.ModelMeta = lambda **values: SimpleNamespace(**values)
    abstract.AbsEncoder = object
    for module in (ModuleType("mteb"), models, abstract):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    meta = mteb.load(checkpoint, "me/mine").mteb_model_meta
    encoder = Adapter(checkpoint).encoder
    assert (meta.name, meta.n_parameters) == (
        "me/mine",
        sum(p.numel() for p in encoder.parameters()),
    )
    assert meta.embed_dim == encoder.embedding_dim
    million = SimpleNamespace(numel=lambda: 10_000_000)
    monkeypatch.setattr(type(encoder), "parameters", lambda self: [million])
    assert mteb.load(checkpoint).mteb_model_meta.memory_usage_mb == 38  # MiB of float32
