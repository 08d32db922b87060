"""Are the clips that ``semisupcon tag --suggest`` names better to label than clips drawn at random?

    python -m benchmarks.suggest --data ../shared/data [--draws 20] [--tiny]

Three data sets (spoken digits of FSDD, ESC-10, and ten classes of FSDKaggle2018) and MFCC statistics.
Of each, half of the clips (stratified, drawn once per draw) are for scoring only. Of the other half,
2 clips of every class are labelled at first. Then 20 clips are labelled in two ways: those suggested,
or random ones. The probe of ``tag`` is trained on each set. The table has the accuracy on the
scoring half, and the mean of the paired differences over draws with its 95 % interval (percentiles of
10,000 resamples of the draws). An interval that holds 0 is printed as any other.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import semisupcon
from semisupcon.datasets import load_annotations
from semisupcon.datasets.base import LabelledClips
from semisupcon.labelling.linear import folds_of
from semisupcon.labelling.suggesting import suggest
from semisupcon.labelling.tagger import Tagger
from semisupcon.labelling.training import FOLDS, fitted, head_of

SETS = (
    ("fsdd_digit", "fsdd"),
    ("esc10", "esc10"),
    ("class_folders", "fsdkaggle2018_mini"),
)
AT_FIRST, MORE, MOST = 2, 20, 600


def tones(folder: Path) -> LabelledClips:
    """48 noisy tones of four pitches, for ``--tiny``."""
    draw = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(48):
        t = np.arange(3200) / 16_000
        tone = 0.2 * np.sin(2 * np.pi * 200 * 1.3 ** (i % 4) * t)
        soundfile.write(folder / f"{i:02d}.wav", tone + 0.1 * draw.standard_normal(3200), 16_000)
        lines.append(f"{i:02d}.wav,{'abcd'[i % 4]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return load_annotations("csv", folder)


def halves(clips: LabelledClips, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips labelled at first, clips that may be labelled, and clips for scoring."""
    generator = np.random.default_rng(draw)
    order = generator.permutation(len(clips))
    label = clips.targets.argmax(axis=1)
    first, pool, test = [], [], []
    for c in range(len(clips.classes)):
        mine = order[label[order] == c]
        half = len(mine) // 2
        test += mine[:half].tolist()
        first += mine[half : half + AT_FIRST].tolist()
        pool += mine[half + AT_FIRST :].tolist()
    return np.array(first), np.array(sorted(pool)), np.array(sorted(test))


def probe_of(x: np.ndarray, clips: LabelledClips, rows: np.ndarray) -> Tagger:
    """The probe of ``tag`` on some clips, without the estimate of its quality."""
    mine = clips.select(rows)
    kind, y = mine.label_kind, mine.targets.astype(np.float64)
    fold = folds_of(kind, y, mine.paths, None, FOLDS)
    line, calibration, _ = fitted(kind, x[rows].astype(np.float64), y, fold)
    return Tagger(head_of(line, kind, y), clips.classes, "embedding", calibration)


def accuracy(x: np.ndarray, clips: LabelledClips, rows: np.ndarray, test: np.ndarray) -> float:
    """Accuracy on ``test`` of the probe that was trained on ``rows``."""
    guess = probe_of(x, clips, rows).scores(x[test]).argmax(axis=1)
    return float((guess == clips.targets[test].argmax(axis=1)).mean())


def once(x: np.ndarray, clips: LabelledClips, draw: int, more: int) -> tuple[float, float, float]:
    """Accuracy at first, with the suggested clips, and with random ones."""
    first, pool, test = halves(clips, draw)
    tagger = probe_of(x, clips, first)
    others = ((str(i), x[i], tagger.scores(x[i : i + 1])[0]) for i in pool.tolist())
    named = [int(s.file) for s in suggest(more, x[first], others, tagger)]
    drawn = np.random.default_rng(10_000 + draw).choice(pool, len(named), replace=False)
    return (
        accuracy(x, clips, first, test),
        accuracy(x, clips, np.concatenate([first, named]), test),
        accuracy(x, clips, np.concatenate([first, drawn]), test),
    )


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean over draws."""
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(differences), (10_000, len(differences)))
    low, high = np.percentile(differences[rows].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def main(args: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with fsdd, esc10 and fsdkaggle2018_mini")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="48 tones and two draws")
    options = parser.parse_args(args)
    if options.data is None and not options.tiny:
        parser.error("give --data, or --tiny")
    model = semisupcon.load("mfcc")
    with tempfile.TemporaryDirectory() as folder:
        sets = (
            [("tones", tones(Path(folder)))]
            if options.tiny
            else [(place, load_annotations(name, options.data / place)) for name, place in SETS]
        )
        more, draws = (4, 2) if options.tiny else (MORE, options.draws)
        print("| data | clips | labelled | at first | suggested | random | difference | interval |")
        print("|---|---:|---:|---:|---:|---:|---:|---|")
        for name, clips in sets:
            rows = np.random.default_rng(0).permutation(len(clips))[:MOST]
            clips = clips.select(np.sort(rows))
            x = np.asarray(model.embed(list(clips.files)))
            found = np.array([once(x, clips, draw, more) for draw in range(draws)])
            difference = found[:, 1] - found[:, 2]
            low, high = interval(difference)
            first = AT_FIRST * len(clips.classes)
            means = " | ".join(f"{value:.3f}" for value in found.mean(axis=0))
            print(
                f"| {name} | {len(clips)} | {first} + {more} | {means} | "
                f"{difference.mean():+.3f} | {low:+.3f} to {high:+.3f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
