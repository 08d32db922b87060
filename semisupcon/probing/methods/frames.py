"""Frame-level probes: a linear head on every frame of a frozen encoder, for events with times.

The head is trained with binary cross-entropy on one target per frame and output. Thresholds are
chosen on the validation clips. Frame f of F in a segment is at its centre, (f + 0.5) / F of the
segment, so the time resolution is that of the encoder; the result states it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from semisupcon.audio.scan import scan
from semisupcon.datasets.events import NAME
from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.embedder import Part
from semisupcon.probing.embeddings.layers import framed
from semisupcon.probing.methods.base import Case
from semisupcon.probing.methods.head import new_head
from semisupcon.probing.methods.linear import best_epoch, fit
from semisupcon.probing.scores.events import Event

THRESHOLDS = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class Frames:
    """The frames of one clip.

    Attributes:
        values: ``[F, D]``.
        times: ``[F]``, their centres in seconds.
        step: seconds from frame to frame.
        duration: length of the clip in seconds.
        events: its events, sorted.
    """

    values: np.ndarray
    times: np.ndarray
    step: float
    duration: float
    events: Sequence[Event]

    def nearest(self, time: float) -> int:
        """Position of the frame that is nearest to a time."""
        return int(np.abs(self.times - time).argmin())


def frames_of(case: Case) -> dict[str, list[Frames]]:
    """The frames of all clips by split.

    Raises:
        ConfigError: for a task without times, or an encoder without frames.
    """
    task = case.features.task
    if NAME not in task.table:
        raise ConfigError(
            f"Task '{task.name}' has no events with times, which this method needs: give the task "
            "'events' (docs/probing.md)."
        )
    subject = framed(case.subject)
    width = subject.frame_width(case.embedder.device)
    features = case.embedder.features(subject, task)
    seconds = subject.encoder.segment_samples / subject.encoder.sample_rate
    result = {}
    for split, part in (("train", features.train), ("val", features.val), ("test", features.test)):
        table = features.task.table.iloc[features.task.rows(split)]
        files = [str(features.task.files[i]) for i in features.task.rows(split)]
        facts = scan(files)
        lengths = facts["frames"].to_numpy() / facts["sample_rate"].to_numpy()
        result[split] = _split_frames(part, width, seconds, lengths, table[NAME].tolist())
    return result


def _split_frames(
    part: Part, width: int, seconds: float, lengths: np.ndarray, events: list[Sequence[Event]]
) -> list[Frames]:
    each = part.chunks.values.shape[1] // width
    step, found = seconds / each, []
    for i, (start, end) in enumerate(
        zip(part.chunks.offsets[:-1], part.chunks.offsets[1:], strict=True)
    ):
        values = part.chunks.values[start:end].reshape(-1, width)
        times = (np.arange(len(values)) + 0.5) * step
        # The last segment is filled up with the beginning of the clip.
        inside = times < max(float(lengths[i]), step)
        found.append(
            Frames(values[inside], times[inside], step, float(lengths[i]), list(events[i]))
        )
    return found


@dataclass(frozen=True)
class Fitted:
    """A trained head: a function from clips to probabilities, and details of the training."""

    probabilities: Callable[[Frames], np.ndarray]
    detail: str
    curve: list[dict[str, float]]


def fitted(
    clips: dict[str, list[Frames]], targets: Callable[[Frames], np.ndarray], case: Case
) -> Fitted:
    """Train a linear head on the frames of the training clips.

    Args:
        clips: frames by split, as from `frames_of`.
        targets: targets ``[F, C]`` of a clip, in [0, 1].
        case: gives ``settings.training`` and the seed.
    """

    def joined(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        of = clips[split]
        if not of:
            return x[:0], y[:0]
        return (
            torch.from_numpy(np.concatenate([clip.values for clip in of])),
            torch.from_numpy(np.concatenate([targets(clip) for clip in of]).astype(np.float32)),
        )

    x = y = torch.zeros(0)
    x, y = joined("train")
    head = new_head("linear", x.shape[1], y.shape[1], "multilabel", seed=case.seed)
    curve = fit(head, x, y, *joined("val"), case.settings.training, case.seed)

    @torch.no_grad()
    def probabilities(clip: Frames) -> np.ndarray:
        return KINDS["multilabel"].activation(head(torch.from_numpy(clip.values))).numpy()

    step = clips["train"][0].step
    return Fitted(probabilities, f"{1000 * step:.3g} ms frames, epoch {best_epoch(curve)}", curve)


def chosen_threshold(value_at: Callable[[float], float]) -> float:
    """The threshold with the highest value; of equal ones the middle one."""
    values = np.array([value_at(float(t)) for t in THRESHOLDS])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(THRESHOLDS[best[len(best) // 2]])


def judged(clips: dict[str, list[Frames]]) -> list[Frames]:
    """The clips on which thresholds are chosen: validation, or training without validation."""
    return clips["val"] or clips["train"]
