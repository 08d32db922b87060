"""Weights to start from, and parts that are not trained."""

import pytest
import torch
from safetensors.torch import save_file

from semisupcon.__main__ import main
from semisupcon.checkpoints import load_encoder, read_checkpoint
from semisupcon.encoders import SampleCNN
from tests.pretraining.runs import pretrain

ONE = ("--trainer.max_steps", "1")
# A step so small that weights stay what they were started from.
STILL = ("--model.optimizer.lr", "1e-30")


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert (
        pretrain(
            digits,
            runs,
            "--run_name",
            "first",
            "--trainer.max_steps",
            "3",
            "--model.optimizer.lr",
            "0.01",
        )
        == 0
    )
    return runs / "first"


def weights(run, part="encoder"):
    return {
        k: v
        for k, v in read_checkpoint(run / "last.ckpt")["state_dict"].items()
        if k.startswith(part) and v.is_floating_point()
    }


def near(a, b):
    """Parameters, which a step of 1e-30 leaves; running statistics move with any batch."""
    return all(
        torch.allclose(a[k], b[k], atol=1e-12)
        for k in b
        if b[k].is_floating_point() and "running" not in k
    )


@pytest.mark.parametrize("form", ["run", "checkpoint", "export"])
def test_an_encoder_starts_from_a_run_a_checkpoint_or_an_export(
    digits, tmp_path, trained, caplog, form
):
    source = {"run": trained, "checkpoint": trained / "last.ckpt", "export": tmp_path / "exported"}[
        form
    ]
    if form == "export":
        assert main(["export", str(trained), "--out", str(source)]) == 0
    with caplog.at_level("INFO"):
        assert (
            pretrain(
                digits,
                tmp_path,
                "--run_name",
                "r",
                *ONE,
                *STILL,
                "--model.init_from",
                str(source),
                "--seed_everything",
                "9",
            )
            == 0
        )
    assert near(
        weights(tmp_path / "r"),
        {f"encoder.{k}": v for k, v in load_encoder(trained).state_dict().items()},
    )
    assert not near(weights(tmp_path / "r", "criterion"), weights(trained, "criterion"))
    assert "Started from" in caplog.text


def test_criterion_and_encoder_together(digits, tmp_path, trained):
    both = (
        "--model.init_from",
        str(trained),
        "--model.init_parts",
        "[encoder,criterion.projector]",
        "--seed_everything",
        "9",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", *ONE, *STILL, *both) == 0
    last = read_checkpoint(trained / "last.ckpt")["state_dict"]
    assert near(
        weights(tmp_path / "r", "criterion"),
        {k: v for k, v in last.items() if k.startswith("criterion.projector")},
    )


def test_followers_start_from_the_same_weights(digits, tmp_path, trained):
    moco = (
        "--model.criterion",
        "MoCo",
        "--model.criterion.queue_size",
        "24",
        "--model.criterion.momentum",
        "0.5",
    )
    assert (
        pretrain(
            digits,
            tmp_path,
            "--run_name",
            "r",
            *ONE,
            *STILL,
            *moco,
            "--model.init_from",
            str(trained),
        )
        == 0
    )
    slow = {
        k.removeprefix("criterion.slow_"): v
        for k, v in weights(tmp_path / "r", "criterion.slow_encoder").items()
    }
    assert near(weights(tmp_path / "r"), slow)


def test_what_does_not_fit_is_listed_and_taken_apart_on_request(
    digits, tmp_path, trained, capsys, caplog
):
    other = ("--model.encoder.widths", "[8,8,32]", "--model.init_from", str(trained))
    assert pretrain(digits, tmp_path / "runs", *ONE, *other) == 2
    said = capsys.readouterr().err
    assert "--model.init_strict false" in said
    assert "[16, 8, 3] in the file, [32, 8, 3] here" in said
    assert not (tmp_path / "runs").exists()
    with caplog.at_level("INFO"):
        assert (
            pretrain(
                digits,
                tmp_path / "runs",
                "--run_name",
                "r",
                *ONE,
                *STILL,
                *other,
                "--model.init_strict",
                "false",
            )
            == 0
        )
    assert "kept as initialised" in caplog.text
    first = next(k for k in weights(trained) if ".0.0.weight" in k)
    assert torch.allclose(
        weights(tmp_path / "runs" / "r")[first], weights(trained)[first], atol=1e-12
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model.init_from", "/nowhere"), "No checkpoint at /nowhere"),
        (("--model.init_from", "clmr:/nowhere"), "No checkpoint at /nowhere"),
        (("--model.init_from", "timm"), "needs an encoder from timm"),
        (("--model.freeze", "[encoder.trunk.77]"), "--model.freeze names encoder.trunk.77"),
        (("--model.freeze_steps", "-1"), "freeze_steps"),
    ],
)
def test_mistakes(digits, tmp_path, capsys, options, said):
    assert pretrain(digits, tmp_path / "runs", *ONE, *options) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_part_that_is_not_there_is_told(digits, tmp_path, capsys, trained):
    assert (
        pretrain(
            digits,
            tmp_path / "runs",
            *ONE,
            "--model.init_from",
            str(trained),
            "--model.init_parts",
            "[encoder.trnk]",
        )
        == 2
    )
    assert "--model.init_parts names encoder.trnk" in capsys.readouterr().err


def test_a_published_checkpoint_of_clmr(digits, tmp_path):
    from semisupcon.importer import import_checkpoint

    torch.manual_seed(3)
    published = published_clmr()
    torch.save(published, tmp_path / "clmr.pt")
    expected = import_checkpoint("clmr", tmp_path / "clmr.pt").encoder.state_dict()
    sample_cnn = (
        "--model.encoder",
        "SampleCNN",
        "--model.encoder.sample_rate",
        "8000",
        "--data.target_length",
        "7.4",
        "--data.batch_size",
        "4",
    )
    assert (
        pretrain(
            digits,
            tmp_path,
            "--run_name",
            "r",
            *ONE,
            *STILL,
            *sample_cnn,
            "--model.init_from",
            f"clmr:{tmp_path / 'clmr.pt'}",
        )
        == 0
    )
    assert near(
        weights(tmp_path / "r"),
        {f"encoder.{k}": v for k, v in expected.items() if v.is_floating_point()},
    )


def published_clmr():
    """A state dict as CLMR's repository writes it: ``sequential.N.M.*`` and ``fc``, random
    weights."""
    from semisupcon.importer import samplecnn
    from semisupcon.importer.reader import translate

    encoder = SampleCNN()
    rules = next(
        value
        for name, value in vars(samplecnn).items()
        if name.isupper() and isinstance(value, list | tuple) and callable(value[0][1])
    )
    return {translate(name, rules): value for name, value in encoder.state_dict().items()}


def test_weights_of_timm_from_a_file(digits, tmp_path):
    import timm

    torch.manual_seed(5)
    model = timm.create_model("resnet10t", pretrained=False)
    save_file(model.state_dict(), tmp_path / "resnet10t.safetensors")
    encoder = (
        "--model.encoder",
        "TimmEncoder",
        "--model.encoder.model",
        "resnet10t",
        "--data.target_length",
        "0.5",
    )
    frontend = (
        "--model.encoder.frontend",
        "LogMel",
        "--model.encoder.frontend.sample_rate",
        "8000",
        "--model.encoder.frontend.f_max",
        "3900",
    )
    start = ("--model.init_from", f"timm:{tmp_path / 'resnet10t.safetensors'}")
    assert (
        pretrain(
            digits,
            tmp_path,
            "--run_name",
            "r",
            *ONE,
            *STILL,
            *encoder,
            *frontend,
            *start,
            "--model.init_parts",
            "[encoder.trunk]",
        )
        == 0
    )
    found = weights(tmp_path / "r")
    assert torch.allclose(
        found["encoder.trunk.model.conv1.0.weight"],
        model.conv1[0].weight.sum(dim=1, keepdim=True),
        atol=1e-6,
    )
    assert torch.allclose(
        found["encoder.trunk.model.layer1.0.conv1.weight"], model.layer1[0].conv1.weight, atol=1e-12
    )


def test_frozen_parts_stay_as_they_are(digits, tmp_path, trained):
    frozen = (
        "--model.init_from",
        str(trained),
        "--model.freeze",
        "[encoder.trunk.0]",
        "--model.optimizer.lr",
        "0.01",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "3", *frozen) == 0
    before, after = weights(trained), weights(tmp_path / "r")
    first = [k for k in before if k.startswith("encoder.trunk.0.")]
    assert first
    assert [
        k for k in first if not torch.equal(before[k], after[k])
    ] == []  # Batch-norm statistics too.
    assert not torch.equal(before["encoder.trunk.1.0.weight"], after["encoder.trunk.1.0.weight"])


def test_heads_warm_up_before_the_encoder_is_trained(digits, tmp_path, trained):
    for steps, moved in ((2, False), (4, True)):
        options = (
            "--model.init_from",
            str(trained),
            "--model.freeze_steps",
            "2",
            "--model.optimizer.lr",
            "0.01",
        )
        assert (
            pretrain(
                digits,
                tmp_path,
                "--run_name",
                str(steps),
                "--trainer.max_steps",
                str(steps),
                *options,
            )
            == 0
        )
        before, after = weights(trained), weights(tmp_path / str(steps))
        assert any(not torch.equal(before[k], after[k]) for k in before) == moved
        assert not near(weights(tmp_path / str(steps), "criterion"), weights(trained, "criterion"))


def test_a_resumed_run_does_not_start_again(digits, tmp_path, trained):
    import shutil

    copy = shutil.copytree(trained, tmp_path / "source")
    assert pretrain(digits, tmp_path, "--run_name", "r", *ONE, "--model.init_from", str(copy)) == 0
    shutil.rmtree(copy)
    assert (
        pretrain(
            digits,
            tmp_path,
            "--resume_from_checkpoint",
            str(tmp_path / "r"),
            "--trainer.max_steps",
            "2",
            "--model.init_from",
            str(copy),
        )
        == 0
    )
