"""What every encoder promises: counts of the fact sheets, lengths it takes, masks, specs,
gradients, and a freeze that holds."""

import pytest
import torch
from torch import nn

from semisupcon.encoders import (
    AdapterResNet1d,
    AdapterResNet2d,
    AttentionPool,
    ConvNeXtLarge,
    ConvNeXtTiny,
    DilatedCNN,
    EfficientNetB0,
    MaxPlusMeanPool,
    MultiFormat,
    Res1dNet31,
    Res1dNet51,
    ResNet1d,
    ResNet2d,
    SampleCNN,
    SampleCNNSmall,
    SampleCNNXL,
    SplitResNet1d,
    SplitResNet2d,
    TimmEncoder,
    TUNePlus,
    freeze,
)
from semisupcon.errors import ConfigError
from semisupcon.frontends import DatasetStatistics, LogMel, PerClip, ThreeChannelMel, mfcl_log_mel
from semisupcon.spec import build, spec_of

COUNTS = {
    2_368_512: SampleCNN,
    25_190_400: SampleCNNXL,
    2_220_390: TUNePlus,
    4_730_368: DilatedCNN,
    79_384_640: Res1dNet31,  # 80,464,463 with the classifier of 527 classes
    106_538_063 - 2049 * 527: Res1dNet51,
    4_006_972: EfficientNetB0,
    4_007_548: lambda: EfficientNetB0(frontend=ThreeChannelMel()),
    27_815_520: ConvNeXtTiny,
    196_221_120: ConvNeXtLarge,
    11_170_240: lambda: ResNet2d(frontend=mfcl_log_mel()),
    11_683_240: lambda: ResNet1d(18, 1000),
    21_791_400: lambda: ResNet1d(34, 1000),
    25_550_760: lambda: ResNet2d(50, 1000),
    44_542_888: lambda: ResNet1d(101, 1000),
    60_186_536: lambda: ResNet2d(152, 1000),
    11_689_512: lambda: SplitResNet2d(frontend=ThreeChannelMel()),
    21_797_672: lambda: ResNet2d(34, 1000, frontend=ThreeChannelMel()),
    25_557_032: lambda: ResNet2d(50, 1000, frontend=ThreeChannelMel()),
    44_549_160: lambda: ResNet2d(101, 1000, frontend=ThreeChannelMel()),
    60_192_808: lambda: ResNet2d(152, 1000, frontend=ThreeChannelMel()),
    11_524_904: lambda: AdapterResNet2d("bn", frontend=ThreeChannelMel()),
    14_308_648: lambda: AdapterResNet2d("series", num_splits=1, frontend=ThreeChannelMel()),
    13_949_736: lambda: AdapterResNet2d("parallel", frontend=ThreeChannelMel()),
}

SMALL = {
    "SampleCNNSmall": lambda: SampleCNNSmall(
        [8, 8, 16], pool=AttentionPool(8), normalize=PerClip()
    ),
    "TUNePlus": lambda: TUNePlus(2, 16),
    "DilatedCNN": lambda: DilatedCNN(16, 4),
    "Res1dNet31": lambda: Res1dNet31(width=2),
    "ResNet1d": lambda: ResNet1d(width=4, out_dim=24, pool=MaxPlusMeanPool()),
    "ResNet2d": lambda: ResNet2d(50, width=4, normalize=DatasetStatistics(0.1, 0.5)),
    "SplitResNet1d": lambda: SplitResNet1d(width=4, out_dim=24),
    "SplitResNet2d": lambda: SplitResNet2d(width=4, out_dim=24, frontend=ThreeChannelMel()),
    "AdapterResNet1d": lambda: AdapterResNet1d("parallel", width=4, out_dim=24, task_stages=(1, 3)),
    "AdapterResNet2d": lambda: AdapterResNet2d(
        "series", width=4, out_dim=24, frontend=ThreeChannelMel()
    ),
    "AdapterResNet2d, one output": lambda: AdapterResNet2d("bn", width=4, out_dim=24, num_splits=1),
    "TimmEncoder": lambda: TimmEncoder("convnext_atto", drop_path=0.1),
    "MultiFormat": lambda: MultiFormat(
        DilatedCNN(16, 4), ResNet2d(width=4, frontend=mfcl_log_mel())
    ),
}


def waveforms(samples, rows=2):
    return torch.randn(rows, 1, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("count", COUNTS)
def test_parameters_are_as_many_as_published(count):
    with torch.device("meta"):
        encoder = COUNTS[count]()
    assert sum(p.numel() for p in encoder.parameters()) == count


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_keeps_its_promises(make):
    encoder = make().eval()
    x = waveforms(encoder.min_samples + 7)
    with torch.no_grad():
        y = encoder(x)
        # One row at a time is the same as a batch, which a stray squeeze would break.
        torch.testing.assert_close(encoder(x[:1]), y[:1], rtol=1e-4, atol=1e-5)
        again = build(spec_of(encoder)).eval()
        again.load_state_dict(encoder.state_dict())
        assert torch.equal(again(x), y)
        assert y.shape == (2, encoder.embedding_dim)
        assert (
            encoder.embedding_dim == sum(encoder.task_dims.values())
            if encoder.tasks
            else encoder.task_dims == {}
        )
        for task in encoder.tasks or (None,):
            assert encoder.frames(x, task=task).shape[:2] == (
                2,
                encoder.task_dims.get(task, encoder.embedding_dim),
            )
        parts = [encoder(x, task=task) for task in encoder.tasks]
        assert not parts or torch.equal(torch.cat(parts, dim=1), y)
        full = torch.full((2,), x.shape[-1])
        if not isinstance(encoder.normalize, PerClip):
            torch.testing.assert_close(encoder(x, length=full), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_min_samples_is_the_least(make):
    encoder = make().eval()
    with pytest.raises(ValueError, match=rf"takes at least {encoder.min_samples:,} samples \("):
        encoder(waveforms(encoder.min_samples - 1))
    with torch.no_grad():
        assert encoder(waveforms(encoder.min_samples)).isfinite().all()
        encoder.min_samples = 0
        parts = encoder.trunk.values() if isinstance(encoder, MultiFormat) else [encoder]
        for part in parts:
            least, part.min_samples = part.min_samples, 0
            with pytest.raises((RuntimeError, IndexError)):
                part(waveforms(least - 1))


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_every_parameter_learns(make):
    torch.manual_seed(0)
    encoder = make()
    # Norms that start at zero hide what is behind them.
    for p in encoder.parameters():
        if not p.any():
            nn.init.normal_(p, std=0.1)
    # Batch norm over two values would cut the gradient.
    encoder(waveforms(encoder.min_samples + 2000, rows=3)).square().sum().backward()
    assert not [
        name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()
    ]


@pytest.mark.parametrize(
    "x",
    [torch.zeros(2, 40000), torch.zeros(2, 2, 40000), torch.zeros(2, 1, 40000, dtype=torch.int16)],
)
def test_refuses_what_is_no_waveform(x):
    with pytest.raises(ValueError, match=r"takes floating-point waveforms \[N, 1, T\]"):
        SampleCNNSmall()(x)


@pytest.mark.parametrize(
    ("samples", "frames"), [(59_049, 1), (59_535, 1), (118_097, 1), (118_098, 2), (177_147, 3)]
)
def test_samplecnn_takes_longer_clips(samples, frames):
    assert SampleCNN().eval().frames(waveforms(samples, rows=1)).shape == (1, 512, frames)


def test_tuneplus_takes_any_length():
    encoder = TUNePlus(2, 8).eval()
    x = waveforms(59_050)
    assert torch.equal(encoder(x), encoder(x[..., :59_049]))
    assert encoder.frames(waveforms(59_535)).shape[-1] == 3


@pytest.mark.parametrize(
    "make",
    [lambda: SampleCNNSmall([8, 8, 16]), lambda: ResNet2d(width=4), lambda: ResNet1d(width=2)],
)
def test_padding_stays_out_of_the_pooling(make):
    encoder = make().eval()
    x, length = waveforms(48_000), torch.tensor([16_000, 48_000])
    frames = encoder.frames(x)
    valid = round(16_000 / 48_000 * frames.shape[-1])
    y = encoder(x, length)
    torch.testing.assert_close(y[0], frames[0, :, :valid].mean(dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(y[1], encoder(x)[1], rtol=1e-4, atol=1e-5)
    # What lies further away than the receptive field changes nothing at all.
    if isinstance(encoder, SampleCNNSmall):
        x[0, :, 20_000:] = 1
        assert torch.equal(encoder(x, length)[0], y[0])


def test_frozen_is_frozen():
    encoder = freeze(Res1dNet31(width=2))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = nn.Sequential(encoder, nn.Linear(64, 3)).train()
    assert model.training
    x = waveforms(30_000)
    assert torch.equal(encoder(x), encoder(x))
    model(x).sum().backward()
    torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=1.0, weight_decay=1.0
    ).step()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not any(m.training for m in encoder.modules())


def test_segment_length_is_remembered():
    encoder = SampleCNNSmall([8, 8, 16])
    encoder.segment_samples = 4410
    assert build(spec_of(encoder)).segment_samples == 4410
    with pytest.raises(
        ConfigError, match=r"takes at least 81 samples .* segments of 80 are too short"
    ):
        encoder.segment_samples = 80


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: SampleCNN(frontend=LogMel()),
            "SampleCNN reads waveforms and cannot follow LogMel",
        ),
        (lambda: ResNet1d(frontend=ThreeChannelMel()), "ResNet1d reads waveforms"),
        (
            lambda: ResNet2d(sample_rate=22050, frontend=LogMel(16000)),
            "ResNet2d at 22050 Hz cannot use LogMel, which needs 16000 Hz",
        ),
        (lambda: ResNet2d(depth=20), "depth of 18, 34, 50, 101, 152"),
        (
            lambda: SampleCNN(segment_samples=44_100),
            r"SampleCNN takes at least 59,049 samples \(2.68 s at 22,050 Hz\); segments of 44,100",
        ),
        (lambda: AdapterResNet2d("serial"), "adapters bn, series or parallel"),
        (lambda: AdapterResNet2d("bn", depth=50), "depth of 18 or 34"),
        (lambda: AdapterResNet2d("bn", num_splits=3), "num_splits must be 1 .* or 2"),
        (lambda: AdapterResNet2d("bn", task_stages=(0, 4)), r"task_stages holds \[0\]"),
        (lambda: AdapterResNet2d("bn", width=0), "AdapterResNet2d needs a positive width, got 0"),
        (lambda: SplitResNet1d(width=0), "a positive width, got 18 and 0"),
        (
            lambda: AdapterResNet1d("bn", out_dim=1001),
            "out_dim must be a positive multiple of 2, .* got 1001",
        ),
        (lambda: SplitResNet2d(out_dim=1), "out_dim must be a positive multiple of 2, .* got 1"),
        (
            lambda: AdapterResNet2d("bn", out_dim=0, num_splits=1),
            "out_dim must be a positive multiple of 1, .* got 0",
        ),
        (
            lambda: SplitResNet1d(out_dim=-1000),
            "out_dim must be a positive multiple of 2, .* got -1000",
        ),
        (lambda: ResNet1d(out_dim=-1), "out_dim must be at least 1, or null .* got -1"),
        (lambda: ResNet2d(out_dim=0), "out_dim must be at least 1, or null .* got 0"),
        (
            lambda: TimmEncoder("efficientnet_b00"),
            "timm has no model 'efficientnet_b00'. Did you mean",
        ),
        (lambda: TimmEncoder("vit_tiny_patch16_224"), "takes no spectrograms|gives no feature map"),
        (lambda: TimmEncoder("efficientvim_m1"), "several feature maps instead of one"),
        (
            lambda: MultiFormat(SampleCNNSmall(), ResNet2d()),
            "both formats need one sample rate, got 22050 and 16000",
        ),
        (
            lambda: MultiFormat(ResNet2d(), ResNet1d()),
            "ResNet2d as waveform reads spectrograms and ResNet1d as spec.* waveforms; swap them",
        ),
        (
            lambda: MultiFormat(DilatedCNN(), ResNet1d()),
            "of each format, but ResNet1d as spectrogram reads waveforms.$",
        ),
        (
            lambda: MultiFormat(ResNet2d(), ResNet2d()),
            "of each format, but ResNet2d as waveform reads spectrograms.$",
        ),
        (lambda: DilatedCNN(50, 32), "a width divisible by groups"),
        (lambda: SampleCNNSmall([8]), "two or more positive widths"),
        (lambda: LogMel(win_length=2048), "0 < win_length <= n_fft"),
        (lambda: LogMel(floor=0.0), "positive offset or floor"),
        (lambda: DatasetStatistics(0.0, 0.0), "a positive std"),
    ],
)
def test_wrong_combinations_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_unknown_task_is_refused():
    x = waveforms(40_000)
    with pytest.raises(ConfigError, match="SampleCNNSmall has no task 'contrastive'; it has none"):
        SampleCNNSmall()(x, task="contrastive")
    with pytest.raises(ConfigError, match="its tasks are contrastive, predictive"):
        SplitResNet1d(width=2, out_dim=4)(x, task="contrastiv")
