"""Modules that are none of ours are probed like ours, and nothing that a file names is imported
unasked."""

import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.probing.embeddings.embedder import Embedder
from semisupcon.probing.embeddings.encoders import load_subject, random_twin
from semisupcon.probing.embeddings.tasks import load_task
from semisupcon.probing.embeddings.wrapped import ForeignEncoder


class Flat(nn.Module):
    """Takes [N, T], answers [N, D, F]."""

    def __init__(self, width: int = 5):
        super().__init__()
        self.net = nn.Conv1d(1, width, 40, stride=20)

    def forward(self, x):
        if x.dim() != 2:
            raise ValueError("waveforms are [N, T]")
        return self.net(x[:, None]).relu()


class Ready(Flat):
    """Says what it takes."""

    sample_rate, segment_samples = 8000, 2000


class Wrong(nn.Module):
    def forward(self, x):
        return {"embedding": x}


HERE = __name__


@pytest.fixture
def described(tmp_path):
    torch.manual_seed(1)
    save_file(Flat(7).state_dict(), tmp_path / "flat.safetensors")
    file = tmp_path / "flat.yaml"
    lines = (
        f"class_path: {HERE}.Flat",
        "init_args: {width: 7}",
        "weights: flat.safetensors",
        "sample_rate: 8000",
        "segment_samples: 2000",
    )
    file.write_text("\n".join(lines))
    return file


def test_a_module_by_class_path(tones, cache):
    subject = load_subject(f"{HERE}.Ready", trust=[HERE])
    assert subject.source == "as constructed"
    assert subject.fingerprint() == load_subject(f"{HERE}.Ready", trust=[HERE]).fingerprint()
    assert len({random_twin(subject, seed).fingerprint() for seed in (1, 2, 1)}) == 2
    _, chunks = Embedder(cache).embed(subject, load_task("csv", tones))
    assert chunks.values.shape[1] == 5


def test_a_module_described_in_a_file_with_its_weights(described):
    subject = load_subject(str(described), trust=[HERE])
    x = torch.randn(3, 1, 2000)
    torch.manual_seed(1)
    with torch.no_grad():
        assert torch.equal(subject(x), Flat(7).eval()(x[:, 0]).mean(dim=2))
    twin = random_twin(subject, seed=0)
    assert twin(x).shape == (3, 7)
    assert twin.fingerprint() != subject.fingerprint()


def test_a_class_that_is_not_trusted_is_not_imported(tmp_path):
    file = tmp_path / "evil.yaml"
    file.write_text("class_path: antigravity.Net")
    with pytest.raises(CheckpointError, match="--trust antigravity"):
        load_subject(str(file))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a list", "does not describe an encoder"),
        ("class_path: [", "cannot be read as YAML"),
        (f"class_path: {HERE}.Absent", "cannot be imported"),
        (f"class_path: {HERE}.Flat", "has no attributes sample_rate"),
        (f"class_path: {HERE}.Flat\ninit_args: {{depth: 3}}", "cannot be instantiated"),
        (f"class_path: {HERE}.Ready\nweights: flat.safetensors", "cannot be loaded"),
        (
            f"class_path: {HERE}.Wrong\nsample_rate: 8000\nsegment_samples: 100",
            "does not map waveforms",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(described, text, told):
    described.write_text(text)
    with pytest.raises((CheckpointError, ConfigError), match=told) as caught:
        load_subject(str(described), trust=[HERE])
    assert len(str(caught.value).splitlines()) <= 3


def test_waveforms_with_a_channel_are_tried_first():
    module = nn.Sequential(nn.Conv1d(1, 4, 8), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert ForeignEncoder(module, 8000, 100)(torch.randn(2, 1, 100)).shape == (2, 4)
