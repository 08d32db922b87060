"""Checkpoints are whole or not there, and loading one executes nothing."""

import os
import pickle
import resource
import subprocess
import sys
import textwrap

import pytest
import torch

from semisupcon.checkpoints import (
    export_encoder,
    find_checkpoint,
    load_encoder,
    load_weights,
    read_checkpoint,
    save_atomically,
)
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import CheckpointError
from semisupcon.spec import spec_of


def small():
    return SampleCNNSmall(widths=[4, 4, 8], stem=3)


@pytest.fixture
def checkpoint(tmp_path):
    encoder = small()
    content = {
        "state_dict": {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        | {"criterion.projector.weight": torch.ones(2)},
        "semisupcon": {"version": 1, "encoder": spec_of(encoder), "criterion": None},
        "global_step": 3,
    }
    save_atomically(content, tmp_path / "run" / "last.ckpt")
    return encoder, tmp_path / "run" / "last.ckpt"


def test_a_checkpoint_a_run_folder_and_an_export_give_the_same_encoder(checkpoint, tmp_path):
    encoder, path = checkpoint
    export_encoder(encoder, tmp_path / "exported", {"note": "x"})
    x = torch.randn(2, 1, encoder.min_samples)
    for source in (path, path.parent, tmp_path / "exported"):
        loaded = load_encoder(source)
        assert not loaded.training
        assert torch.equal(loaded(x), encoder.eval()(x))


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch exploded",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_a_booby_trapped_pickle_is_refused_and_nothing_runs(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.ckpt"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": Bomb()}))
    else:
        torch.save({"state_dict": Bomb()}, path)
    with pytest.raises(CheckpointError, match="refused and no code was run") as error:
        load_encoder(path)
    assert len(str(error.value).splitlines()) <= 3
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_said_to_be_one(checkpoint, share):
    _, path = checkpoint
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_encoder(path)


def test_a_class_path_to_call_is_refused(checkpoint):
    _, path = checkpoint
    content = read_checkpoint(path)
    content["semisupcon"]["encoder"] = {
        "class_path": "os.system",
        "init_args": {"command": "touch exploded"},
    }
    save_atomically(content, path)
    with pytest.raises(CheckpointError, match="is outside semisupcon"):
        load_encoder(path)


CHANGED = {
    "missing": (
        lambda w: {k: v for k, v in w.items() if k != "trunk.0.0.bias"},
        r"1 missing \(trunk\.0\.0\.bias\)\.$",
    ),
    "unknown": (lambda w: w | {"extra.weight": torch.ones(1)}, r"1 unknown \(extra\.weight\)\.$"),
    "four unknown": (
        lambda w: w | {f"x{i}": torch.ones(1) for i in range(4)},
        r"4 unknown \(x0, x1, x2\)\.$",
    ),
    "shape": (
        lambda w: w | {"trunk.0.0.bias": torch.ones(9)},
        r"1 of another shape \(trunk\.0\.0\.bias\)\.$",
    ),
    "both": (
        lambda w: {k: v for k, v in w.items() if k != "trunk.0.0.bias"} | {"extra": torch.ones(1)},
        r"1 missing \(trunk\.0\.0\.bias\); 1 unknown \(extra\)\.$",
    ),
}


@pytest.mark.parametrize("change", CHANGED)
def test_weights_that_do_not_fit_are_listed(change):
    changed, said = CHANGED[change]
    with pytest.raises(
        CheckpointError, match=f"^The weights in here do not match SampleCNNSmall: {said}"
    ):
        load_weights(small(), changed(small().state_dict()), "here")
    with pytest.raises(CheckpointError, match="another shape"):
        load_weights(SampleCNNSmall(widths=[4, 8], stem=3), small().state_dict(), "here")


def test_the_best_checkpoint_of_a_run_comes_before_the_last(checkpoint):
    encoder, last = checkpoint
    content = read_checkpoint(last)
    content["state_dict"] = {
        k: v + 1 if v.is_floating_point() else v for k, v in content["state_dict"].items()
    }
    save_atomically(content, last.with_name("best.ckpt"))
    assert find_checkpoint(last.parent).name == "best.ckpt"
    name, before = next(iter(encoder.named_parameters()))
    assert torch.equal(load_encoder(last.parent).get_parameter(name), before + 1)
    assert torch.equal(load_encoder(last).get_parameter(name), before)
    (last.parent / "best.ckpt").unlink()
    assert find_checkpoint(last.parent) == last


def test_missing_is_said_with_what_would_be_taken(tmp_path):
    with pytest.raises(CheckpointError, match=r"No checkpoint at .*\nExpected"):
        load_encoder(tmp_path / "nowhere")


def test_a_full_disk_while_saving_loses_nothing(tmp_path):
    """A file-size limit stands in for the full disk; it holds for the child process only."""
    script = textwrap.dedent(
        """
        import resource, signal, sys, torch
        from semisupcon.checkpoints import save_atomically
        from semisupcon.errors import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = sys.argv[1]
        save_atomically({"step": 1}, path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            save_atomically({"step": 2, "weights": torch.randn(1_000_000)}, path)
        except UserError as error:
            sys.exit(7 if str(error).startswith(f"{path} cannot be written: File too large") else str(error))
        """
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "last.ckpt")], check=False, timeout=120
    )
    assert done.returncode == 7
    assert read_checkpoint(tmp_path / "last.ckpt") == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
