"""Compute scores of timed events and of pitch tracks with mir_eval.

Each function takes one clip and returns a numerator and a denominator per metric. The score of many
clips is the sum of the numerators, divided by the sum of the denominators. This is the mean over
clips if the denominators are 1, and the micro average if they are counts.

Events are (start, end, label) with times in seconds. Sound-event scores are defined as in sed_eval
(Mesaros et al. 2016); if sed_eval is installed, a test compares the results.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Event = tuple[float, float, str]
Parts = dict[str, tuple[float, float]]
ONSET_WINDOW, BEAT_WINDOW = 0.05, 0.07  # tolerances in seconds, as in MIREX
# Tolerance in seconds and as a share of the event, and segment length in seconds, as in DCASE.
COLLAR, LENGTH_SHARE, SEGMENT = 0.2, 0.5, 1.0


def score_onsets(reference: np.ndarray, estimated: np.ndarray) -> Parts:
    """Score onsets by F-measure, precision and recall with a tolerance of 50 ms.

    A clip without reference and estimated onsets has a denominator of 0, so it does not count.

    Args:
        reference: ``[n]``, times of the true onsets in seconds.
        estimated: ``[m]``, times of the estimated onsets in seconds.
    """
    if not len(reference) or not len(estimated):
        return _nothing(("onset_f", "onset_precision", "onset_recall"), reference, estimated)
    from mir_eval.onset import f_measure

    f, precision, recall = f_measure(reference, estimated, window=ONSET_WINDOW)
    return {"onset_f": (f, 1), "onset_precision": (precision, 1), "onset_recall": (recall, 1)}


def score_beats(reference: np.ndarray, estimated: np.ndarray) -> Parts:
    """Score beats by F-measure (tolerance 70 ms), CMLt and AMLt (Davies et al. 2009).

    Unlike in MIREX, the first five seconds also count, because clips may be short.

    Args:
        reference: ``[n]``, times of the true beats in seconds.
        estimated: ``[m]``, times of the estimated beats in seconds.
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
    """Score sound events by event-based and segment-based F-measure, as counts over all labels.

    Event-based: an estimated event is correct if its onset is within 200 ms of a reference event of
    the same label, and its offset within 200 ms or half the length of that event. Segment-based:
    the active labels are compared in segments of 1 s.

    Args:
        reference: true events.
        estimated: estimated events.
        labels: names of all labels.
        duration: length of the clip in seconds.
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
    """Return whether each of the C labels is active in each segment of 1 s: ``[segments, C]``."""
    active = np.zeros((max(1, int(np.ceil(duration / SEGMENT - 1e-9))), len(labels)), bool)
    for start, end, label in events:
        first = int(start / SEGMENT)
        last = max(first + 1, int(np.ceil(end / SEGMENT - 1e-9)))
        active[first:last, list(labels).index(label)] = True
    return active


def _matched(reference: Sequence[Event], estimated: Sequence[Event], label: str) -> int:
    """Return the number of pairs in the largest matching of the events of a label."""
    from mir_eval.transcription import match_notes

    intervals = [
        np.array([(start, max(end, start + 1e-3)) for start, end, name in events if name == label])
        for events in (reference, estimated)
    ]
    if not all(map(len, intervals)):
        return 0
    # All notes get the same pitch, so that mir_eval matches them by their times only.
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
    """Score a pitch track by the metrics of mir_eval.melody, as counts of frames.

    The metrics are raw pitch accuracy and raw chroma accuracy (within 50 cents), overall accuracy,
    voicing recall and voicing false alarm.

    Args:
        times: ``[F]``, times of the frames in seconds.
        reference: ``[F]``, true pitch in Hz, 0 where unvoiced.
        estimated: ``[F]``, estimated pitch in Hz, also for frames estimated as unvoiced.
        confidence_above: ``[F]``, whether each frame is estimated as voiced.
    """
    from mir_eval import melody

    signed = np.where(confidence_above, estimated, -estimated)  # negative: estimated as unvoiced
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
    """Return each metric over all clips, and its 95 % interval by bootstrap over clips.

    A metric whose denominators are all 0 is left out.

    Args:
        clips: numerator and denominator of each metric, by clip.
        resamples: number of bootstrap resamples.
        seed: seed of the resamples.

    Returns:
        Value, lower bound and upper bound by metric.
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
    """Return scores of 0. They do not count if there is neither a reference nor an estimate."""
    count = 1.0 if len(reference) or len(estimated) else 0.0
    return dict.fromkeys(names, (0.0, count))
