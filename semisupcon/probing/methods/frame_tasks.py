"""The frame-level probe methods: onsets, beats, sound events with times, pitch tracks."""

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.methods.base import Case, FineTuning, Method, Outcome, Settings
from semisupcon.probing.methods.frames import (
    Fitted,
    Frames,
    chosen_threshold,
    fitted,
    frames_of,
    judged,
)
from semisupcon.probing.scores.events import (
    Event,
    Parts,
    score_beats,
    score_onsets,
    score_pitch,
    score_sound_events,
    with_intervals,
)

GAP = 0.1  # seconds; shorter gaps between two sound events are closed
# Width of a pitch bin (cents), standard deviation of a target (cents), and bins on each side of the
# best bin that are averaged: the values of CREPE (Kim et al. 2018).
BIN, SPREAD, NEAR = 20.0, 25.0, 4


class FrameMethod(Method):
    """Base class of methods that train a linear head on frames and score each clip."""

    depends = ("training",)
    kinds = ("multilabel",)

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        return [settings.training, *settings.training.newer()]

    def targets(self, clip: Frames) -> np.ndarray:
        """Return the targets ``[F, C]`` of a clip with F frames."""
        raise NotImplementedError

    def run(self, case: Case) -> list[Outcome]:
        clips = frames_of(case)
        self.prepare(case, clips["train"])
        head = fitted(clips, self.targets, case)
        threshold = self.threshold(head, judged(clips))
        scores = [self.score(clip, head.probabilities(clip), threshold) for clip in clips["test"]]
        return [
            Outcome(
                intervals=with_intervals(scores),
                detail=f"{head.detail}, threshold {threshold:.2f}",
                curve=head.curve,
                n_test=len(scores),
            )
        ]

    def prepare(self, case: Case, train: list[Frames]) -> None:
        """Prepare `targets` from the task and the training clips; called before training."""

    def threshold(self, head: Fitted, clips: list[Frames]) -> float:
        """Return the threshold with which a head has the best main metric on clips."""
        given = [(clip, head.probabilities(clip)) for clip in clips]

        def value_at(threshold: float) -> float:
            found = [self.score(clip, p, threshold) for clip, p in given]
            main = next(iter(found[0]))
            below = sum(parts[main][1] for parts in found)
            return sum(parts[main][0] for parts in found) / below if below else 0.0

        return chosen_threshold(value_at)

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        """Return the scores of one clip.

        Args:
            clip: frames of the clip, with its events.
            probabilities: ``[F, C]``, predictions of the head.
            threshold: probability from which an event is predicted.
        """
        raise NotImplementedError


class Onsets(FrameMethod):
    """Method that detects the onsets of events, with a tolerance of 50 ms.

    Predicted onsets are at least 30 ms apart.
    """

    name = "onsets"
    apart = 0.03

    def targets(self, clip: Frames) -> np.ndarray:
        result = np.zeros((len(clip.times), 1), np.float32)
        for start, _, _ in clip.events:
            result[clip.nearest(start)] = 1
        return result

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        return score_onsets(starts(clip), self.peaks(clip, probabilities[:, 0], threshold))

    def peaks(self, clip: Frames, probability: np.ndarray, threshold: float) -> np.ndarray:
        """Return the times in seconds of local maxima of at least ``threshold``."""
        from scipy.signal import find_peaks

        padded = np.concatenate([[0], probability, [0]])  # the end frames can be peaks
        distance = max(1, round(self.apart / clip.step))
        found = find_peaks(padded, height=threshold, distance=distance)[0] - 1
        return clip.times[found]


class Beats(Onsets):
    """Method that detects the starts of events as beats, with a tolerance of 70 ms.

    Predicted beats are at least 0.2 s apart (300 beats per minute).
    """

    name = "beats"
    apart = 0.2

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        return score_beats(starts(clip), self.peaks(clip, probabilities[:, 0], threshold))


class SoundEvents(FrameMethod):
    """Method that detects labelled events with start and end.

    The scores are event-based and segment-based F-measures over all labels.
    """

    name = "sound_events"

    def prepare(self, case: Case, train: list[Frames]) -> None:
        self.labels = list(case.features.task.classes)

    def targets(self, clip: Frames) -> np.ndarray:
        result = np.zeros((len(clip.times), len(self.labels)), np.float32)
        for start, end, label in clip.events:
            active = (clip.times >= start) & (clip.times < end)
            active[clip.nearest((start + end) / 2)] = True
            result[active, self.labels.index(label)] = 1
        return result

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        estimated = [
            event
            for c, label in enumerate(self.labels)
            for event in runs(clip, probabilities[:, c] >= threshold, label)
        ]
        return score_sound_events(clip.events, estimated, self.labels, clip.duration)


class PitchTrack(FrameMethod):
    """Method that estimates the pitch and the voicing of each frame.

    The labels of the events are frequencies in Hz. The head predicts bins of 20 cents, as in CREPE.
    """

    name = "pitch_track"

    def prepare(self, case: Case, train: list[Frames]) -> None:
        if not is_pitched(train):
            raise ConfigError(
                f"The labels of task '{case.features.task.name}' are no frequencies in Hz, which "
                "pitch_track needs: give "
                f"--task_kwargs.{case.features.task.name}.pitch true."
            )
        cents = [float(to_cents(float(label))) for clip in train for *_, label in clip.events]
        low, high = min(cents) - 2 * SPREAD, max(cents) + 2 * SPREAD
        self.bins = np.arange(low, high + BIN, BIN)

    def targets(self, clip: Frames) -> np.ndarray:
        frequency = track(clip)
        cents = to_cents(np.where(frequency > 0, frequency, 1.0))
        near = np.exp(-((self.bins - cents[:, None]) ** 2) / (2 * SPREAD**2))
        return np.where(frequency[:, None] > 0, near, 0).astype(np.float32)

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        best = probabilities.argmax(axis=1)
        columns = np.arange(len(self.bins))
        around = probabilities * (np.abs(columns - best[:, None]) <= NEAR)
        cents = (around * self.bins).sum(axis=1) / np.maximum(around.sum(axis=1), 1e-12)
        voiced = probabilities.max(axis=1) >= threshold
        return score_pitch(clip.times, track(clip), to_hertz(cents), voiced)

    def threshold(self, head: Fitted, clips: list[Frames]) -> float:
        """Return the voicing threshold with the best overall accuracy on clips.

        The main metric, raw pitch accuracy, does not depend on the threshold.
        """
        given = [(clip, head.probabilities(clip)) for clip in clips]

        def value_at(threshold: float) -> float:
            parts = [self.score(clip, p, threshold)["overall_accuracy"] for clip, p in given]
            return sum(top for top, _ in parts) / sum(below for _, below in parts)

        return chosen_threshold(value_at)


def is_pitched(clips: list[Frames]) -> bool:
    """Return whether clips have events and all labels are numbers above 0."""
    labels = [label for clip in clips for *_, label in clip.events]
    try:
        return bool(labels) and all(float(label) > 0 for label in labels)
    except ValueError:
        return False


def starts(clip: Frames) -> np.ndarray:
    """Return the distinct start times of the events of a clip in seconds, in ascending order."""
    return np.unique([start for start, _, _ in clip.events]).astype(float)


def track(clip: Frames) -> np.ndarray:
    """Return the frequency of each frame ``[F]`` in Hz; 0 for frames without an event.

    If several events overlap, the last one counts.
    """
    result = np.zeros(len(clip.times))
    for start, end, label in clip.events:
        result[(clip.times >= start) & (clip.times < end)] = float(label)
    return result


def runs(clip: Frames, active: np.ndarray, label: str) -> list[Event]:
    """Convert runs of active frames to events. Gaps below 0.1 s between events are closed.

    Args:
        clip: frames of the clip.
        active: ``[F]``, whether the label is active in each frame.
        label: label of the events.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    half = clip.step / 2
    found: list[Event] = []
    for first, last in edges.reshape(-1, 2):
        start, end = clip.times[first] - half, clip.times[last - 1] + half
        if found and start - found[-1][1] < GAP:
            start = found.pop()[0]
        found.append((float(start), float(min(end, max(clip.duration, end - half))), label))
    return found


def to_cents(frequency: "float | np.ndarray") -> np.ndarray:
    """Convert frequencies in Hz to cents above 10 Hz."""
    return 1200 * np.log2(np.asarray(frequency) / 10)


def to_hertz(cents: np.ndarray) -> np.ndarray:
    """Convert cents above 10 Hz to frequencies in Hz."""
    return 10 * 2 ** (cents / 1200)
