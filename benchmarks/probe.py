"""Measure the speed of probing in two comparisons.

1. Linear probe: clips are embedded once, or again in every epoch.
2. Few-shot episodes: all episodes are fitted at once, or each with its own scikit-learn classifier.

Both versions of a comparison are measured in turn. Run ``python -m benchmarks.probe --check``.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from sklearn.linear_model import SGDClassifier

from benchmarks.bars import Bar, all_met
from semisupcon.datasets import LabelledClips
from semisupcon.encoders import SampleCNNSmall, freeze
from semisupcon.probing.embeddings.embedder import Embedder, Features
from semisupcon.probing.embeddings.encoders import Subject
from semisupcon.probing.methods.episodes import episodes
from semisupcon.probing.methods.few_shot import over_episodes, run_episodes
from semisupcon.probing.methods.few_shot_classifiers import PASSES, PATIENCE, RATE, TOLERANCE
from semisupcon.probing.methods.gradients import Adam, loss_and_gradients
from semisupcon.probing.methods.head import new_head, predict
from semisupcon.probing.methods.linear import LEARNING_RATES, probe
from semisupcon.probing.methods.settings import Settings, Training
from semisupcon.random import permutation

EPOCHS = 100
EPISODES, SLOW_EPISODES = 10_000, 200
TINY = (2, 40, 10)
RATE_HZ = 22_050


def tones(folder: Path, clips: int = 96, classes: int = 8) -> LabelledClips:
    """Write noisy tones of 1.5 s, with one pitch per class, and return the labelled clips.

    With the default number of 96 clips, 56 are for training, 16 for validation and 24 for testing.
    """
    draw = np.random.default_rng(0)
    t, label = np.arange(33_075) / RATE_HZ, np.arange(clips) % classes
    paths = []
    for i in range(clips):
        frequency = 200 * 2 ** (label[i] / 4) * draw.uniform(0.97, 1.03)
        wave = 0.2 * np.sin(
            2 * np.pi * frequency * t + draw.uniform(0, 6)
        ) + 0.1 * draw.standard_normal(len(t))
        paths.append(f"{i:03d}.wav")
        soundfile.write(folder / paths[-1], wave, RATE_HZ)
    table = pd.DataFrame({"path": paths, "split": ["train"] * 56 + ["val"] * 16 + ["test"] * 24})
    names = tuple(str(c) for c in range(classes))
    return LabelledClips(
        table,
        np.eye(classes, dtype=np.float32)[label],
        names,
        "multiclass",
        root=str(folder),
        name="tones",
    )


def probe_from_cache(subject: Subject, task: LabelledClips, folder: Path, epochs: int) -> float:
    """Embed each clip once, train a linear probe, and return the test accuracy."""
    features = Embedder(folder).features(subject, task)
    scores = probe(
        features, "linear", Settings(training=Training(max_epochs=epochs, patience=epochs)), seed=0
    ).scores
    return accuracy(features, scores)


def probe_encoding_every_epoch(
    subject: Subject,
    task: LabelledClips,
    folder: Path,
    epochs: int,
) -> float:
    """Train the probe of `probe_from_cache` with clips that are embedded again in each epoch.

    This is the usual way to train a head on a frozen encoder in a training loop. Returns the test
    accuracy.
    """
    training = Training()
    adam = kept = None
    best = float("inf")
    for epoch in range(epochs):
        features = Embedder(folder / str(epoch)).features(subject, task)
        x, y, x_val, y_val = (
            torch.from_numpy(a)
            for p in (features.train, features.val)
            for a in (p.chunks.mean(), p.targets)
        )
        if adam is None:
            head = new_head("linear", x.shape[1], y.shape[1], task.kind)
            head.standardise(x, y)
            parameters = [p.detach().numpy() for p in head.net.parameters()]
            adam = Adam(parameters, LEARNING_RATES[1], training.weight_decay)
        (x, y), (x_val, y_val) = head.standardised(x, y), head.standardised(x_val, y_val)
        for rows in permutation(len(x), "probe", 0, epoch).split(training.batch_size):
            adam.step(
                loss_and_gradients(parameters, x[rows.numpy()], y[rows.numpy()], task.kind)[1]
            )
        value = loss_and_gradients(parameters, x_val, y_val, task.kind, gradients=False)[0]
        if value < best:
            best, kept = value, [p.copy() for p in parameters]
    for parameter, value in zip(parameters, kept, strict=True):
        parameter[:] = value
    return accuracy(features, predict(head, features.test.chunks))


def accuracy(features: Features, scores: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == features.test.targets.argmax(axis=1)).mean())


def one_classifier_each(
    embeddings: np.ndarray,
    labels: np.ndarray,
    seed: int,
    count: int,
) -> np.ndarray:
    """Return the accuracy of each episode, with one scikit-learn classifier per episode.

    The published code of MT-SLVR does the same.
    """
    result = []
    for clips in episodes(labels, Settings(episodes=count), np.random.default_rng(seed)):
        for episode in clips:
            model = SGDClassifier(
                loss="log_loss",
                learning_rate="adaptive",
                eta0=RATE,
                max_iter=PASSES,
                tol=TOLERANCE,
                n_iter_no_change=PATIENCE,
                alpha=0,
                random_state=0,
            )
            model.fit(embeddings[episode[:, 0]], np.arange(5))
            result.append((model.predict(embeddings[episode[:, 1]]) == np.arange(5)).mean())
    return np.array(result)


def timed(function: Callable[[], object]) -> tuple[float, object]:
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def main(args: list[str] | None = None) -> int:
    """Run both comparisons; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--tiny", action="store_true", help="does it run? a few epochs and episodes"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    given = parser.parse_args(args)
    epochs, many, few = TINY if given.tiny else (EPOCHS, EPISODES, SLOW_EPISODES)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    subject = Subject("small", freeze(SampleCNNSmall()), "pretrained")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = tones(folder)
        fast, slow = [], []
        for i in range(given.repeats):
            fast.append(
                timed(lambda i=i: probe_from_cache(subject, task, folder / f"fast{i}", epochs))
            )
            slow.append(
                timed(
                    lambda i=i: probe_encoding_every_epoch(
                        subject, task, folder / f"slow{i}", epochs
                    )
                )
            )
    probe_ratio = statistics.median(s / f for (s, _), (f, _) in zip(slow, fast, strict=True))
    print(f"linear probe, {epochs} epochs, 96 clips of 1.5 s, median of {given.repeats}")
    print(
        f"  every clip embedded once:   {statistics.median(t for t, _ in fast):8.2f} s, accuracy "
        f"{fast[0][1]:.3f}"
    )
    print(
        f"  embedded in every epoch:    {statistics.median(t for t, _ in slow):8.2f} s, accuracy "
        f"{slow[0][1]:.3f}"
    )

    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 40)
    embeddings = (
        0.15 * draw.standard_normal((10, 512))[labels] + 0.5 * draw.standard_normal((400, 512))
    ).astype(np.float32)
    ours, theirs, ours_too = [], [], []
    for i in range(given.repeats):
        # Both versions use the same few episodes, because accuracies of different episodes differ
        # by chance, and the slow version cannot fit many.
        ours_too.append(
            run_episodes(embeddings, labels, Settings(episodes=few), seed=i)["logistic regression"]
        )
        ours.append(
            timed(
                lambda i=i: run_episodes(embeddings, labels, Settings(episodes=many), seed=i)[
                    "logistic regression"
                ]
            )
        )
        theirs.append(timed(lambda i=i: one_classifier_each(embeddings, labels, seed=i, count=few)))
    scale = many / few
    episode_ratio = statistics.median(
        scale * t / o for (t, _), (o, _) in zip(theirs, ours, strict=True)
    )
    theirs_alone = np.concatenate([r for _, r in theirs])
    (a, *_), b, (difference, low, high) = (
        over_episodes(ours[0][1]),
        theirs_alone.mean(),
        over_episodes(np.concatenate(ours_too) - theirs_alone),
    )
    print(f"{many} episodes, 5-way 1-shot, 512 dimensions, median of {given.repeats}")
    print(
        f"  all at once:                {statistics.median(t for t, _ in ours):8.2f} s, accuracy "
        f"{a:.4f}"
    )
    print(
        f"  one SGDClassifier each:     {scale * statistics.median(t for t, _ in theirs):8.2f} s, "
        f"accuracy {b:.4f}"
    )
    print(f"    (timed on {few} episodes a repetition, times {scale:.0f})")
    print(
        f"  ours minus theirs on these {len(theirs_alone)} episodes: {difference:+.4f} ({low:+.4f} "
        f"to {high:+.4f})"
    )

    same = abs(fast[0][1] - slow[0][1]) < 1e-9 and low <= 0 <= high
    met = all_met(
        [
            Bar("probe_speedup", probe_ratio, 30),
            Bar("episode_speedup", episode_ratio, 30),
            Bar("same_accuracy", int(same), 1),
        ]
    )
    return int(given.check and not met)


if __name__ == "__main__":
    sys.exit(main())
