"""Compare labelling the clips that ``semisupcon tag --suggest`` names with labelling random clips.

    python -m benchmarks.suggest --data ../shared/data [--draws 20] [--tiny]

Three data sets are used: spoken digits of FSDD, ESC-10, and ten classes of FSDKaggle2018. The
embeddings are MFCC statistics. Every draw divides the clips of a data set at random. Half of the
clips of each class are used only for the test. Of the other half, 2 clips of each class are
labelled at the start. Then 20 clips are added, either the suggested clips or random ones.

The probe of ``tag`` is trained three times: on the clips at the start, with the suggested clips,
and with the random clips. The table shows the mean accuracy of each on the test half. It also shows
the mean difference between suggested and random clips, which are compared in each draw, with a 95 %
interval (percentiles of 10,000 resamples of the draws). If the interval contains 0, the benchmark
shows no difference between the two ways.
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
    """Write 48 noisy tones of four pitches and load them as a data set, for ``--tiny``."""
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
    """Divide the clips of each class at random.

    Args:
        clips: clips with one class each.
        draw: number of the draw, the seed of the division.

    Returns:
        Rows of the clips labelled at the start, of those that can be labelled later, and of the
        clips for the test.
    """
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
    """Train the probe of ``tag``, but do not estimate its quality.

    Args:
        x: embeddings of all clips.
        clips: all clips.
        rows: rows of the clips to train on.
    """
    mine = clips.select(rows)
    kind, y = mine.label_kind, mine.targets.astype(np.float64)
    fold = folds_of(kind, y, mine.paths, None, FOLDS)
    line, calibration, _ = fitted(kind, x[rows].astype(np.float64), y, fold)
    return Tagger(head_of(line, kind, y), clips.classes, "embedding", calibration)


def accuracy(x: np.ndarray, clips: LabelledClips, rows: np.ndarray, test: np.ndarray) -> float:
    """Train the probe on the clips ``rows`` and return its accuracy on the clips ``test``."""
    guess = probe_of(x, clips, rows).scores(x[test]).argmax(axis=1)
    return float((guess == clips.targets[test].argmax(axis=1)).mean())


def once(x: np.ndarray, clips: LabelledClips, draw: int, more: int) -> tuple[float, float, float]:
    """Compare the suggested clips with random ones in one draw.

    Args:
        x: embeddings of all clips.
        clips: all clips.
        draw: number of the draw.
        more: number of clips to add.

    Returns:
        The accuracies on the test half: of the clips at the start, with the suggested clips, and
        with the random clips.
    """
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
    """Return the 95 % bootstrap interval of the mean of the differences in all draws."""
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
