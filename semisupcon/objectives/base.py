"""What all objectives share: `Criterion`, and `Encode`, the encoder as a criterion sees it."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from semisupcon.batch import Batch, DataFacts
from semisupcon.batch_norm import statistics_kept
from semisupcon.encoders.base import Encoder
from semisupcon.spec import Recorded

Augment = Callable[[Tensor, Tensor], Tensor]


class Encode:
    """The encoder as a criterion sees it: waveforms in, embeddings out.

    Args:
        encoder: the encoder.
        chunk_size: views encoded at once; larger batches go through in chunks whose activations are computed again in the backward pass,
            so that memory holds one chunk. Equal to the whole batch but for batch norm, whose statistics are then those of a chunk.
        compiled: whether ``torch.compile`` compiles the encoder's ``features`` and ``from_features``.
    """

    def __init__(self, encoder: Encoder, chunk_size: int | None = None, compiled: bool = False):
        self.encoder = encoder
        self.chunk_size = chunk_size
        make = torch.compile if compiled else lambda function: function
        self._features, self._from_features = make(encoder.features), make(encoder.from_features)

    def __call__(
        self,
        x: Tensor,
        length: Tensor | None = None,
        task: str | None = None,
        augment: Augment | None = None,
        key: Tensor | None = None,
    ) -> Tensor:
        """Embeddings ``[N, D]`` of waveforms ``[N, 1, T]``.

        Args:
            x: waveforms.
            length: ``[N]`` samples that are audio.
            task: whose parameters to use, for encoders with several.
            augment: ``(features, key) -> features``, applied to the output of the front end; all it draws comes from the key.
            key: ``[N]`` int64, the randomness of each row; needed with ``augment``.
        """

        def embed(x: Tensor, length: Tensor | None, key: Tensor | None) -> Tensor:
            features = self._features(x, length, task)
            if augment:
                features = augment(features, cast("Tensor", key))
            return self._from_features(features, length, task)

        return self._in_chunks(embed, x, length, key)

    def frames(self, x: Tensor, task: str | None = None) -> Tensor:
        """The sequence ``[N, D, F]`` before pooling."""
        return self._in_chunks(lambda x: self.encoder.frames(x, task=task), x)

    def _in_chunks(self, run: Callable[..., Tensor], x: Tensor, *more: Tensor | None) -> Tensor:
        if self.chunk_size is None or len(x) <= self.chunk_size or not torch.is_grad_enabled():
            return run(x, *more)
        starts = range(0, len(x), self.chunk_size)
        chunks = [[None if t is None else t[i : i + self.chunk_size] for t in (x, *more)] for i in starts]
        again = lambda: (nullcontext(), statistics_kept(self.encoder))  # noqa: E731
        return torch.cat([checkpoint(run, *chunk, use_reentrant=False, context_fn=again) for chunk in chunks])


class Criterion(Recorded):
    """A learning problem: what a batch is asked, and how wrong the answer is.

    Subclasses set ``views`` (and ``most_views``, where more than so many make no sense), ``in_batch_negatives`` where an anchor is compared with
    the other clips of its batch, ``predicts_augmentation`` where validation must augment too, and write ``losses``; the other methods have
    useful defaults.

    Attributes:
        logs: whether what `losses` gives beside the loss is logged. Where it is False, that may be left out.
    """

    logs: bool = True
    views: int = 2
    most_views: int | None = None
    in_batch_negatives: bool = False
    predicts_augmentation: bool = False

    def connect(self, encoder: Encoder) -> None:
        """Fit heads to an encoder, once, at construction.

        Raises:
            ConfigError: when the two cannot work together, saying why in one sentence.
        """

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder whose segments have been given another length since `connect`, if they have become too short.

        Raises:
            ConfigError: saying why in one sentence.
        """

    def prepare(self, facts: DataFacts) -> None:
        """Take what depends on the data (classes, scales of regression targets), at set-up, before weights are restored."""

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        """The scalar ``loss`` of a batch, and, where ``logs`` is set, what else is logged, as tensors on the batch's device.

        In evaluation mode values may also be `Scored`: metrics of all validation clips are computed from them.
        """
        raise TypeError(f"{type(self).__name__} defines no losses(batch, encode)")

    def log_values(self, wanted: bool) -> None:
        """Set ``logs`` here and in the criteria inside this one: the trainer asks for values at the steps that it logs, and in validation."""
        for part in self.modules():
            if isinstance(part, Criterion):
                part.logs = wanted

    def after_step(self, encoder: Encoder) -> None:
        """Called after every optimizer step: momentum encoders move here."""

    def pending(self) -> dict[str, Tensor]:
        """What the batches since the last optimizer step have left for `after_step`; checkpoints within accumulation keep it."""
        return {}

    def restore_pending(self, state: dict[str, Tensor]) -> None:
        """Take back what `pending` gave."""

    def representations(self) -> dict[str, nn.Module]:
        """Heads that make another representation of an embedding, by name; ``projection`` where there is one."""
        return {}

    def reads(self, head: str) -> str | None:
        """Which of the encoder's tasks one of `representations` reads; None for the whole embedding."""
        return None

    def matrices(self, batch: Batch, encode: Encode) -> dict[str, Tensor]:
        """Square matrices worth a picture (targets, similarities); asked for every few thousand steps."""
        return {}
