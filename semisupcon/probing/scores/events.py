"""Scores of events with times and of pitch tracks, clip by clip, by mir_eval and scikit-learn.

Every function returns for each metric a numerator and a denominator of one clip. A score of many
clips is the ratio of the sums: the mean over clips for denominators of 1, and the micro average for
counts. Events are (start, end, label) in seconds. sed_eval, which defines the sound-event scores
(Mesaros et al. 2016), gives the same figures; a test compares them where it is installed.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Event = tuple[float, float, str]
Parts = dict[str, tuple[float, float]]
ONSET_WINDOW, BEAT_WINDOW = 0.05, 0.07  # s, the conventions of MIREX
COLLAR, LENGTH_SHARE, SEGMENT = 0.2, 0.5, 1.0  # s, share of the reference event, s (DCASE)


def score_onsets(reference: np.ndarray, estimated: np.ndarray) -> Parts:
    """F-measure, precision and recall of onsets ``[n]`` and ``[m]`` s, within 50 ms.

    A clip without reference and estimate is left out.
    """
    if not len(reference) or not len(estimated):
        return _nothing(("onset_f", "onset_precision", "onset_recall"), reference, estimated)
    from mir_eval.onset import f_measure

    f, precision, recall = f_measure(reference, estimated, window=ONSET_WINDOW)
    return {"onset_f": (f, 1), "onset_precision": (precision, 1), "onset_recall": (recall, 1)}


def score_beats(reference: np.ndarray, estimated: np.ndarray) -> Parts:
    """F-measure of beats within 70 ms, and the continuity scores CMLt and AMLt (Davies et al.
    2009).

    The first five seconds count, unlike in MIREX, because clips may be short.
    """
    names = ("beat_f", "cmlt", "amlt")
    if len(reference) < 2 or len(estimated) < 2:
        return _nothing(names, reference, estimated)
    from mir_eval.beat import continuity, f_measure

    _, cmlt, _, amlt = continuity(reference, estimated)
    f = f_measure(reference, estimated, f_measure_threshold=BEAT_WINDOW)
    return dict(zip(names, ((float(f), 1.0), (cmlt, 1.0), (amlt, 1.0)), strict=True))


def score_sound_events(
    reference: Sequence[Event],
    estimated: Sequence[Event],
    labels: Sequence[str],
    duration: float,
) -> Parts:
    """Event-based and segment-based F, as counts over all labels.

    Event-based: an event is found if its onset is within 200 ms, and its offset within 200 ms or
    half its length. Segment-based: activity in segments of 1 s.
    """
    found = sum(_matched(reference, estimated, label) for label in labels)
    total = len(reference) + len(estimated)
    true, guess = (activity(events, labels, duration) for events in (reference, estimated))
    hits = int((true & guess).sum())
    return {
        "event_f": (2 * found, total),
        "event_precision": (found, len(estimated)),
        "event_recall": (found, len(reference)),
        "segment_f": (2 * hits, int(true.sum() + guess.sum())),
    }


def activity(events: Sequence[Event], labels: Sequence[str], duration: float) -> np.ndarray:
    """Which labels are active in segments of 1 s: ``[segments, C]`` boolean."""
    active = np.zeros((max(1, int(np.ceil(duration / SEGMENT - 1e-9))), len(labels)), bool)
    for start, end, label in events:
        first = int(start / SEGMENT)
        last = max(first + 1, int(np.ceil(end / SEGMENT - 1e-9)))
        active[first:last, list(labels).index(label)] = True
    return active


def _matched(reference: Sequence[Event], estimated: Sequence[Event], label: str) -> int:
    """Number of events of a label in the largest matching."""
    from mir_eval.transcription import match_notes

    intervals = [
        np.array([(start, max(end, start + 1e-3)) for start, end, name in events if name == label])
        for events in (reference, estimated)
    ]
    if not all(map(len, intervals)):
        return 0
    # Notes of one pitch: only the times decide.
    ours, theirs = (np.full(len(rows), 440.0) for rows in intervals)
    return len(
        match_notes(
            intervals[0],
            ours,
            intervals[1],
            theirs,
            onset_tolerance=COLLAR,
            offset_ratio=LENGTH_SHARE,
            offset_min_tolerance=COLLAR,
        )
    )


def score_pitch(
    times: np.ndarray,
    reference: np.ndarray,
    estimated: np.ndarray,
    confidence_above: np.ndarray,
) -> Parts:
    """Raw pitch and chroma accuracy within 50 cents, overall accuracy, voicing recall and false
    alarm (mir_eval.melody), as counts of frames.

    Args:
        times: ``[F]`` s.
        reference: ``[F]`` Hz, 0 where unvoiced.
        estimated: ``[F]`` Hz, an estimate for every frame.
        confidence_above: ``[F]`` whether the estimate says that the frame is voiced.
    """
    from mir_eval import melody

    signed = np.where(confidence_above, estimated, -estimated)  # negative: unvoiced, with a guess
    arrays = melody.to_cent_voicing(times, reference, times, signed)
    true_voicing, true_cents, voicing, cents = arrays
    voiced, n = float((reference > 0).sum()), float(len(times))
    recall, false_alarm = melody.voicing_measures(true_voicing, voicing)
    raw = melody.raw_pitch_accuracy(true_voicing, true_cents, voicing, cents)
    chroma = melody.raw_chroma_accuracy(true_voicing, true_cents, voicing, cents)
    overall = melody.overall_accuracy(true_voicing, true_cents, voicing, cents)
    return {
        "raw_pitch_accuracy": (raw * voiced, voiced),
        "raw_chroma_accuracy": (chroma * voiced, voiced),
        "overall_accuracy": (overall * n, n),
        "voicing_recall": (recall * voiced, voiced),
        "voicing_false_alarm": (false_alarm * (n - voiced), n - voiced),
    }


def with_intervals(
    clips: Sequence[Mapping[str, tuple[float, float]]], resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Each metric over all clips, with its 95 % interval by bootstrap over clips.

    A metric that no clip has is left out.
    """
    result = {}
    counts = np.random.default_rng(seed).multinomial(
        len(clips), np.full(len(clips), 1 / len(clips)), size=resamples
    )
    for name in clips[0]:
        top, bottom = np.array([clip[name] for clip in clips], float).T
        if bottom.sum() == 0:
            continue
        below = counts @ bottom
        draws = (counts @ top)[below > 0] / below[below > 0]
        low, high = np.percentile(draws, [2.5, 97.5])
        result[name] = (float(top.sum() / bottom.sum()), float(low), float(high))
    return result


def _nothing(
    names: Sequence[str], reference: Sequence | np.ndarray, estimated: np.ndarray
) -> Parts:
    """Zero, or left out if there is neither reference nor estimate."""
    count = 1.0 if len(reference) or len(estimated) else 0.0
    return dict.fromkeys(names, (0.0, count))
