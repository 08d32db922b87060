"""The importer: strict, safe, indifferent to how a file wraps its tensors, and readable by
`load_encoder` afterwards."""

import argparse
import sys
import zipfile

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from semisupcon.__main__ import main
from semisupcon.checkpoints import load_encoder
from semisupcon.encoders import (
    AdapterResNet1d,
    Res1dNet31,
    ResNet1d,
    ResNet2d,
    SampleCNN,
    SplitResNet1d,
    TUNePlus,
)
from semisupcon.errors import CheckpointError
from semisupcon.frontends import DatasetStatistics, ThreeChannelMel
from semisupcon.importer import import_checkpoint, load_heads
from semisupcon.importer.mtslvr import RESNET, adapter_rules
from semisupcon.importer.panns import _rules
from semisupcon.importer.reader import translate
from semisupcon.importer.samplecnn import SAMPLECNN, TUNEPLUS


def published(encoder, rules, prefix=""):
    """An encoder's tensors under their published names."""
    for p in encoder.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return {
        prefix + translate(name, rules): value.clone()
        for name, value in encoder.state_dict().items()
        if not name.startswith("normalize")
    }


def linear(prefix, shapes, bias):
    state = {}
    for i, (n_out, n_in) in shapes.items():
        state[f"{prefix}{i}.weight"] = torch.randn(n_out, n_in)
        if bias:
            state[f"{prefix}{i}.bias"] = torch.randn(n_out)
    return state


@pytest.fixture
def write(tmp_path):
    def save(content, name="published.ckpt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture(scope="module")
def samplecnn():
    encoder = SampleCNN(segment_samples=59535)
    return encoder, published(encoder, SAMPLECNN)


def same(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_semisupcon_pretraining_and_probing_checkpoints(write, samplecnn, tmp_path, capsys):
    encoder, state = samplecnn
    dead = {"fc.weight": torch.zeros(128, 512), "fc.bias": torch.zeros(128)}
    inside = {f"encoder.{k}": v for k, v in (state | dead).items()} | linear(
        "proj_head.", {0: (512, 512), 2: (128, 512)}, bias=False
    )
    file = write(
        {
            "epoch": 3,
            "global_step": 5,
            "state_dict": inside,
            "callbacks": {"ModelCheckpoint": {"best": None}},
        }
    )
    assert main(["import", "semisupcon", str(file), "--out", str(tmp_path / "ours")]) == 0
    said = capsys.readouterr().out
    assert "SampleCNN, 2,368,512 parameters" in said
    assert (
        "Dropped, because semisupcon never uses them: encoder.fc.bias, encoder.fc.weight." in said
    )
    ours = load_encoder(tmp_path / "ours")
    assert not ours.training
    assert same(ours, encoder)
    assert ours.segment_samples == 59_535
    heads = load_heads(tmp_path / "ours")
    assert torch.equal(heads["projection"].net[2].weight, inside["proj_head.2.weight"])

    probe = {f"semisupcon.{k}": v for k, v in inside.items()} | linear(
        "head.", {0: (512, 512), 2: (50, 512)}, bias=False
    )
    found = import_checkpoint("semisupcon", write({"state_dict": probe}))
    assert same(found.encoder, encoder)
    assert {
        name: sum(p.numel() for p in head.parameters()) for name, head in found.heads.items()
    } == {
        "projection": 327_680,
        "classifier": 287_744,
    }


@pytest.mark.parametrize("prefix", ["model.encoder.", "encoder.", ""])
def test_both_generations_of_clmr(write, samplecnn, prefix):
    encoder, state = samplecnn
    content = {prefix + k: v for k, v in state.items()}
    projector = prefix.removesuffix("encoder.") + "projector."
    content |= linear(projector, {0: (512, 512), 2: (64, 512)}, bias=False)
    found = import_checkpoint(
        "clmr", write({"state_dict": content, "hyper_parameters": argparse.Namespace(lr=3e-4)})
    )
    assert same(found.encoder, encoder)
    assert sum(p.numel() for p in found.heads["projection"].parameters()) == 294_912
    assert found.dropped == []


def doubled(samplecnn, other):
    """What the modules of CLMR save: the encoder as ``encoder`` and once more."""
    return {prefix + k: v.clone() for prefix in ("encoder.", other) for k, v in samplecnn.items()}


def test_what_clmr_stores_twice_is_taken_once(write, samplecnn, tmp_path, capsys):
    encoder, state = samplecnn
    content = doubled(state, "model.encoder.") | linear(
        "model.projector.", {0: (512, 512), 2: (64, 512)}, bias=False
    )
    file = write({"state_dict": content})
    found = import_checkpoint("clmr", file)
    assert same(found.encoder, encoder)
    assert list(found.heads) == ["projection"]
    assert found.dropped == sorted(f"model.encoder.{k}" for k in state)
    assert main(["import", "clmr", str(file), "--out", str(tmp_path / "ours")]) == 0
    assert (
        "Dropped, because clmr stores them twice: model.encoder.sequential.0.0.bias, "
        in capsys.readouterr().out
    )


def test_a_supervised_model_of_clmr_is_stored_twice_with_its_classifier(write, samplecnn):
    state = samplecnn[1] | {"fc.weight": torch.randn(50, 512), "fc.bias": torch.randn(50)}
    found = import_checkpoint("clmr", write({"state_dict": doubled(state, "model.")}))
    assert same(found.encoder, samplecnn[0])
    assert torch.equal(found.heads["classifier"].net[0].weight, state["fc.weight"])
    assert found.dropped == sorted(f"model.{k}" for k in state)


@pytest.mark.parametrize("name", ["sequential.0.0.weight", "sequential.9.1.running_mean"])
def test_two_encoders_that_differ_are_refused(write, samplecnn, name):
    content = doubled(samplecnn[1], "model.encoder.")
    content[f"model.encoder.{name}"] += 1
    with pytest.raises(CheckpointError, match="more than one encoder"):
        import_checkpoint("clmr", write({"state_dict": content}))


def test_what_data_parallel_wraps_is_unwrapped(write, samplecnn):
    heads = {0: (512, 512), 2: (64, 512)}
    clmr = {f"encoder.{k}": v for k, v in samplecnn[1].items()} | linear(
        "projector.", heads, bias=False
    )
    ours = {f"encoder.{k}": v for k, v in samplecnn[1].items()} | linear(
        "proj_head.", heads, bias=False
    )
    for system, content in (("clmr", clmr), ("semisupcon", ours)):
        found = import_checkpoint(system, write({f"module.{k}": v for k, v in content.items()}))
        assert same(found.encoder, samplecnn[0])
        assert list(found.heads) == ["projection"]


def test_classifiers_of_clmr(write, samplecnn):
    for shapes, count in (({0: (50, 512)}, 25_650), ({0: (512, 512), 2: (50, 512)}, 288_306)):
        found = import_checkpoint(
            "clmr", write({"state_dict": linear("model.", shapes, bias=True)})
        )
        assert found.encoder is None
        assert sum(p.numel() for p in found.heads["classifier"].parameters()) == count
    supervised = samplecnn[1] | {"fc.weight": torch.randn(50, 512), "fc.bias": torch.randn(50)}
    found = import_checkpoint("clmr", write(supervised))
    assert sum(p.numel() for m in found.modules() for p in m.parameters()) == 2_394_162


def test_statistics_and_front_end_of_mtslvr(write):
    state = published(ResNet2d(width=4, out_dim=10, frontend=ThreeChannelMel()), RESNET)
    found = import_checkpoint(
        "mtslvr",
        write(state, "AS_BAL_simsiam_trans_1_0_parallel_2_3__100_5e-05_21022023-145537.pt"),
    ).encoder
    assert isinstance(found.frontend, ThreeChannelMel)
    assert isinstance(found.normalize, DatasetStatistics)
    assert (found.normalize.mean.item(), found.normalize.std.item()) == pytest.approx(
        (-0.00029522, 0.11652075)
    )
    assert (
        type(import_checkpoint("mtslvr", write(state, "mine.pt")).encoder.normalize).__name__
        == "NoNormalization"
    )


@pytest.mark.parametrize(
    ("system", "encoder", "rules"),
    [
        ("mtslvr", AdapterResNet1d("parallel", 34, 12, width=4), adapter_rules("parallel")),
        (
            "mtslvr",
            AdapterResNet1d("series", 18, 12, num_splits=1, width=4),
            adapter_rules("series"),
        ),
        ("mtslvr", SplitResNet1d(34, 12, width=4), RESNET),
        ("mtslvr", ResNet1d(50, 12, width=4), RESNET),
        ("panns", Res1dNet31(width=4), _rules(Res1dNet31.blocks)),
        ("semisupcon", TUNePlus(4, 32), TUNEPLUS),
    ],
    ids=lambda v: type(v).__name__,
)
def test_sizes_are_read_from_the_file(write, system, encoder, rules):
    found = import_checkpoint(system, write(published(encoder, rules))).encoder
    assert type(found) is type(encoder)
    assert same(found, encoder)


def test_lists_all_that_is_missing_and_unknown(write, samplecnn, tmp_path, capsys):
    state = dict(samplecnn[1])
    del state["sequential.3.0.weight"], state["sequential.9.1.bias"]
    state |= {
        "sequential.11.0.weight": torch.zeros(1),
        "stowaway": torch.zeros(1),
        "sequential.4.0.bias": torch.zeros(7),
    }
    file = write(state)
    assert main(["import", "clmr", str(file), "--out", str(tmp_path / "ours")]) == 2
    error = capsys.readouterr().err
    for part in (
        f"{file} is not a known checkpoint of clmr; nothing was written",
        "Missing: sequential.3.0.weight, sequential.4.0.bias of shape [256] (found [7]), "
        "sequential.9.1.bias",
        "Unknown: sequential.11.0.weight, stowaway",
    ):
        assert part in error
    assert len(error.strip().splitlines()) == 3
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("system", ["clmr", "semisupcon", "mtslvr", "panns"])
def test_another_system_is_refused(write, samplecnn, system):
    state = published(ResNet1d(18, 12, width=4), RESNET) if system != "mtslvr" else samplecnn[1]
    with pytest.raises(CheckpointError, match=f"is not a known checkpoint of {system}"):
        import_checkpoint(system, write(state))
    with pytest.raises(CheckpointError, match="it has no tensors"):
        import_checkpoint(system, write({"epoch": 1}))


@pytest.mark.parametrize("content", ["text", "<p>unsupported</p>", "empty", "archive"])
def test_what_is_no_checkpoint_is_said_in_one_sentence(tmp_path, content):
    path = tmp_path / "published.pt"
    path.write_text("" if content == "empty" else content)
    if content == "archive":
        torch.save({}, tmp_path / "inner.pt")
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "inner.pt", "inner.pt")
    told = (
        f"{path} is a zip archive; unpack it first."
        if content == "archive"
        else f"{path} is not a checkpoint, or it is truncated or damaged."
    )
    with pytest.raises(CheckpointError) as error:
        import_checkpoint("clmr", path)
    assert str(error.value) == told


def test_out_is_a_folder(write, samplecnn, tmp_path, capsys):
    file = write(samplecnn[1])
    for out in (file, file / "below"):
        assert main(["import", "clmr", str(file), "--out", str(out)]) == 2
        assert f"--out must be a folder, but it cannot be created: {out}" in capsys.readouterr().err


class Stranger:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_nothing_in_a_file_is_executed(write, samplecnn, capsys):
    with pytest.raises(CheckpointError, match="refused and no code was run"):
        import_checkpoint("clmr", write({"state_dict": samplecnn[1], "callbacks": Stranger()}))
    assert "never" not in capsys.readouterr().out


class Called:
    def __reduce__(self):
        return (ModelCheckpoint, ("folder",))


def test_callbacks_that_old_lightning_named_by_class_are_passed_over(write, samplecnn, monkeypatch):
    """Neither are the classes run, nor must they be there."""
    callbacks = {
        ModelCheckpoint: {"best_model_path": "", "current_score": torch.ones(())},
        EarlyStopping: {"wait_count": 1},
    }
    file = write({"state_dict": samplecnn[1], "callbacks": callbacks})
    called = write({"state_dict": samplecnn[1], "callbacks": Called()}, "called.ckpt")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pytorch_lightning"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert same(import_checkpoint("clmr", file).encoder, samplecnn[0])
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        import_checkpoint("clmr", called)
