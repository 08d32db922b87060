"""torch.compile reaches what training calls, and the loss stays the same."""

import pytest
import torch

from tests.pretraining.runs import pretrain, rows


def test_a_compiled_encoder_is_what_trains(digits, tmp_path, monkeypatch):
    """A stub in the place of the compiler, which takes a minute: it notes what is called through
    it."""
    called = []

    def compiled(function):
        def run(*args, **more):
            called.append(function.__name__)
            return function(*args, **more)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    for name in ("false", "true"):
        assert (
            pretrain(
                digits,
                tmp_path,
                "--run_name",
                name,
                "--trainer.max_steps",
                "3",
                "--model.compile",
                name,
            )
            == 0
        )
        assert bool(called) == (name == "true")
    assert set(called) == {"features", "from_features"}
    losses = [
        [float(row["loss"]) for row in rows(tmp_path / name) if row.get("loss")]
        for name in ("true", "false")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
