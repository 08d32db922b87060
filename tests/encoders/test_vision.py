"""Image encoders: stochastic depth is really there, and they need nothing that other encoders do
not."""

import subprocess
import sys

import pytest
import timm
import torch
from timm.layers import DropPath

from semisupcon.encoders import (
    ConvNeXtTiny,
    EfficientNetB0,
    MultiFormat,
    ResNet2d,
    SampleCNNSmall,
    TimmEncoder,
)
from semisupcon.frontends import LogMel, audax_log_mel, cola_log_mel, mfcl_log_mel


def drop_paths(encoder):
    return [m.drop_prob for m in encoder.modules() if isinstance(m, DropPath)]


def test_efficientnet_drops_paths_as_published():
    """0, 0.0125, ..., 0.1875 along 16 blocks, on the nine that have a shortcut."""
    blocks = [m for m in EfficientNetB0().modules() if hasattr(m, "has_skip")]
    with_shortcut = [i for i in range(16) if i not in (0, 1, 3, 5, 8, 11, 15)]
    assert [i for i, block in enumerate(blocks) if block.has_skip] == with_shortcut
    assert [blocks[i].drop_path.drop_prob for i in with_shortcut] == pytest.approx(
        [0.2 * i / 16 for i in with_shortcut]
    )


def test_convnext_drops_paths_in_training_only():
    with torch.device("meta"):
        assert drop_paths(ConvNeXtTiny(drop_path=0.1)) == pytest.approx(
            [0.1 * i / 17 for i in range(1, 18)]
        )
    encoder = TimmEncoder("convnext_atto", drop_path=0.9)
    for m in encoder.modules():
        if hasattr(m, "gamma"):
            torch.nn.init.ones_(m.gamma)
    x = torch.randn(4, 1, 8000, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert not torch.equal(encoder.train()(x), encoder(x))
    assert torch.equal(encoder.eval()(x), encoder(x))


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv3_small_050",
        "ghostnet_050",
        "vgg11",
        "efficientnet_b0",
        "convnext_atto",
        "resnet10t",
    ],
)
def test_nothing_is_kept_that_never_learns(name):
    """Distributed training waits for the gradient of every parameter; some models have layers
    between their map and the classifier."""
    with torch.device("meta"):
        encoder = TimmEncoder(name)
        encoder.from_features(torch.empty(2, 1, 64, 98)).sum().backward()
    assert [key for key, p in encoder.named_parameters() if p.grad is None] == []


def test_what_is_dropped_changes_no_feature():
    encoder = TimmEncoder("mobilenetv3_small_050")
    whole = timm.create_model("mobilenetv3_small_050", in_chans=1)
    whole.load_state_dict(encoder.trunk.model.state_dict(), strict=False)
    x = torch.randn(2, 1, 64, 98, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder.eval().trunk(x), whole.eval().forward_features(x))
    encoder.train()(torch.randn(3, 1, 16_000)).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize(
    ("frontend", "samples", "shape"),
    [
        (cola_log_mel, 16_000, (2, 4)),
        (audax_log_mel, 15_360, (2, 4)),
        (cola_log_mel, 15_680, (2, 3)),
    ],
)
def test_efficientnet_map_sizes(frontend, samples, shape):
    """4 x 2 for 98 or 100 frames of 64 bands, 3 x 2 for 96."""
    encoder = EfficientNetB0(frontend=frontend()).eval()
    with torch.no_grad():
        assert encoder.trunk(encoder.features(torch.randn(1, 1, samples))).shape[2:] == shape


def test_formats_meet_their_own_encoders():
    waveform, spectrogram = (
        SampleCNNSmall([4, 8], sample_rate=16000),
        ResNet2d(width=2, frontend=mfcl_log_mel()),
    )
    both = MultiFormat(waveform, spectrogram).eval()
    x, length = torch.randn(2, 1, 16_000), torch.tensor([16_000, 9_000])
    assert torch.equal(
        both(x, length), torch.cat([waveform(x, length), spectrogram(x, length)], dim=1)
    )
    assert both.features(x, task="spectrogram").shape == (2, 1, 80, 101)
    assert torch.equal(both(x, task="spectrogram"), spectrogram(x))
    assert [f.shape[1] for f in both.features(x)] == [1, 1]


def test_waveform_encoders_need_neither_torchaudio_nor_timm():
    script = (
        "import sys\n"
        "for name in ('torchaudio', 'timm', 'torchvision', 'pytorch_lightning', 'wandb', "
        "'matplotlib'): sys.modules[name] = None\n"
        "import torch\n"
        "from semisupcon.encoders import SampleCNNSmall\n"
        "import semisupcon.heads, semisupcon.importer\n"
        "print(tuple(SampleCNNSmall()(torch.zeros(2, 1, 4000)).shape))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "(2, 256)\n", done.stderr


def test_front_end_constants_reach_the_model():
    assert (
        TimmEncoder(
            "mobilenetv3_small_050", frontend=LogMel(n_mels=32, sample_rate=22_050)
        ).sample_rate
        == 22_050
    )
