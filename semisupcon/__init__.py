"""Contrastive self-supervised, semi-supervised and supervised pretraining of audio encoders, and
their evaluation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from semisupcon.old_names import accept_old_names

if TYPE_CHECKING:
    import os

    import pandas as pd

    from semisupcon.commands.calls import embed, explore, index, predict, search, tag
    from semisupcon.encoders.base import Encoder
    from semisupcon.labelling.model import Model

accept_old_names()

__version__ = "0.2.0"


def load_encoder(path: str | Path, trust: Sequence[str] = ()) -> "Encoder":
    """Load the encoder of a checkpoint, run folder or exported folder; see
    `semisupcon.checkpoints.load_encoder`.
    """
    from semisupcon.checkpoints import load_encoder

    return cast("Encoder", load_encoder(path, trust))


def load(
    path: str | Path,
    head: str | Path | None = None,
    trust: Sequence[str] = (),
    device: str = "cpu",
    representation: str | None = None,
) -> "Model":
    """Load an encoder, and a head on it, to embed and to label audio; see
    `semisupcon.labelling.model.load`.
    """
    from semisupcon.labelling.model import load

    return load(path, head, trust, device, representation)


def pretrain(
    recipe: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]",
    data_dir: "str | os.PathLike[str] | None" = None,
    labels: "str | os.PathLike[str] | Mapping[str, Any] | None" = None,
    overrides: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Pretrain an encoder and return the folder of the run; see `semisupcon.commands.python.pretrain`."""
    from semisupcon.commands import python

    return python.pretrain(recipe, data_dir, labels, overrides, **more)


def probe(
    checkpoints: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]",
    tasks: str | Sequence[str],
    data_root: "str | os.PathLike[str] | None" = None,
    methods: str | Sequence[str] = ("linear",),
    overrides: Mapping[str, Any] | None = None,
    **more: Any,
) -> "pd.DataFrame":
    """Evaluate encoders on labelled tasks and return the results; see
    `semisupcon.commands.python.probe`.
    """
    from semisupcon.commands import python

    return python.probe(checkpoints, tasks, data_root, methods, overrides, **more)


_CALLS = ("embed", "explore", "index", "predict", "search", "tag")


def __getattr__(name: str) -> Any:
    """Import the functions of `semisupcon.commands.calls` at their first use."""
    if name in _CALLS:
        from semisupcon.commands import calls

        return getattr(calls, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "embed",
    "explore",
    "index",
    "load",
    "load_encoder",
    "predict",
    "pretrain",
    "probe",
    "search",
    "tag",
]
