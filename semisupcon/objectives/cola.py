"""COLA: find the other crop of the same clip within a batch, by a learned similarity.

See Saeed et al. 2021, eq. 1 and 2.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from semisupcon.batch import Batch
from semisupcon.distributed import share
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.heads import COLAHead, Head
from semisupcon.losses import at_least_float32, cross_entropy_of_products
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.random import normal, view_of
from semisupcon.spec import Recorded


class Bilinear(Recorded):
    """Similarity s(a, p) = a W p with a learned square matrix W, without temperature.

    Args:
        dim: width of the projections.
        initial_scale: initial standard deviation of W. For batches of 256 clips, the initial loss
            is about 7.5 with 0.01 (as in the JAX port of COLA) and 29 with 0.05 (as in its
            TensorFlow code); training fails with 1. The loss of an uninformative similarity is the
            logarithm of the batch size.
    """

    def __init__(self, dim: int = 512, initial_scale: float = 0.01):
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(initial_scale * torch.randn(dim, dim))

    def forward(self, anchors: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        """Return two blocks of rows ``[N, P]`` whose inner products are the similarities."""
        return anchors @ self.weight.to(anchors.dtype), positives


class Cosine(Recorded):
    """Similarity s(a, p) = cosine(a, p) / temperature.

    Args:
        temperature: positive; 0.2 in the COLA paper.
    """

    dim = None

    def __init__(self, temperature: float = 0.2):
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, anchors: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        """Return two blocks of rows ``[N, P]`` whose inner products are the similarities."""
        return normalize(anchors, dim=-1) / self.temperature, normalize(positives, dim=-1)


class COLA(Criterion):
    """Cross-entropy of the similarities of each anchor with the positives of all clips (COLA).

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``. None is the head
            of the paper for the bilinear similarity (linear, LayerNorm, tanh). For the cosine
            similarity, the paper uses only a linear layer (`LinearHead`).
        similarity: `Bilinear` or `Cosine`; None is `Bilinear` with the width of the projection.
        noise: standard deviation of the Gaussian noise that is added to the waveform of the
            positive in training, relative to the L2 norm of the crop. The paper does not mention
            noise. Both published implementations use 0.001, which is 18 dB below a crop of 0.96 s.
        spec_augment: module ``(features, key) -> features`` that is applied to positives in
            training; the ConvNeXt recipe needs it.
        symmetric: whether positives are also compared with all anchors. The loss is then the mean
            of both directions.
        together: whether anchors and positives are encoded in one batch, as in the published code,
            or separately.
        gather_negatives: whether candidates are from all ranks, or only from the rank of the
            anchor.

    Logged:
        ``top1``, the fraction of anchors whose positive is the most similar candidate;
        ``negatives``, the number of negatives per anchor.
    """

    views = most_views = 2
    in_batch_negatives = True

    def __init__(
        self,
        projector: Head | None = None,
        similarity: Bilinear | Cosine | None = None,
        noise: float = 0.0,
        spec_augment: Recorded | None = None,
        symmetric: bool = False,
        together: bool = True,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if noise < 0:
            raise ConfigError(f"noise must not be negative, got {noise}")
        self.projector = projector if projector is not None else COLAHead()
        self.similarity = similarity
        self.spec_augment: Callable[[Tensor, Tensor], Tensor] | None = spec_augment
        self.noise, self.symmetric, self.together, self.gather_negatives = (
            noise,
            symmetric,
            together,
            gather_negatives,
        )

    def connect(self, encoder: Encoder) -> None:
        width = self.projector.complete(encoder.embedding_dim)
        if self.similarity is None:
            self.similarity = Bilinear(width)
        if self.similarity.dim not in (None, width):
            raise ConfigError(
                f"the similarity takes projections of width {self.similarity.dim}, but the "
                f"projector gives {self.projector.out_dim}."
            )
        if self.spec_augment is not None and encoder.frontend.bands is None:
            raise ConfigError(
                f"spec_augment masks spectrograms, but {type(encoder).__name__} reads waveforms."
            )

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        audio, key, length = batch["audio"], batch["key"], batch["length"]
        if self.noise and self.training:
            clean = audio[:, 1]
            drawn = normal(key[:, 1], "noise", audio.shape[-1])[:, None].to(audio.dtype)
            audio = torch.stack(
                [audio[:, 0], clean + self.noise * clean.norm(dim=-1, keepdim=True) * drawn], dim=1
            )
        augment = self._on_positives if self.spec_augment is not None and self.training else None
        if self.together:
            rows = encode(
                audio.flatten(0, 1), length=length.flatten(), augment=augment, key=key.flatten()
            ).unflatten(0, key.shape)
            h1, h2 = rows.unbind(dim=1)
        else:
            h1, h2 = (
                encode(audio[:, v], length=length[:, v], augment=augment, key=key[:, v])
                for v in (0, 1)
            )
        return self.losses_of(self.projector(h1), self.projector(h2))

    def losses_of(self, anchors: Tensor, positives: Tensor) -> dict[str, Tensor]:
        """Compute the losses of projections ``[B, P]`` of anchors and positives."""
        assert self.similarity is not None  # built by connect()
        with torch.autocast(anchors.device.type, enabled=False):
            queries, keys = self.similarity(at_least_float32(anchors), at_least_float32(positives))
        where = share(len(queries), queries.device, self.gather_negatives)
        own = where.columns(queries.device)
        contrast = cross_entropy_of_products(queries, where.gather(keys), own)
        loss = contrast.loss
        if self.symmetric:
            loss = (loss + cross_entropy_of_products(keys, where.gather(queries), own).loss) / 2
        losses = {"loss": loss * where.weight}
        if self.logs:
            losses |= {
                "top1": where.mean(contrast.nearest),
                "negatives": loss.new_full((), where.total - 1),
            }
        return losses

    def _on_positives(self, features: Tensor, key: Tensor) -> Tensor:
        """Apply ``spec_augment`` to the rows of second views only."""
        assert self.spec_augment is not None
        is_positive = (view_of(key) == 1).view(-1, *[1] * (features.dim() - 1))
        return torch.where(is_positive, self.spec_augment(features, key), features)
