"""Label efficiency: probes trained on a limited number of labelled clips, for several draws.

In each draw, a smaller set of clips is a subset of a larger one. All encoders get the same clips.
The number of labels includes the clips for early stopping; the validation clips of the task are not
used.

With at least 200 labels, a fifth of the clips is held out for early stopping, as long as each class
keeps a clip for training. (kNN uses these clips as neighbours.) With fewer labels, the best epoch
would be arbitrary, since a metric on 40 clips has a standard error of about 0.08. Heads then train
for all epochs.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.embedder import Features, Part
from semisupcon.probing.methods.base import Case, Method
from semisupcon.probing.methods.by_name import key_of
from semisupcon.probing.outcomes import rows_of
from semisupcon.probing.scores.results import Results, identity_of
from semisupcon.random import stable_hash

BUDGETS = "budgets.csv"
ALL = "all"
OWN_NUMBERS = ("prototypes", "few_shot")  # methods that choose numbers of labels themselves
RESAMPLES = 200  # maximum number of bootstrap resamples for each draw
HELD, LEAST_HELD = 5, 40  # 1 of 5 clips is for early stopping if this gives at least 40 clips

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelBudget:
    """Numbers of labels, and the number of draws of the labelled clips.

    Attributes:
        sizes: numbers of labelled clips; None stands for all training clips.
        draws: number of draws for each number of labels. For all training clips, there is one draw.
    """

    sizes: tuple[int | None, ...] = ()
    draws: int = 5

    @classmethod
    def of(cls, given: Sequence[object], draws: int) -> "LabelBudget":
        """Convert the values of ``--label_budget`` and ``--budget_draws``.

        Raises:
            ConfigError: for a number of labels that is not "all" or a whole number of at least 2,
                or for less than one draw.
        """
        sizes: list[int | None] = []
        for value in given:
            if str(value) == ALL:
                sizes.append(None)
            elif str(value).isdecimal() and 2 <= int(str(value)) < 10**9:
                sizes.append(int(str(value)))
            else:
                raise ConfigError(
                    f"--label_budget takes whole numbers from 2, or all, got '{value}'."
                )
        if draws < 1:
            raise ConfigError(f"--budget_draws must be at least 1, got {draws}.")
        return cls(tuple(dict.fromkeys(sizes)), draws)

    def methods(self, methods: Sequence[Method]) -> list[Method]:
        """Return the methods that can be trained on a given number of labels.

        Raises:
            ConfigError: if there are numbers of labels and no such method.
        """
        found = [method for method in methods if method.name not in OWN_NUMBERS]
        if self.sizes and not found:
            raise ConfigError(
                f"--label_budget does not apply to {', '.join(m.name for m in methods)}, which have "
                "their own numbers of labels. Give --methods [linear] or [knn]."
            )
        return found

    def known(self, available: int, task: str) -> list[int]:
        """Return the numbers of labels that a task has enough clips for, in ascending order.

        Numbers that are too large are logged.

        Args:
            available: number of training clips of the task.
            task: name of the task.
        """
        sizes = sorted({available if size is None else size for size in self.sizes})
        if large := [str(size) for size in sizes if size > available]:
            log.info(
                "%s has %d training clips: no results for %s labels.",
                task,
                available,
                ", ".join(large),
            )
        return [size for size in sizes if size <= available]


def labelling_order(targets: np.ndarray, kind: str, names: Sequence[str], draw: int) -> np.ndarray:
    """Return a random order of clips ``[n]``, whose first k clips are the draw of k labels.

    - Multiclass and binary: first one clip of each class, then clips such that the shares of the
      classes are kept.
    - Multilabel: first one clip for each label that earlier clips do not have, the rarest label
      first; then other clips at random.
    - Regression: at random.

    Args:
        targets: ``[n, C]``.
        kind: label kind.
        names: names of the clips. The order depends on the names, not on the order of the rows.
        draw: number of the draw; each draw has another order.
    """
    keys = [(stable_hash(f"label budget/{draw}/{name}"), name) for name in names]
    order = np.array(sorted(range(len(names)), key=keys.__getitem__), dtype=int)
    if kind == "regression":
        return order
    if kind == "multilabel":
        first: list[int] = []
        for label in np.argsort(targets.sum(axis=0), kind="stable"):
            having = order[targets[order, label] > 0.5]
            if len(having) and not (targets[first, label] > 0.5).any():
                first.append(int(having[0]))
        return np.array([*first, *order[~np.isin(order, first)]], dtype=int)
    classes = targets.argmax(axis=1) if kind == "multiclass" else targets[:, 0] > 0.5
    place = np.empty(len(order))
    for label in np.unique(classes):
        members = order[classes[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = -1
    return order[np.argsort(place[order], kind="stable")]


def for_early_stopping(targets: np.ndarray, kind: str) -> np.ndarray:
    """Return which of k drawn clips are held out for early stopping, as booleans ``[k]``.

    A fifth of the clips is held out if this gives at least 40 clips, else none. A clip is held out
    only if each of its classes keeps another clip.
    """
    held = np.zeros(len(targets), bool)
    if len(targets) // HELD < LEAST_HELD:
        return held
    if kind == "regression":
        held[HELD - 1 :: HELD] = True
        return held
    present = targets > 0.5
    if kind == "binary":
        present = np.concatenate([present, ~present], axis=1)
    left = present.sum(axis=0)
    for i in range(len(targets))[::-1]:
        if held.sum() < len(targets) // HELD and (left[present[i]] > 1).all():
            held[i] = True
            left = left - present[i]
    return held


def with_labels(features: Features, chosen: np.ndarray) -> Features:
    """Return the embeddings of a task with a part of its training clips.

    Args:
        features: embeddings of the task.
        chosen: indices of the training clips to keep. Some become validation clips for early
            stopping. The test clips stay the same.
    """
    task, train = features.task, features.train
    held = for_early_stopping(train.targets[chosen], task.label_kind)
    of = {"train": chosen[~held], "val": chosen[held]}
    parts = {
        split: Part(
            train.chunks.select(rows), train.targets[rows], tuple(train.paths[i] for i in rows)
        )
        for split, rows in of.items()
    }
    at, test = task.rows("train"), task.rows("test")
    kept = task.select(np.concatenate([at[of["train"]], at[of["val"]], test]))
    split = ["train"] * len(of["train"]) + ["val"] * len(of["val"]) + ["test"] * len(test)
    return Features(kept.assign(split=split), parts["train"], parts["val"], features.test)


def study_budgets(
    budget: LabelBudget,
    methods: Sequence[tuple[Method, object]],
    out: Path,
    case: Callable[[], Case],
    identity: str,
    resamples: int,
) -> None:
    """Run the probes of one encoder on one task that have no result in ``budgets.csv`` yet.

    Args:
        budget: numbers of labels and of draws.
        methods: methods, and the options that identify their results.
        out: folder of the results.
        case: function that embeds the task and returns encoder, embeddings and settings.
        identity: hash of the clips, the labels and the encoder.
        resamples: number of bootstrap resamples; at most 200 are used for each draw.
    """
    if not budget.sizes or not methods:
        return
    results, count, it = Results(out / BUDGETS), min(resamples, RESAMPLES), case()
    train, kind = it.features.train, it.features.task.label_kind
    sizes = budget.known(len(train), it.features.task.name)
    for method, options in methods:
        if kind not in method.kinds:
            continue
        for draw in range(budget.draws):
            order: np.ndarray | None = None
            for size in sizes if draw == 0 else [size for size in sizes if size < len(train)]:
                about = identity_of(
                    identity, key_of(method), options, "label budget", size, draw, count
                )
                if results.done(about):
                    continue
                if order is None:
                    order = labelling_order(train.targets, kind, train.paths, draw)
                few = replace(it, features=with_labels(it.features, order[:size]), seed=draw)
                rows = _run(few, method, size, size / len(train), out, about, count)
                results.put(rows)
                if draw == 0:
                    log.info("%s, %s: %s", rows[0].task, rows[0].checkpoint, rows[0].detail)


def _run(
    case: Case, method: Method, size: int, share: float, out: Path, identity: str, count: int
) -> list:
    begin = time.perf_counter()
    outcomes = method.run(case)
    seconds = time.perf_counter() - begin
    if len(outcomes) != 1 or outcomes[0].scores is None:
        raise ConfigError(
            f"--label_budget needs methods with one score per test clip; '{method.name}' gives "
            "other results. Leave it out of --methods."
        )
    few, task = case.features, case.features.task
    detail = f"{size} labels, {len(few.val)} of them for early stopping"
    if task.kind in ("multiclass", "multilabel"):
        seen = int((np.concatenate([few.train.targets, few.val.targets]) > 0.5).any(axis=0).sum())
        detail += f", {seen} of {len(task.classes)} classes"
    outcome = replace(
        outcomes[0],
        label=f"{method.name}, {size} labels",
        detail="; ".join(filter(None, (detail, outcomes[0].detail))),
        head=None,
        encoder=None,
        curve=[],
    )
    rows = rows_of(outcome, case, method, out, identity, seconds, count, share)
    return [replace(row, n_train=size) for row in rows]
