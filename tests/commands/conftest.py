"""A tiny encoder, and heads of every kind for it."""

import numpy as np
import pytest
import torch

from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNNSmall
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.calibrating import Calibration
from semisupcon.probing.methods.head import new_head, save_head


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """An exported encoder of segments of 0.25 s at 8 kHz, with embeddings of 16 values."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="session")
def saved(small, tmp_path_factory):
    """Saves a head of the encoder: ``saved(kind, classes, **header)``."""
    subject = load_subject(str(small))
    folder = tmp_path_factory.mktemp("heads")

    def save(kind, classes, calibration=None, aggregation="embedding", named=None, **header):
        head = new_head("linear", 16, len(classes), kind, seed=1)
        head.scale /= 300  # the embeddings of an untrained encoder differ little
        draw = np.random.default_rng(0).standard_normal(len(classes))
        head.target_mean += torch.from_numpy(draw).float()
        names = list(classes) if named is None else named
        about = {"classes": names, "aggregation": aggregation, "task": "t"}
        about |= {"encoder": subject.fingerprint()} | header
        file = folder / f"{kind}-{len(list(folder.iterdir()))}.safetensors"
        save_head(head, file, about, calibration)
        return file

    return save


@pytest.fixture(scope="session")
def tags(saved):
    """A multilabel head with temperature and thresholds."""
    return saved("multilabel", ["=risky", "b", "c\tc"], Calibration(2.0, (0.4, 0.5, 0.6)))
