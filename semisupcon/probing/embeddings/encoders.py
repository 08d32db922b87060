"""The probed encoders: from a checkpoint, untrained with the same architecture, or any module by
class path.

The untrained encoder (``random`` in tables) is the baseline. The batch norm of a new network
divides by 1, so its results would depend on the initialisation more than on the architecture.
Therefore its running statistics are measured on the training clips of each task, without labels.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.batch_norm import statistics_measured, tracking
from semisupcon.checkpoints import load_encoder, load_parts
from semisupcon.digests import add_weights
from semisupcon.encoders.base import WHOLE, Encoder, freeze
from semisupcon.errors import ConfigError, UserError
from semisupcon.frontends import Normalization
from semisupcon.probing.embeddings.any_module import as_encoder, find_class, from_yaml
from semisupcon.probing.embeddings.tasks import named
from semisupcon.spec import remake, spec_of, with_modules

if TYPE_CHECKING:
    from semisupcon.objectives.base import Criterion

RANDOM = "random"
CACHE_VERSION = 1


@dataclass(frozen=True)
class Subject:
    """A frozen encoder with one of its representations.

    Attributes:
        name: name in tables.
        encoder: frozen encoder.
        source: "pretrained", "random" (untrained, architecture of a checkpoint), or "as
            constructed" (by class path).
        representation: "embedding" (the whole embedding), one of the encoder's tasks, or a head of
            its criterion ("projection").
        head: the criterion's head, if it is the representation.
        task: task of the encoder that is the input of the head; None for the whole embedding.
        seed: seed of the initialisation of random encoders.
        make: builds a new encoder, if its spec is not enough.
    """

    name: str
    encoder: Encoder
    source: str
    representation: str = "embedding"
    head: nn.Module | None = None
    task: str | None = None
    seed: int | None = None
    make: Callable[[], Encoder] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the representation ``[N, D]`` of waveforms ``[N, 1, T]``."""
        task = self.representation if self.representation in self.encoder.tasks else self.task
        embedding = self.encoder(x, task=task)
        return embedding if self.head is None else self.head(embedding)

    def to(self, device: str) -> "Subject":
        """Move its modules to a device."""
        for module in filter(None, (self.encoder, self.head)):
            module.to(device)
        return self

    def fingerprint(self) -> str:
        """Hash of everything that the output depends on: spec, weights, buffers, representation."""
        digest = hashlib.sha256(
            json.dumps(
                [CACHE_VERSION, self.representation, written_form(self.encoder)], sort_keys=True
            ).encode()
        )
        for module in filter(None, (self.encoder, self.head)):
            add_weights(digest, module)
        return digest.hexdigest()


def load_subject(
    text: str, representation: str = "embedding", trust: Sequence[str] = ()
) -> Subject:
    """Load a pretrained encoder and freeze it.

    Args:
        text: a checkpoint, run folder or exported folder; the class path of an encoder, used as
            constructed; a YAML file that describes any module
            (`semisupcon.probing.embeddings.any_module`); or ``name=`` and any of these.
        representation: name of the representation.
        trust: modules outside this package whose classes the file may name.

    Raises:
        CheckpointError: if the file is missing, damaged, or not a model of semisupcon.
        ConfigError: for an unknown representation, with a list of the known ones.
    """
    name, what = named(text)
    if Path(what).suffix in (".yaml", ".yml"):
        encoder, make = from_yaml(Path(what), trust)
        name = name if name != what else Path(what).stem
        return Subject(
            name, freeze(encoder), "pretrained", _checked(encoder, representation, ()), make=make
        )
    if not Path(what).exists() and (found := find_class(what)) is not None:
        with seeded(0):  # Gives the same weights in every session.
            encoder = as_encoder(found)
        return Subject(
            name,
            freeze(encoder),
            "as constructed",
            _checked(encoder, representation, ()),
            make=lambda: as_encoder(found),
        )
    name = name if name != what else _short_name(Path(what))
    encoder = cast("Encoder", load_encoder(what, trust))
    if representation in (*WHOLE, *encoder.tasks):
        return Subject(name, freeze(encoder), "pretrained", _checked(encoder, representation, ()))
    encoder, criterion = cast("tuple[Encoder, Criterion]", load_parts(what, trust))
    heads = criterion.representations()
    _checked(encoder, representation, heads)
    head, task = heads[representation].requires_grad_(False).eval(), criterion.reads(representation)
    return Subject(name, freeze(encoder), "pretrained", representation, head, task)


def random_twin(subject: Subject, seed: int) -> Subject:
    """An untrained encoder with the same spec, initialised from ``seed``; its batch norm is not
    calibrated yet.

    Raises:
        ConfigError: if the representation is a head: untrained encoders have none.
    """
    if subject.head is not None:
        raise ConfigError(
            f"'{RANDOM}' has no representation '{subject.representation}'; probe it on the "
            "embedding."
        )
    with seeded(seed):
        encoder = subject.make() if subject.make else remake(subject.encoder)
    for trained, fresh in zip(subject.encoder.modules(), encoder.modules(), strict=True):
        # Input statistics are a property of the data, not of training.
        if isinstance(trained, Normalization):
            fresh.load_state_dict(trained.state_dict())
    return Subject(RANDOM, freeze(encoder), "random", subject.representation, seed=seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator in the block and restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def calibrated(subject: Subject, batches: Iterable[Tensor]) -> Subject:
    """A copy with batch-norm statistics averaged over ``batches`` of waveforms ``[N, 1, T]``; other
    layers stay in eval mode.
    """
    encoder = copy.deepcopy(subject.encoder)
    if not tracking(encoder):
        return subject
    with statistics_measured(encoder), torch.no_grad():
        for batch in batches:
            encoder(batch)
    return Subject(
        subject.name, freeze(encoder), subject.source, subject.representation, seed=subject.seed
    )


def same_shape(a: Subject, b: Subject) -> bool:
    """Whether two encoders have the same spec."""
    return written_form(a.encoder) == written_form(b.encoder)


def written_form(encoder: Encoder) -> Any:
    """The spec of an encoder, without weights; if it has none, its repr, sample rate and segment
    length.
    """
    try:
        return with_modules(spec_of(encoder))
    except TypeError:
        return [str(encoder), encoder.sample_rate, encoder.segment_samples]


def check_embeddings(values: np.ndarray, what: str) -> None:
    """Check that embeddings are finite.

    Raises:
        UserError: with the name of the clip or checkpoint.
    """
    if not all(np.isfinite(values[i : i + 4096]).all() for i in range(0, len(values), 4096)):
        raise UserError(
            f"The embedding of {what} holds NaN or infinite values.\nEither the audio holds such "
            "values, or the encoder diverged in training."
        )


def _checked(encoder: Encoder, representation: str, heads: Iterable[str]) -> str:
    if representation in WHOLE:
        return "embedding"
    if representation in (*encoder.tasks, *heads):
        return representation
    offered = ", ".join(("embedding", *encoder.tasks, *heads))
    raise ConfigError(
        f"No representation '{representation}' in {type(encoder).__name__}; it has: {offered}."
    )


def _short_name(path: Path) -> str:
    """The name of a checkpoint: the run folder for "best.ckpt" and "last.ckpt", else the file name
    without extension.
    """
    return (
        path.parent.name
        if path.suffix == ".ckpt" and path.stem in ("best", "last") and path.parent.name
        else path.stem
    )
