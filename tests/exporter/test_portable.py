"""The copies of encoders for export compute what the encoders compute."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool1d

from semisupcon.encoders import (
    AdapterResNet1d,
    AdapterResNet2d,
    EfficientNetB0,
    MultiFormat,
    Res1dNet31,
    ResNet2d,
    SampleCNNSmall,
    TUNePlus,
)
from semisupcon.encoders.dilated import DilatedCNN
from semisupcon.encoders.resnet import halved as halved_eagerly
from semisupcon.encoders.samplecnn import SampleCNN
from semisupcon.encoders.vision import ConvNeXtTiny, TimmEncoder
from semisupcon.errors import UserError
from semisupcon.exporter import export_graph
from semisupcon.exporter.formats import quiet
from semisupcon.exporter.parity import relative, waveforms
from semisupcon.exporter.portable import Windows, halved, pooling, portable
from semisupcon.frontends import (
    L2,
    LogMel,
    PerClip,
    ThreeChannelMel,
    audax_log_mel,
    mfcl_log_mel,
    mtslvr_log_mel,
)
from semisupcon.frontends.planes import fourier_transform, phase
from semisupcon.probing.embeddings.subject import Subject

SMALL = {
    "SampleCNN": lambda: SampleCNNSmall(widths=[4, 8]),
    "log-mel ResNet": lambda: ResNet2d(18, None, width=4),
    "normalised": lambda: ResNet2d(
        18, None, width=4, normalize=PerClip(), frontend=audax_log_mel()
    ),
    "MFCL": lambda: MultiFormat(
        DilatedCNN(width=32), ResNet2d(18, None, width=4, frontend=mfcl_log_mel())
    ),
    "parallel": lambda: AdapterResNet2d("parallel", frontend=ThreeChannelMel(), width=4),
    "series": lambda: AdapterResNet2d("series", frontend=mtslvr_log_mel(), width=4),
    "waveform adapters": lambda: AdapterResNet1d("bn", width=4),
    "PANNs": lambda: Res1dNet31(width=2),
    "TUNe+": lambda: TUNePlus(width=2, out_dim=8),
    "ConvNeXt": lambda: TimmEncoder("convnext_atto", normalize=L2()),
}
PUBLISHED = {
    "SampleCNN": SampleCNN,
    "log-mel ResNet": lambda: ResNet2d(18, None),
    "MFCL": SMALL["MFCL"],
    "parallel": SMALL["parallel"],
    "EfficientNet": EfficientNetB0,
    "ConvNeXt": ConvNeXtTiny,
    "TUNe+": SMALL["TUNe+"],
    "PANNs": SMALL["PANNs"],
}


def made(table, name):
    torch.manual_seed(0)
    return table[name]().eval()


@pytest.mark.parametrize("name", SMALL)
def test_a_copy_computes_the_same(name):
    encoder = made(SMALL, name)
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    copy = portable(encoder)
    shortest = max(encoder.min_samples, 4000)
    for batch, samples in ((1, encoder.min_samples), (3, shortest), (2, shortest + 777)):
        x = waveforms(batch, samples, encoder.sample_rate)[:, None]
        with torch.inference_mode():
            ours, theirs = copy(x), encoder(x)
        assert relative(ours, theirs) < 1e-5
    assert all(torch.equal(state[k], v) for k, v in encoder.state_dict().items())
    mels = [m for m in copy.modules() if hasattr(m, "filters")]
    assert all(m.as_convolution for m in mels)
    assert not any(m.as_convolution for m in encoder.modules() if hasattr(m, "filters"))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 10])
def test_halving_is_the_same_for_even_and_odd_lengths(length):
    x = torch.randn(2, 3, length, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(halved(x, 2), halved_eagerly(x, avg_pool1d))


@pytest.mark.parametrize(
    "module",
    [
        nn.MaxPool1d(3),
        nn.MaxPool1d(9, 2, 1),
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool1d(4),
        nn.AvgPool2d((2, 3)),
    ],
)
def test_pooling_is_the_same(module):
    shape = (2, 3, 20) if "1d" in type(module).__name__ else (2, 3, 9, 20)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 5
    found = pooling(module, onnx=False)
    assert isinstance(found, Windows)
    torch.testing.assert_close(found(x), module(x))
    other = nn.MaxPool1d(3, ceil_mode=True)
    assert pooling(other, onnx=True) is other


@pytest.mark.parametrize(("n_fft", "win_length"), [(1024, 400), (400, 400), (63, 40)])
def test_the_convolution_is_the_fourier_transform(n_fft, win_length):
    """Against the definition: NumPy's transform of windowed frames in float64."""
    window = torch.hann_window(win_length)
    x = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0))
    found = fourier_transform(x, window, n_fft, 160)
    before = (n_fft - win_length) // 2
    for frame in range(3):
        cut = np.zeros(n_fft)
        samples = x[0, 160 * frame :][:win_length].double() * window.double()
        cut[before : before + win_length] = samples
        theirs = np.fft.rfft(cut)
        ours = torch.complex(found.real, found.imag)[0, :, frame].numpy()
        assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()


def test_the_phase_is_that_of_atan2():
    values = torch.tensor([-2.0, -1e-30, 0.0, 1e-30, 0.5, 3.0])
    real, imag = torch.meshgrid(values, values, indexing="ij")
    torch.testing.assert_close(phase(real, imag), torch.atan2(imag, real))


def test_the_phase_of_the_first_frame_is_the_same_in_any_precision():
    """Its imaginary parts are zero up to rounding, so that their sign is chance."""
    x = waveforms(2, 8000, 16000)[:, None]
    frontend, double = ThreeChannelMel(), ThreeChannelMel().double()
    double.window, double.filters = double.window.double(), double.filters.double()
    spectrum = torch.stft(
        nn.functional.pad(x[:, 0].double(), (512, 512), mode="reflect"),
        1024,
        512,
        1024,
        torch.ones(1024).double(),
        center=False,
        return_complex=True,
    )
    exact = double.phase(double.to_complex_mel(spectrum))[:, :, 0]
    apart = (frontend(x)[:, 2, :, 0] - exact).abs()
    assert apart.max() < 1e-4
    assert (exact.abs() > 3).any()  # negative real parts


def test_silence_is_the_same():
    frontend, x = LogMel(), torch.zeros(1, 1, 4000)
    assert torch.equal(portable(frontend)(x), frontend(x))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch_export"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_encoders_reach_the_bar(name, form, tmp_path):
    pytest.importorskip("onnxruntime")
    encoder = made(PUBLISHED, name)
    done = export_graph(Subject(name, encoder, "pretrained"), tmp_path, form)
    assert done.largest < 1e-5
    assert {d.samples for d in done.differences} >= {encoder.min_samples, encoder.segment_samples}


@pytest.mark.parametrize(
    ("module", "operator"), [(nn.MaxPool1d(3, 2, 1), "MaxPool"), (nn.AvgPool2d(2), "AveragePool")]
)
def test_pooling_as_an_operator_of_onnx(module, operator, monkeypatch):
    calls = []

    def symbolic(name, inputs, options, **kwargs):
        calls.append((name, options))
        return torch.zeros(kwargs["shape"])

    monkeypatch.setattr(torch.onnx.ops, "symbolic", symbolic)
    x = torch.randn((1, 2, 21) if "1d" in type(module).__name__ else (1, 2, 8, 10))
    assert pooling(module, onnx=True)(x).shape == module(x).shape
    ((name, options),) = calls
    assert name == operator
    assert options["kernel_shape"] == pooling(module, onnx=False).kernel


def test_an_error_of_an_exporter_is_told_with_its_cause():
    inner, between, outside = ValueError("the inner reason"), RuntimeError(), RuntimeError()
    outside.__cause__, between.__cause__ = between, inner
    with (
        pytest.raises(UserError, match="cannot be exported as onnx: the inner reason"),
        quiet("onnx"),
    ):
        raise outside
