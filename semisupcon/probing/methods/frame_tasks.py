"""The frame-level methods: onsets, beats, sound events with times, pitch tracks."""

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

GAP = 0.1  # s: shorter gaps inside a sound event are closed
BIN, SPREAD, NEAR = 20.0, 25.0, 4  # cents, cents, bins: as in CREPE (Kim et al. 2018)


class FrameMethod(Method):
    """Base class: a linear head on frames, scored clip by clip."""

    depends = ("training",)
    kinds = ("multilabel",)

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        return [settings.training, *settings.training.newer()]

    def targets(self, clip: Frames) -> np.ndarray:
        """Targets ``[F, C]`` of a clip."""
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
        """Read what the targets need from the task and the training clips."""

    def threshold(self, head: Fitted, clips: list[Frames]) -> float:
        """The threshold with the best main metric on some clips."""
        given = [(clip, head.probabilities(clip)) for clip in clips]

        def value_at(threshold: float) -> float:
            found = [self.score(clip, p, threshold) for clip, p in given]
            main = next(iter(found[0]))
            below = sum(parts[main][1] for parts in found)
            return sum(parts[main][0] for parts in found) / below if below else 0.0

        return chosen_threshold(value_at)

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        """Scores of one clip."""
        raise NotImplementedError


class Onsets(FrameMethod):
    """Starts of all events, found within 50 ms. Peaks are at least 30 ms apart."""

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
        """Times of the local maxima of at least ``threshold``, in seconds."""
        from scipy.signal import find_peaks

        padded = np.concatenate([[0], probability, [0]])  # so that the ends can be peaks
        distance = max(1, round(self.apart / clip.step))
        found = find_peaks(padded, height=threshold, distance=distance)[0] - 1
        return clip.times[found]


class Beats(Onsets):
    """Starts of all events as beats: F within 70 ms and continuity. Beats are at least 0.2 s apart,
    300 per minute.
    """

    name = "beats"
    apart = 0.2

    def score(self, clip: Frames, probabilities: np.ndarray, threshold: float) -> Parts:
        return score_beats(starts(clip), self.peaks(clip, probabilities[:, 0], threshold))


class SoundEvents(FrameMethod):
    """Labels with start and end: event-based and segment-based F, over all labels."""

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
    """Frequency and voicing of frames, with bins of 20 cents as in CREPE. Labels are in Hz."""

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
        """The threshold of voicing with the best overall accuracy: raw pitch accuracy ignores it."""
        given = [(clip, head.probabilities(clip)) for clip in clips]

        def value_at(threshold: float) -> float:
            parts = [self.score(clip, p, threshold)["overall_accuracy"] for clip, p in given]
            return sum(top for top, _ in parts) / sum(below for _, below in parts)

        return chosen_threshold(value_at)


def is_pitched(clips: list[Frames]) -> bool:
    """Whether there are events and all labels are numbers above 0."""
    labels = [label for clip in clips for *_, label in clip.events]
    try:
        return bool(labels) and all(float(label) > 0 for label in labels)
    except ValueError:
        return False


def starts(clip: Frames) -> np.ndarray:
    """Different start times of the events of a clip, in seconds, ascending."""
    return np.unique([start for start, _, _ in clip.events]).astype(float)


def track(clip: Frames) -> np.ndarray:
    """Frequency of every frame ``[F]`` in Hz; 0 where no event is. The last of several events at
    one time counts.
    """
    result = np.zeros(len(clip.times))
    for start, end, label in clip.events:
        result[(clip.times >= start) & (clip.times < end)] = float(label)
    return result


def runs(clip: Frames, active: np.ndarray, label: str) -> list[Event]:
    """Events from runs of active frames; gaps below 0.1 s are closed."""
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
    """Cents above 10 Hz."""
    return 1200 * np.log2(np.asarray(frequency) / 10)


def to_hertz(cents: np.ndarray) -> np.ndarray:
    """Inverse of `to_cents`."""
    return 10 * 2 ** (cents / 1200)
