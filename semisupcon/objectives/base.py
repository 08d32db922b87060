"""`Criterion`, the base class of objectives, and `Encode`, its interface to the encoder."""

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
    """Interface of a criterion to the encoder: maps waveforms to embeddings.

    Args:
        encoder: the encoder.
        chunk_size: maximum number of views that are encoded at once; None means no limit. Larger
            batches are encoded in chunks. Activations are recomputed in the backward pass, so
            memory must fit only one chunk. Results are those of the whole batch, except that
            batch-norm statistics are computed per chunk.
        compiled: whether to apply ``torch.compile`` to the methods ``features`` and
            ``from_features`` of the encoder.
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
        """Compute embeddings ``[N, D]`` of waveforms ``[N, 1, T]``.

        Args:
            x: waveforms ``[N, 1, T]``.
            length: ``[N]``, number of valid samples of each waveform; None if all are valid.
            task: for encoders with several tasks, the task whose embedding is computed; None
                computes those of all tasks.
            augment: function ``(features, key) -> features`` that is applied to the output of the
                front end. Its random draws must depend only on the key.
            key: ``[N]`` int64, random key of each row, required if ``augment`` is given.
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
        """Compute frames ``[N, D, F]`` of waveforms ``[N, 1, T]``, before pooling."""
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
    """Call ``criterion.losses(batch, encode)`` and check the type of the result.

    Raises:
        ConfigError: if the result is not a dictionary of scalar tensors (or `Scored`) with the key
            ``loss``. The values of tensors are not checked, to avoid a synchronisation with the
            device.
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
    """Base class of criteria, the loss-side modules of objectives.

    Subclasses must define ``losses``. They may set ``views`` (number of views per clip),
    ``most_views`` (maximum number of views), ``in_batch_negatives`` (whether anchors are compared
    with the other clips of the batch) and ``predicts_augmentation`` (whether validation views must
    be augmented). All other methods have defaults.

    Attributes:
        logs: whether the values that `losses` returns in addition to the loss are logged. If False,
            `losses` may omit them.
    """

    logs: bool = True
    views: int = 2
    most_views: int | None = None
    in_batch_negatives: bool = False
    predicts_augmentation: bool = False

    def connect(self, encoder: Encoder) -> None:
        """Build heads for an encoder. This method is called once, when the objective is
        constructed.

        Raises:
            ConfigError: if the criterion cannot use this encoder. The message gives the reason in
                one sentence.
        """

    def check(self, encoder: Encoder) -> None:
        """Check that the segments of an encoder are long enough.

        This is separate from `connect`, because the segment length may change later.

        Raises:
            ConfigError: if segments are too short. The message gives the reason in one sentence.
        """

    def prepare(self, facts: DataFacts) -> None:
        """Build the parts that depend on the data (number of classes, scale of regression targets).

        This method is called before training, and before weights are restored.
        """

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        """Return the scalar ``loss`` of a batch and, if ``logs`` is set, other values to log.

        Values are tensors on the device of the batch. In evaluation mode they may also be `Scored`
        objects, for metrics over all validation clips.
        """
        raise TypeError(f"{type(self).__name__} defines no losses(batch, encode)")

    def log_values(self, wanted: bool) -> None:
        """Set ``logs`` of this criterion and of nested criteria.

        It is set to True at steps that are logged and in validation.
        """
        for part in self.modules():
            if isinstance(part, Criterion):
                part.logs = wanted

    def after_step(self, encoder: Encoder) -> None:
        """Run after every optimizer step, for example to update momentum encoders."""

    def pending(self) -> dict[str, Tensor]:
        """Return the state that `after_step` needs from the batches since the last optimizer step.

        It is stored in checkpoints that are written during gradient accumulation.
        """
        return {}

    def restore_pending(self, state: dict[str, Tensor]) -> None:
        """Restore the state returned by `pending`."""

    def representations(self) -> dict[str, nn.Module]:
        """Return heads that map an embedding to another representation, such as ``projection``."""
        return {}

    def reads(self, head: str) -> str | None:
        """Return the encoder task whose embedding is the input of a head of `representations`.

        None means the whole embedding.
        """
        return None

    def matrices(self, batch: Batch, encode: Encode) -> dict[str, Tensor]:
        """Return square matrices to plot, such as targets and similarities.

        This method is called every few thousand steps.
        """
        return {}
