"""MFCL: the waveform of one crop finds the spectrogram of the other (Wang and van den Oord 2021; as in the AudioMNIST exercise)."""

import torch
from torch import nn

from semisupcon.errors import ConfigError
from semisupcon.heads import Head
from semisupcon.objectives.base import Criterion
from semisupcon.objectives.views import nt_xent
from semisupcon.random import clip_key, uniform

FORMATS = ("waveform", "spectrogram")


class MFCL(Criterion):
    """NT-Xent between two encoders trained at once: a coin for each clip says which of its two crops is heard and which is seen.

    Symmetric; negatives are the other clips in both formats. Crops may differ in length.

    Args:
        temperature: positive; 0.1 in the exercise.
        waveform_projector: a head for the waveform embedding; None compares the embedding itself, as in the exercise.
        spectrogram_projector: the same for the spectrogram embedding; as wide as the other.
        gather_negatives: whether the clips of all ranks are negatives, or those of an anchor's own rank.

    Logged:
        ``top1``, how often the nearest is the same clip in the other format; ``negatives``.
    """

    views = 2

    def __init__(
        self,
        temperature: float = 0.1,
        waveform_projector: Head | None = None,
        spectrogram_projector: Head | None = None,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.projectors = nn.ModuleDict(
            {name: head or nn.Identity() for name, head in zip(FORMATS, (waveform_projector, spectrogram_projector), strict=True)}
        )
        self.temperature, self.gather_negatives = temperature, gather_negatives

    def connect(self, encoder):
        if set(encoder.tasks) != set(FORMATS):
            raise ConfigError(f"MFCL needs an encoder of the formats waveform and spectrogram (MultiFormat), not {type(encoder).__name__}.")
        widths = {}
        for name, head in self.projectors.items():
            widths[name] = encoder.task_dims[name]
            if isinstance(head, Head):
                head.connect(widths[name])
                widths[name] = head.out_dim
        if len(set(widths.values())) > 1:
            raise ConfigError(f"MFCL compares both formats, so they must be equally wide; they are {widths}.")

    def losses(self, batch, encode):
        (x1, x2), (n1, n2) = batch["audio"].unbind(dim=1), batch["length"].unbind(dim=1)
        first_is_heard = uniform(clip_key(batch["key"][:, 0]), "format")[:, 0] < 0.5
        pick = first_is_heard[:, None, None]
        crops = {
            "waveform": (torch.where(pick, x1, x2), torch.where(first_is_heard, n1, n2)),
            "spectrogram": (torch.where(pick, x2, x1), torch.where(first_is_heard, n2, n1)),
        }
        z = [self.projectors[name](encode(x, length=n, task=name)) for name, (x, n) in crops.items()]
        return nt_xent(torch.stack(z, dim=1), batch, self.temperature, self.gather_negatives)
