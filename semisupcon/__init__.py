"""Contrastive self-supervised, semi-supervised and supervised pretraining of audio encoders, and
their evaluation.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from semisupcon.old_names import accept_old_names

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder

accept_old_names()

__version__ = "0.2.0"


def load_encoder(path: str | Path, trust: Sequence[str] = ()) -> "Encoder":
    """Load the encoder of a checkpoint, run folder or exported folder; see
    `semisupcon.checkpoints.load_encoder`.
    """
    from semisupcon.checkpoints import load_encoder

    return cast("Encoder", load_encoder(path, trust))


__all__ = ["load_encoder"]
