"""Who is probed: the encoder of a checkpoint, an untrained one of the same shape, or any module by class path; and one of its representations.

The untrained encoder is what training has to beat. A fresh network's batch norm divides by 1, which says more about initialisation than about the
architecture, so its running statistics are taken from the training clips of each task (no label is seen); tables name it ``random``.
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
    """A frozen representation.

    Attributes:
        name: how tables call it.
        encoder: frozen.
        source: "pretrained", "random" (untrained, of a checkpoint's shape), or "as constructed" (by class path).
        representation: "embedding" (all of it), one of the encoder's tasks, or a head of its criterion ("projection").
        head: the criterion's head, where one is asked for.
        task: which of the encoder's tasks that head reads; None for the whole embedding.
        seed: of the initialisation, for random ones.
        make: how to make the encoder anew, where its written form does not say it.
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
        """The representation ``[N, D]`` of waveforms ``[N, 1, T]``."""
        task = self.representation if self.representation in self.encoder.tasks else self.task
        embedding = self.encoder(x, task=task)
        return embedding if self.head is None else self.head(embedding)

    def to(self, device: str) -> "Subject":
        """Move its modules."""
        for module in filter(None, (self.encoder, self.head)):
            module.to(device)
        return self

    def fingerprint(self) -> str:
        """A hash of everything that its output depends on: written form, weights, buffers, representation."""
        digest = hashlib.sha256(json.dumps([CACHE_VERSION, self.representation, written_form(self.encoder)], sort_keys=True).encode())
        for module in filter(None, (self.encoder, self.head)):
            add_weights(digest, module)
        return digest.hexdigest()


def load_subject(text: str, representation: str = "embedding", trust: Sequence[str] = ()) -> Subject:
    """A pretrained encoder, frozen.

    Args:
        text: a checkpoint, run folder or exported folder; the class path of an encoder, as it comes out of its constructor; a YAML file that
            describes any module (`semisupcon.probing.embeddings.any_module`); or ``name=`` any of these.
        representation: which of its representations.
        trust: modules outside this package that the file may name.

    Raises:
        CheckpointError: if it is missing, damaged, or no model of ours.
        ConfigError: for a representation that it does not have, naming those it has.
    """
    name, what = named(text)
    if Path(what).suffix in (".yaml", ".yml"):
        encoder, make = from_yaml(Path(what), trust)
        name = name if name != what else Path(what).stem
        return Subject(name, freeze(encoder), "pretrained", _checked(encoder, representation, ()), make=make)
    if not Path(what).exists() and (found := find_class(what)) is not None:
        with seeded(0):  # The same class is the same encoder in every session.
            encoder = as_encoder(found)
        return Subject(name, freeze(encoder), "as constructed", _checked(encoder, representation, ()), make=lambda: as_encoder(found))
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
    """An untrained encoder of the same written form, initialised from ``seed``; its batch norm is still to be calibrated.

    Raises:
        ConfigError: when the representation is a trained head, which an untrained encoder has none of.
    """
    if subject.head is not None:
        raise ConfigError(f"'{RANDOM}' has no representation '{subject.representation}'; probe it on the embedding.")
    with seeded(seed):
        encoder = subject.make() if subject.make else remake(subject.encoder)
    for trained, fresh in zip(subject.encoder.modules(), encoder.modules(), strict=True):
        # The statistics by which inputs are normalised are a property of the data, not of training.
        if isinstance(trained, Normalization):
            fresh.load_state_dict(trained.state_dict())
    return Subject(RANDOM, freeze(encoder), "random", subject.representation, seed=seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed; the generator outside goes on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def calibrated(subject: Subject, batches: Iterable[Tensor]) -> Subject:
    """A copy whose batch-norm statistics are the averages over ``batches`` of waveforms ``[N, 1, T]``; everything else stays in eval mode."""
    encoder = copy.deepcopy(subject.encoder)
    if not tracking(encoder):
        return subject
    with statistics_measured(encoder), torch.no_grad():
        for batch in batches:
            encoder(batch)
    return Subject(subject.name, freeze(encoder), subject.source, subject.representation, seed=subject.seed)


def same_shape(a: Subject, b: Subject) -> bool:
    """Whether two encoders are written down alike."""
    return written_form(a.encoder) == written_form(b.encoder)


def written_form(encoder: Encoder) -> Any:
    """What an encoder is, but for its weights: its spec, or its parts and settings in words where it has none."""
    try:
        return with_modules(spec_of(encoder))
    except TypeError:
        return [str(encoder), encoder.sample_rate, encoder.segment_samples]


def check_embeddings(values: np.ndarray, what: str) -> None:
    """Refuse embeddings that are not numbers.

    Raises:
        UserError: naming the clip or checkpoint.
    """
    if not all(np.isfinite(values[i : i + 4096]).all() for i in range(0, len(values), 4096)):
        raise UserError(
            f"The embedding of {what} holds NaN or infinite values.\nEither the audio does, or the encoder diverged in training."
        )


def _checked(encoder: Encoder, representation: str, heads: Iterable[str]) -> str:
    if representation in WHOLE:
        return "embedding"
    if representation in (*encoder.tasks, *heads):
        return representation
    offered = ", ".join(("embedding", *encoder.tasks, *heads))
    raise ConfigError(f"No representation '{representation}' in {type(encoder).__name__}; it has: {offered}.")


def _short_name(path: Path) -> str:
    """A run is called by its folder's name, not by "best.ckpt"."""
    return path.parent.name if path.suffix == ".ckpt" and path.stem in ("best", "last") and path.parent.name else path.stem
