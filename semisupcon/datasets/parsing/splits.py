"""Draw splits for data sets without official ones. They depend only on a seed and names.

Every clip or group is ranked by a hash of seed and name. The split is therefore equal on all
machines, and does not depend on the order of files or on global random generators.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from semisupcon.datasets.parsing.names import spelling
from semisupcon.datasets.parsing.split_words import fractions_by_split
from semisupcon.errors import ConfigError
from semisupcon.random import stable_hash

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


def _ranked(names: Sequence[str], seed: int) -> np.ndarray:
    """Return the indices of ``names``, sorted by a hash of seed and name."""
    names = [spelling(str(name)) for name in names]
    return np.array(
        sorted(range(len(names)), key=lambda i: (stable_hash(f"{seed}/{names[i]}"), names[i])),
        dtype=int,
    )


def _checked(fractions: Mapping[str, float]) -> dict[str, float]:
    fractions = fractions_by_split(fractions)
    if any(f < 0 for f in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(
            f"The fractions of the splits must be positive and sum to 1, got {dict(fractions)}.",
        )
    return dict(fractions)


def _every(n: int, share: float) -> np.ndarray:
    """Return a mask ``[n]`` of round(n * share) evenly spaced positions (systematic sampling)."""
    steps = np.floor(np.arange(n + 1) * min(share, 1.0) + 0.5)
    return np.diff(steps) > 0


def stratified_split(
    names: Sequence[str],
    labels: Sequence,
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
) -> np.ndarray:
    """Draw the split of each clip so that all splits have the class balance of the whole data set.

    Clips are sorted by label, in pseudo-random order within a label, and evenly spaced clips are
    taken. The sizes of splits are exact, up to rounding. For each label, the number of clips
    differs from the exact share by at most one. The first split has at least one clip of each
    label.

    Args:
        names: n unique names of clips.
        labels: n labels, or tuples of labels to stratify by.
        fractions: share of each split; the sum is 1.
        seed: seed of the split.

    Returns:
        ``[n]`` strings, keys of ``fractions``.
    """
    names, fractions = list(names), _checked(fractions)
    strata: dict = {}
    for i in _ranked(names, seed):
        strata.setdefault(labels[i], []).append(i)
    (first, first_share), *others = fractions.items()
    result = np.full(len(names), first, dtype=object)
    line = np.array(
        [i for members in strata.values() if len(members) > 1 or not first_share for i in members],
        dtype=int,
    )
    left = 1.0
    for split, share in others:
        chosen = _every(len(line), share / left if left > 1e-9 else 0.0)
        result[line[chosen]] = split
        line, left = line[~chosen], left - share
    if first_share:
        for members in strata.values():
            if (result[members] != first).all():
                result[members[0]] = first
    return result


def group_split(
    groups: Sequence[str],
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
    labels: Sequence | None = None,
) -> np.ndarray:
    """Draw the split of each clip so that all clips of a group (singer, artist) are in one split.

    Every split gets about the given share of the groups.

    Args:
        groups: n names of groups.
        fractions: share of the groups in each split; the sum is 1.
        seed: seed of the split.
        labels: one label per clip, by which groups are stratified. It must be constant within a
            group, such as the sex of a singer.

    Returns:
        ``[n]`` strings, keys of ``fractions``.
    """
    label_of = dict(zip(groups, labels if labels is not None else [""] * len(groups), strict=True))
    names = sorted(label_of)
    split_of = dict(
        zip(
            names,
            stratified_split(names, [label_of[name] for name in names], fractions, seed),
            strict=True,
        )
    )
    return np.array([split_of[group] for group in groups], dtype=object)


def balanced_group_split(
    groups: Sequence[str],
    targets: np.ndarray,
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
) -> np.ndarray:
    """Draw the split of each clip so that groups are not divided and labels are balanced.

    Use it for groups that differ in size and labels. Groups are assigned one after another, the
    largest first, each to the split that lacks most of its labels. This is the iterative
    stratification of Sechidis et al. 2011, applied to groups.

    Args:
        groups: n names of groups.
        targets: ``[n, C]`` of zeros and ones.
        fractions: share of each label in each split; the sum is 1.
        seed: seed of the order of groups with equal size.

    Returns:
        ``[n]`` strings, keys of ``fractions``.
    """
    fractions = _checked(fractions)
    names, member = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    held = np.zeros((len(names), targets.shape[1]))
    np.add.at(held, member, targets)
    wanted = np.outer(list(fractions.values()), held.sum(axis=0)) + 1e-9
    lacking, split_of = wanted.copy(), np.zeros(len(names), int)
    for group in sorted(_ranked(names.tolist(), seed), key=lambda i: -held[i].sum()):
        split_of[group] = ((lacking / wanted) @ held[group]).argmax()
        lacking[split_of[group]] -= held[group]
    return np.array(list(fractions), dtype=object)[split_of[member]]


def stratified_folds(
    names: Sequence[str],
    labels: Sequence,
    folds: int,
    seed: int = 0,
) -> np.ndarray:
    """Return the fold of each clip, ``[n]`` in 1..``folds``, stratified by label.

    The number of clips of a label differs by at most one between folds.
    """
    if folds < 2:
        raise ConfigError(f"folds must be at least 2, got {folds}.")
    result = np.zeros(len(names), int)
    dealt: dict[Hashable, int] = {}
    for i in _ranked(list(names), seed):
        # Each label starts at a different fold. Otherwise the first fold would get the remainder of
        # every label.
        offset = dealt.setdefault(labels[i], stable_hash(f"{seed}/{labels[i]}"))
        result[i] = offset % folds + 1
        dealt[labels[i]] = offset + 1
    return result


def split_of_folds(
    fold_of: np.ndarray,
    fold: int,
    folds: int,
    validation: bool = True,
) -> np.ndarray:
    """Return the split of each clip, ``[n]``, in one round of cross-validation.

    The fold number ``fold`` is test, the next fold (1 after the last) is validation, all others are
    training.

    Raises:
        ConfigError: if the fold does not exist.
    """
    if not 1 <= fold <= folds:
        raise ConfigError(f"fold must lie between 1 and {folds}, got {fold}.")
    result = np.where(fold_of == fold, "test", "train").astype(object)
    if validation:
        result[fold_of == fold % folds + 1] = "val"
    return result


def seeded_split(
    names: Sequence[str],
    strata: Sequence,
    groups: Sequence[str] | None = None,
    folds: int | None = None,
    fold: int = 1,
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
) -> np.ndarray:
    """Draw splits ``[n]`` by fractions or folds, stratified by ``strata``; if given, of groups."""
    if groups is not None:
        unique = sorted(set(groups))
        if folds is None:
            return group_split(groups, fractions, seed)
        fold_of = dict(
            zip(unique, stratified_folds(unique, [""] * len(unique), folds, seed), strict=True),
        )
        return split_of_folds(np.array([fold_of[group] for group in groups]), fold, folds)
    if folds is None:
        return stratified_split(names, strata, fractions, seed)
    return split_of_folds(stratified_folds(names, strata, folds, seed), fold, folds)
