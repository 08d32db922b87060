"""Contrastive self-supervised, semi-supervised and supervised pretraining of audio encoders, and
their evaluation.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from semisupcon.old_names import accept_old_names

if TYPE_CHECKING:
    from semisupcon.commands.calls import embed, explore, index, predict, search, tag
    from semisupcon.commands.python import pretrain, probe
    from semisupcon.encoders.base import Encoder
    from semisupcon.labelling.model import load

accept_old_names()

__version__ = "0.2.0"


def load_encoder(path: str | Path, trust: Sequence[str] = ()) -> "Encoder":
    """Load the encoder of a checkpoint, run folder or exported folder; see
    `semisupcon.checkpoints.load_encoder`.
    """
    from semisupcon.checkpoints import load_encoder

    return cast("Encoder", load_encoder(path, trust))


# Functions of the package by the module that defines them, which is imported at their first use.
_MODULES = {
    "semisupcon.commands.calls": ("embed", "explore", "index", "predict", "search", "tag"),
    "semisupcon.commands.python": ("pretrain", "probe"),
    "semisupcon.labelling.model": ("load",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


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
