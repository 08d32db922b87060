"""MFCL: match the waveform of one crop of a clip with the spectrogram of another crop.

See Wang and van den Oord 2021. The defaults are those of an exercise on AudioMNIST.
"""

from typing import Any

import torch
from torch import nn

from semisupcon.batch import Batch
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.heads import Head
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.views import nt_xent
from semisupcon.random import clip_key, uniform
from semisupcon.spec import Recorded

FORMATS = ("waveform", "spectrogram")


class MFCL(Criterion):
    """Symmetric NT-Xent between the embeddings of a waveform and of a spectrogram encoder (MFCL).

    Both encoders are trained jointly. For each clip, its two crops are randomly assigned to the two
    formats. Negatives are the other clips in both formats. Crops may differ in length.

    Args:
        temperature: positive; 0.1 in the AudioMNIST exercise.
        waveform_projector: head on the waveform embedding; None compares the embedding itself, as
            in the AudioMNIST exercise.
        spectrogram_projector: head on the spectrogram embedding, with the same output width.
        spec_augment: module ``(features, key) -> features`` that is applied to spectrograms in
            training. In the AudioMNIST exercise, frequency masks gave the best probe result.
        gather_negatives: whether negatives are from all ranks, or only from the rank of the anchor.

    Logged:
        ``top1``, the fraction of anchors whose nearest item is the same clip in the other format;
        ``negatives``, the number of negatives per anchor.
    """

    views = most_views = 2
    in_batch_negatives = True

    def __init__(
        self,
        temperature: float = 0.1,
        waveform_projector: Head | None = None,
        spectrogram_projector: Head | None = None,
        spec_augment: Recorded | None = None,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.projectors = nn.ModuleDict(
            {
                name: head or nn.Identity()
                for name, head in zip(
                    FORMATS, (waveform_projector, spectrogram_projector), strict=True
                )
            }
        )
        self.spec_augment = spec_augment
        self.temperature, self.gather_negatives = temperature, gather_negatives

    def connect(self, encoder: Encoder) -> None:
        if set(encoder.tasks) != set(FORMATS):
            raise ConfigError(
                "MFCL needs an encoder with the formats waveform and spectrogram (MultiFormat), "
                f"got {type(encoder).__name__}."
            )
        widths = {}
        for name, head in self.projectors.items():
            widths[name] = encoder.task_dims[name]
            if isinstance(head, Head):
                widths[name] = head.complete(widths[name])
        if len(set(widths.values())) > 1:
            raise ConfigError(
                f"MFCL compares both formats, so their widths must be equal, got {widths}."
            )

    def representations(self) -> dict[str, nn.Module]:
        return {
            f"{name}_projection": head
            for name, head in self.projectors.items()
            if isinstance(head, Head)
        }

    def reads(self, head: str) -> str | None:
        return head.removesuffix("_projection")

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        heard_first = uniform(clip_key(batch["key"][:, 0]), "format")[:, 0] < 0.5
        rows = torch.arange(len(heard_first), device=heard_first.device)
        embeddings = []
        for name, view in zip(FORMATS, ((~heard_first).long(), heard_first.long()), strict=True):
            crop, length, key = (batch[part][rows, view] for part in ("audio", "length", "key"))
            augment = self.spec_augment if name == "spectrogram" and self.training else None
            embeddings.append(
                self.projectors[name](
                    encode(crop, length=length, task=name, augment=augment, key=key)
                )
            )
        return nt_xent(
            torch.stack(embeddings, dim=1),
            batch,
            self.temperature,
            self.gather_negatives,
            self.logs,
        )
