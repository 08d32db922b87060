"""Golden models: the weights rule of the original implementations, written as published
checkpoints."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = json.loads((GOLDEN / "models.json").read_text())
OUTPUTS = {
    name: {
        k: v
        for k, v in np.load(GOLDEN / f"model_{name}.npz").items()
        if k in MODELS[name]["outputs"]
    }
    for name in MODELS
}


def weights(name: str) -> dict[str, torch.Tensor]:
    """The state dictionary of a golden model under its published keys."""
    state = {}
    for key, shape in MODELS[name]["state_dict"].items():
        r = np.random.RandomState(zlib.crc32(key.encode()))
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
            continue
        draw = r.standard_normal(shape)
        if key.endswith("running_var"):
            draw = 1 + 0.1 * np.abs(draw)
        elif key.endswith(("running_mean", "bias")) and len(shape) < 2:
            draw = 0.1 * draw
        elif len(shape) >= 2:
            draw = draw / np.sqrt(np.prod(shape[1:]))
        else:
            draw = 1 + 0.1 * draw
        state[key] = torch.from_numpy(np.asarray(draw)).float()
    return state


def example(name: str) -> torch.Tensor:
    """The golden input."""
    return torch.from_numpy(
        np.random.RandomState(0).standard_normal(MODELS[name]["input_shape"]).astype("f4")
    )


def relative_error(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """Largest difference over the largest value."""
    theirs = torch.from_numpy(theirs)
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())
