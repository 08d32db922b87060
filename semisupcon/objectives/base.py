"""Base class of objectives, `Criterion`, and its interface to the encoder, `Encode`."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from semisupcon.batch import Batch, DataFacts, Scored
from semisupcon.batch_norm import statistics_kept
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.spec import Recorded

Augment = Callable[[Tensor, Tensor], Tensor]


class Encode:
    """Interface of a criterion to the encoder: waveforms to embeddings.

    Args:
        encoder: the encoder.
        chunk_size: maximum number of views encoded at once. Larger batches are encoded in chunks.
            Activations are recomputed in the backward pass, so memory holds one chunk. Results are
            equal to the whole batch, except that batch-norm statistics are per chunk.
        compiled: whether ``torch.compile`` compiles the encoder's ``features`` and
            ``from_features``.
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
            length: ``[N]`` number of valid samples.
            task: task whose parameters are used, for encoders with several tasks.
            augment: ``(features, key) -> features``, applied to the output of the front end; its
                random draws depend on the key only.
            key: ``[N]`` int64, random key of each row; required with ``augment``.
        """

        def embed(x: Tensor, length: Tensor | None, key: Tensor | None) -> Tensor:
            features = self._features(x, length, task)
            if augment:
                features = augment(features, cast("Tensor", key))
            return self._from_features(features, length, task)

        embeddings = self._in_chunks(embed, x, length, key)
        width = self.encoder.embedding_dim if task is None else self.encoder.task_dims[task]
        if list(embeddings.shape) != [len(x), width]:
            name, shape = type(self.encoder).__name__, list(embeddings.shape)
            raise ConfigError(
                f"{name} declares embeddings [N, {width}] (its argument dims) and returns {shape} "
                f"for {len(x)} waveforms."
            )
        return embeddings

    def frames(self, x: Tensor, task: str | None = None) -> Tensor:
        """Frames ``[N, D, F]`` before pooling."""
        return self._in_chunks(lambda x: self.encoder.frames(x, task=task), x)

    def _in_chunks(self, run: Callable[..., Tensor], x: Tensor, *more: Tensor | None) -> Tensor:
        if self.chunk_size is None or len(x) <= self.chunk_size or not torch.is_grad_enabled():
            return run(x, *more)
        starts = range(0, len(x), self.chunk_size)
        chunks = [
            [None if t is None else t[i : i + self.chunk_size] for t in (x, *more)] for i in starts
        ]
        again = lambda: (nullcontext(), statistics_kept(self.encoder))  # noqa: E731
        return torch.cat(
            [checkpoint(run, *chunk, use_reentrant=False, context_fn=again) for chunk in chunks]
        )


def checked_losses(criterion: "Criterion", batch: Batch, encode: Encode) -> dict[str, Any]:
    """``criterion.losses(batch, encode)``, checked without reading a value from the device.

    Raises:
        ConfigError: if it is no dictionary of tensors (or `Scored`) with a scalar ``loss``.
    """
    losses, name = (
        criterion.losses(batch, encode),
        f"{type(criterion).__name__}.losses(batch, encode)",
    )
    if (
        not isinstance(losses, dict)
        or not isinstance(loss := losses.get("loss"), Tensor)
        or loss.numel() != 1
    ):
        got = (
            f"a dictionary of {', '.join(losses) or 'nothing'}"
            if isinstance(losses, dict)
            else type(losses).__name__
        )
        raise ConfigError(
            f"{name} must return a dictionary with the scalar tensor 'loss', got {got}."
        )
    for key, value in losses.items():
        if not isinstance(value, Tensor | Scored) or (
            isinstance(value, Tensor) and value.numel() != 1
        ):
            got = (
                f"a tensor {list(value.shape)}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise ConfigError(f"{name} must return scalar tensors to log, but {key!r} is {got}.")
    return losses


class Criterion(Recorded):
    """Loss-side module of an objective.

    Subclasses define ``losses`` and set ``views``, and if needed ``most_views`` (maximum number of
    views), ``in_batch_negatives`` (anchors are compared with the other clips of their batch) and
    ``predicts_augmentation`` (validation must augment too). Other methods have defaults.

    Attributes:
        logs: whether values of `losses` other than the loss are logged. If False, `losses` may omit
            them.
    """

    logs: bool = True
    views: int = 2
    most_views: int | None = None
    in_batch_negatives: bool = False
    predicts_augmentation: bool = False

    def connect(self, encoder: Encoder) -> None:
        """Build heads for an encoder; called once, at construction.

        Raises:
            ConfigError: if the criterion cannot use this encoder, with the reason in one sentence.
        """

    def check(self, encoder: Encoder) -> None:
        """Check that segments are long enough, since their length may change after `connect`.

        Raises:
            ConfigError: if segments are too short, with the reason in one sentence.
        """

    def prepare(self, facts: DataFacts) -> None:
        """Build parts that depend on the data (classes, scales of regression targets).

        Called at set-up, before weights are restored.
        """

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        """Scalar ``loss`` of a batch and, if ``logs`` is set, other values to log.

        Values are tensors on the device of the batch. In evaluation mode they may also be `Scored`,
        from which metrics over all validation clips are computed.
        """
        raise TypeError(f"{type(self).__name__} defines no losses(batch, encode)")

    def log_values(self, wanted: bool) -> None:
        """Set ``logs`` of this criterion and of nested criteria.

        The trainer sets it at logged steps and in validation.
        """
        for part in self.modules():
            if isinstance(part, Criterion):
                part.logs = wanted

    def after_step(self, encoder: Encoder) -> None:
        """Hook after every optimizer step, for example to update momentum encoders."""

    def pending(self) -> dict[str, Tensor]:
        """State for `after_step` from batches since the last optimizer step.

        Saved in checkpoints written during gradient accumulation.
        """
        return {}

    def restore_pending(self, state: dict[str, Tensor]) -> None:
        """Restore the state returned by `pending`."""

    def representations(self) -> dict[str, nn.Module]:
        """Heads by name that map an embedding to another representation, such as ``projection``."""
        return {}

    def reads(self, head: str) -> str | None:
        """Encoder task that a head of `representations` reads; None means the whole embedding."""
        return None

    def matrices(self, batch: Batch, encode: Encode) -> dict[str, Tensor]:
        """Square matrices to plot (targets, similarities); called every few thousand steps."""
        return {}
