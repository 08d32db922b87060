"""Frame-level probes for events with times: a linear head on each frame of a frozen encoder.

The head is trained with binary cross-entropy on one target per frame and output. The threshold is
chosen on the validation clips. In a segment with F frames, the time of frame f (from 0) is that of
its centre, (f + 0.5) / F of the segment length. The time resolution is therefore that of the
encoder. It is stated in the column ``detail`` of the results.
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
        values: ``[F, D]``, embeddings of the frames.
        times: ``[F]``, centres of the frames in seconds.
        step: time between two frames in seconds.
        duration: length of the clip in seconds.
        events: events of the clip, sorted.
    """

    values: np.ndarray
    times: np.ndarray
    step: float
    duration: float
    events: Sequence[Event]

    def nearest(self, time: float) -> int:
        """Return the index of the frame that is nearest to a time in seconds."""
        return int(np.abs(self.times - time).argmin())


def frames_of(case: Case) -> dict[str, list[Frames]]:
    """Return the frames of all clips of a task, by split.

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
        # Leave out the frames after the end of the clip, where the last segment is padded.
        inside = times < max(float(lengths[i]), step)
        found.append(
            Frames(values[inside], times[inside], step, float(lengths[i]), list(events[i]))
        )
    return found


@dataclass(frozen=True)
class Fitted:
    """A trained head on frames.

    Attributes:
        probabilities: function that maps a clip to the probabilities ``[F, C]`` of its frames.
        detail: description of the training.
        curve: training and validation loss of each epoch.
    """

    probabilities: Callable[[Frames], np.ndarray]
    detail: str
    curve: list[dict[str, float]]


def fitted(
    clips: dict[str, list[Frames]], targets: Callable[[Frames], np.ndarray], case: Case
) -> Fitted:
    """Train a linear head on the frames of the training clips.

    Args:
        clips: frames of all clips, by split.
        targets: function that returns the targets ``[F, C]`` of a clip, in [0, 1].
        case: input of the method, with the settings of the training and the seed.
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
    """Return the threshold with the highest value, the middle one if several are equal.

    Args:
        value_at: function that returns the value of a threshold.
    """
    values = np.array([value_at(float(t)) for t in THRESHOLDS])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(THRESHOLDS[best[len(best) // 2]])


def judged(clips: dict[str, list[Frames]]) -> list[Frames]:
    """Return the clips on which the threshold is chosen.

    These are the validation clips, or the training clips if there are no validation clips.
    """
    return clips["val"] or clips["train"]
