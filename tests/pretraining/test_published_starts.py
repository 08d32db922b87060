"""`pretrain --model.init_from SYSTEM:FILE` with files as the published systems write them, filled
with random weights."""

import pytest
import torch

from semisupcon.encoders import (
    AdapterResNet1d,
    Res1dNet31,
    ResNet1d,
    ResNet2d,
    SampleCNN,
    SplitResNet1d,
    TUNePlus,
)
from semisupcon.frontends import ThreeChannelMel
from semisupcon.importer.mtslvr import RESNET, adapter_rules
from semisupcon.importer.panns import _rules
from semisupcon.importer.reader import translate
from semisupcon.importer.samplecnn import SAMPLECNN, TUNEPLUS
from tests.marks import mostly_slow
from tests.pretraining.runs import pretrain
from tests.pretraining.test_starting import ONE, STILL, near, weights

PARALLEL, PANNS = adapter_rules("parallel"), _rules(Res1dNet31.blocks)
DEPTH = "--model.encoder.depth 18 --model.encoder.out_dim 12"
KIND = "--model.encoder.kind parallel"
MEL = "--model.encoder.frontend ThreeChannelMel --model.encoder.frontend.sample_rate 8000"
MEASURED = "--model.encoder.normalize DatasetStatistics"
# System, file, encoder whose tensors it holds, their published names and what stands before these;
# the options of the command.
FILES = {
    "samplecnn": (
        "semisupcon",
        "p.ckpt",
        lambda: SampleCNN(segment_samples=59535),
        SAMPLECNN,
        "encoder.",
        "SampleCNN",
    ),
    "tune+": (
        "semisupcon",
        "t.ckpt",
        lambda: TUNePlus(4, 32),
        TUNEPLUS,
        "encoder.",
        "TUNePlus --model.encoder.out_dim 32",
    ),
    "1d": (
        "mtslvr",
        "AS_BAL_a.pt",
        lambda: ResNet1d(18, 12, width=4),
        RESNET,
        "",
        f"ResNet1d {DEPTH} {MEASURED}",
    ),
    "2d": (
        "mtslvr",
        "m.pt",
        lambda: ResNet2d(18, 12, 4, frontend=ThreeChannelMel()),
        RESNET,
        "",
        f"ResNet2d {DEPTH} {MEASURED} {MEL}",
    ),
    "split": (
        "mtslvr",
        "FSD50K_s.pt",
        lambda: SplitResNet1d(18, 12, width=4),
        RESNET,
        "",
        f"SplitResNet1d {DEPTH}",
    ),
    "adapters": (
        "mtslvr",
        "a.pt",
        lambda: AdapterResNet1d("parallel", 18, 12, width=4),
        PARALLEL,
        "",
        f"AdapterResNet1d {DEPTH} {KIND}",
    ),
    "panns": ("panns", "Res1dNet31.pth", lambda: Res1dNet31(width=4), PANNS, "", "Res1dNet31"),
}


def published(encoder, rules, prefix):
    """An encoder's tensors, drawn at random, under the names of the system."""
    torch.manual_seed(4)
    state = {
        k: torch.randn_like(v) if v.is_floating_point() else v
        for k, v in encoder.state_dict().items()
    }
    state = {k: v.abs() if k.endswith("running_var") else v for k, v in state.items()}
    return {
        prefix + translate(k, rules): v
        for k, v in state.items()
        if not k.startswith(("normalize", "frontend"))
    }, state


@pytest.mark.parametrize("name", mostly_slow(FILES, ("samplecnn", "tune+", "panns")))
def test_a_run_starts_from_a_published_file(digits, tmp_path, caplog, name):
    system, file, make, rules, prefix, options = FILES[name]
    content, expected = published(make(), rules, prefix)
    torch.save({"state_dict": content}, tmp_path / file)
    length = "7.4" if name == "samplecnn" else "2.6" if name in ("tune+", "panns") else "0.5"
    small = (
        "--model.encoder.width",
        "4",
        "--model.encoder.sample_rate",
        "8000",
        "--data.target_length",
        length,
        "--data.batch_size",
        "4",
    )
    small = small if name != "samplecnn" else small[2:]
    encoder = ("--model.encoder", *options.split(), *small)
    start = (
        "--model.init_from",
        f"{system}:{tmp_path / file}",
        "--trainer.limit_val_batches",
        "0",
        "--monitor",
        "null",
    )
    with caplog.at_level("INFO"):
        assert pretrain(digits, tmp_path, "--run_name", "r", *ONE, *STILL, *encoder, *start) == 0
    assert "Started from" in caplog.text
    assert ("measured on the training clips" in caplog.text) == (name == "2d")
    kept = {
        f"encoder.{k}": v
        for k, v in expected.items()
        if v.is_floating_point() and not k.startswith(("normalize", "frontend"))
    }
    assert len(kept) > 20
    assert near(weights(tmp_path / "r"), kept)


def test_a_file_of_another_shape_or_system_is_refused(digits, tmp_path, capsys):
    content, _ = published(Res1dNet31(width=4), PANNS, "")
    torch.save(content, tmp_path / "p.pth")
    wide = (
        "--model.encoder",
        "Res1dNet31",
        "--model.encoder.width",
        "8",
        "--data.target_length",
        "0.5",
    )
    for source, said in (
        (f"panns:{tmp_path / 'p.pth'}", "--model.init_strict false"),
        (f"clmr:{tmp_path / 'p.pth'}", "not a known checkpoint of clmr"),
    ):
        assert pretrain(digits, tmp_path / "runs", *ONE, *wide, "--model.init_from", source) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) <= 3
    assert not (tmp_path / "runs").exists()
