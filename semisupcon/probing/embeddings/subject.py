"""The frozen encoder of a probe, with its representation and fingerprint."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from semisupcon.digests import add_weights
from semisupcon.encoders.base import Encoder
from semisupcon.errors import UserError
from semisupcon.probing.embeddings.identity import add_other_state
from semisupcon.probing.embeddings.wrapped import ForeignEncoder
from semisupcon.spec import spec_of, with_modules

CACHE_VERSION = 1


@dataclass(frozen=True)
class Subject:
    """A frozen encoder with one of its representations.

    Attributes:
        name: name in tables.
        encoder: frozen encoder.
        source: "pretrained", "random" (untrained, with the architecture of a checkpoint), "as
            constructed" (given by class path), "baseline" (features of a signal), or "public" (a
            public model given by name).
        representation: "embedding" (the whole embedding), a task of the encoder, or a head of its
            criterion ("projection").
        head: head of the criterion, if the representation is a head.
        task: task of the encoder that is the input of the head; None for the whole embedding.
        seed: seed of the initialisation of an untrained encoder.
        make: function that builds an untrained encoder from a seed. None if the spec of the encoder
            is enough to build one.
        described: text that identifies code, arguments and files of modules from outside this
            package; empty for modules of this package.
        shape: text as in ``described``, without files that the arguments name. It identifies the
            architecture of an untrained encoder.
    """

    name: str
    encoder: Encoder
    source: str
    representation: str = "embedding"
    head: nn.Module | None = None
    task: str | None = None
    seed: int | None = None
    make: Callable[[int], Encoder] | None = None
    described: str = ""
    shape: str = ""

    @property
    def class_name(self) -> str:
        """Name of the class of the encoder. If it wraps a module, the class of the module."""
        wraps = isinstance(self.encoder, ForeignEncoder)
        return type(self.encoder.trunk if wraps else self.encoder).__name__

    @property
    def has_untrained(self) -> bool:
        """Whether an untrained encoder with the same architecture can be built."""
        if self.head is not None or (self.source in ("baseline", "public") and self.make is None):
            return False
        return any(True for _ in self.encoder.parameters())

    def facts(self) -> dict[str, str]:
        """Return a description of the encoder for tables.

        The description has class, source, sample rate (Hz), input, layer, pooling, package and
        licence.
        """
        encoder = self.encoder
        seconds = encoder.segment_samples / encoder.sample_rate
        own = type(encoder.pool).__name__
        return {
            "encoder": self.name,
            "source": self.source,
            "class": self.class_name,
            "sample_rate": str(encoder.sample_rate),
            "input": "whole clips" if encoder.whole_clips else f"segments of {seconds:.3g} s",
            "layer": getattr(encoder, "layer", "") or self.representation,
            "pooling": getattr(encoder, "pooling", "")
            or ("of the module" if isinstance(encoder, ForeignEncoder) else own),
            "package": str(getattr(encoder, "version", str)()),
            "licence": getattr(encoder, "licence", ""),
        }

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the representation ``[N, D]`` of waveforms ``[N, 1, T]``."""
        task = self.representation if self.representation in self.encoder.tasks else self.task
        embedding = self.encoder(x, task=task)
        return embedding if self.head is None else self.head(embedding)

    def to(self, device: str) -> "Subject":
        """Move encoder and head to a device."""
        for module in filter(None, (self.encoder, self.head)):
            module.to(device)
        return self

    def fingerprint(self) -> str:
        """Return a hash of all that affects the output: spec, weights, buffers, representation."""
        about = [CACHE_VERSION, self.representation, written_form(self.encoder)]
        if self.described:
            about.append(self.described)
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for module in filter(None, (self.encoder, self.head)):
            add_weights(digest, module)
        if isinstance(self.encoder, ForeignEncoder):
            add_other_state(digest, self.encoder.trunk)
        return digest.hexdigest()

    def cache_key(self) -> str:
        """Return the fingerprint, or another hash if a later version computes other embeddings.

        A module whose output has changed between versions has the attribute ``revision``.
        """
        revision = max(getattr(module, "revision", 1) for module in self.encoder.modules())
        key = self.fingerprint()
        return key if revision == 1 else hashlib.sha256(f"{key} {revision}".encode()).hexdigest()


def same_shape(a: Subject, b: Subject) -> bool:
    """Return whether two encoders have the same spec, arguments and code."""
    return a.shape == b.shape and written_form(a.encoder) == written_form(b.encoder)


def written_form(encoder: Encoder) -> Any:
    """Return the spec of an encoder, without weights.

    For an encoder without a spec, return its repr, sample rate and segment length.
    """
    try:
        return with_modules(spec_of(encoder))
    except TypeError:
        form = [str(encoder), encoder.sample_rate, encoder.segment_samples]
        return [*form, "whole clips"] if encoder.whole_clips else form


def check_embeddings(values: np.ndarray, what: str) -> None:
    """Check that embeddings are finite.

    Args:
        values: ``[n, D]``.
        what: name of the clip or checkpoint, for the message.

    Raises:
        UserError: if a value is NaN or infinite.
    """
    if not all(np.isfinite(values[i : i + 4096]).all() for i in range(0, len(values), 4096)):
        raise UserError(
            f"The embedding of {what} holds NaN or infinite values.\nEither the audio holds such "
            "values, or the encoder diverged in training."
        )
