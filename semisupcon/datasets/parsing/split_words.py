"""Interpret the words for splits in a column or in fractions: train, val, test and synonyms."""

from collections.abc import Iterable, Mapping
from numbers import Real

from semisupcon.errors import ConfigError, nearest

CERTAIN = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# The meaning of these words depends on the other words that occur: it is the first of these splits
# that no other word names.
UNCERTAIN = {
    **dict.fromkeys(("eval", "evaluation"), ("test", "val")),
    **dict.fromkeys(("dev", "devel", "development"), ("train", "val", "test")),
}
WORDS = (*CERTAIN, *UNCERTAIN)
NAMES = {"train": "training", "val": "validation", "test": "test"}


def meaning(words: Iterable[str]) -> dict[str, str]:
    """Return the split that each of the given words means.

    Ambiguous words such as ``dev`` mean a split that no other word names: ``dev`` is validation if
    ``train`` also occurs, and training if only ``test`` also occurs.

    Args:
        words: words that occur together, in upper or lower case. Each is one of `WORDS`.

    Returns:
        Dictionary from each word to train, val or test.

    Raises:
        ConfigError: if the words are ambiguous, such as train, val, test and dev.
    """
    words = list(dict.fromkeys(words))
    found = {word: CERTAIN[word.lower()] for word in words if word.lower() in CERTAIN}
    for group in (("eval", "evaluation"), ("dev", "devel", "development")):
        if not (members := [word for word in words if word.lower() in group]):
            continue
        free = [split for split in UNCERTAIN[group[0]] if split not in found.values()]
        if not free:
            others = ", ".join(word for word in words if word not in members)
            raise ConfigError(
                f"'{members[0]}' beside {others} may be any split. Name the splits train, val and "
                "test.",
            )
        found |= dict.fromkeys(members, free[0])
    return found


def told(found: Mapping[str, str]) -> str:
    """Return a sentence with the meaning of each word; empty if no word is ambiguous."""
    taken = [
        f"'{word}' is {NAMES[split]}" for word, split in found.items() if word.lower() != split
    ]
    certain = all(word.lower() in CERTAIN for word in found)
    return "" if certain or not taken else f"Splits: {', '.join(taken)}."


def fractions_by_split(fractions: Mapping[str, float]) -> dict[str, float]:
    """Rename the keys of fractions to train, val and test; their order is kept.

    Raises:
        ConfigError: if a word is unknown, if two words mean the same split, or if a fraction is not
            a number.
    """
    if not isinstance(fractions, Mapping):
        raise ConfigError(
            f"fractions is a mapping such as {{train: 0.8, val: 0.1, test: 0.1}}, got "
            f"'{fractions}'.",
        )
    for word, share in fractions.items():
        if str(word).lower() not in WORDS:
            raise ConfigError(
                f"fractions: '{word}' is not a split.{nearest(str(word), WORDS)} Splits are train, "
                "val and test.",
            )
        if isinstance(share, bool) or not isinstance(share, Real):
            raise ConfigError(f"fractions: {word} takes a number from 0 to 1, got '{share}'.")
    found = meaning(fractions)
    if len(set(found.values())) < len(found):
        raise ConfigError(
            f"fractions: two of {', '.join(fractions)} mean one split. Name them train, val and "
            "test.",
        )
    return {found[word]: float(share) for word, share in fractions.items()}
