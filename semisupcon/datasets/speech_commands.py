"""Speech Commands: one-second utterances of single words (Warden 2018).

Version 1 has 30 words (64,727 clips), version 2 has 35 words (105,829 clips). Where:
http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz. Licence: CC BY 4.0. Split:
``validation_list.txt`` and ``testing_list.txt`` (6,798 / 6,835 clips in version 1, 9,981 / 11,005
in version 2); all other clips are training. The lists separate speakers (the part of the file name
before ``_nohash_``), so speakers are the groups. The folder ``_background_noise_`` is ignored.
Metric: accuracy. Classes: words in alphabetical order. With ``words="commands"``, the classes are
the ten commands and ``unknown`` for all other words (the 11 classes that COLA reports on version
1).
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import Archive, card
from semisupcon.datasets.parsing.finding import audio_files
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.names import stem
from semisupcon.datasets.parsing.reading import located, place, read_lines
from semisupcon.errors import AnnotationError, ConfigError

URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
COMMANDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
WORDS_V1 = (
    "bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy", "house", "left", "marvin", "nine", "no",
    "off", "on", "one", "right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "wow", "yes", "zero",
)  # fmt: skip
WORDS = {
    1: WORDS_V1,
    2: tuple(sorted((*WORDS_V1, "backward", "follow", "forward", "learn", "visual"))),
}
ARCHIVE = Archive(
    URL,
    2_428_923_189,
    "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
)
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
_ABOUT = {
    "kind": "multiclass",
    "split": "official lists, by speaker",
    "metric": "accuracy",
    "licence": "CC BY 4.0",
}


def _read(root: Path, version: int, words: str) -> LabelledClips:
    if words not in ("all", "commands"):
        raise ConfigError(f"words is 'all' or 'commands', got '{words}'.")
    listed = {split: read_lines(root, name, source=URL) for split, name in LISTS.items()}
    held_out = {path.rsplit(".", 1)[0] for paths in listed.values() for path in paths}
    # In Kaggle's copy, the folders of words are in audio/, which the paths in the lists do not
    # have.
    below = "audio/" if (root / "audio").is_dir() else ""
    files = [path.removeprefix(below) for path in audio_files(root)]
    spoken = [path for path in files if path.count("/") == 1]
    spoken = [path for path in spoken if path.split("/")[0] != "_background_noise_"]
    training = [path for path in spoken if path.rsplit(".", 1)[0] not in held_out]
    rest = pd.Series(training, dtype=object)
    parts = {"train": located(rest, [root / path for path in rest]), **listed}
    table = pd.concat(
        pd.DataFrame({"path": paths, "split": split}) for split, paths in parts.items()
    )
    for row, path in enumerate(table["path"]):
        if path.count("/") != 1 or "_nohash_" not in path:
            raise AnnotationError(
                *place(table, row),
                f"'{path}' is not word/speaker_nohash_take.wav.",
                "Correct or remove it.",
            )
    table["group"] = table["path"].map(lambda path: stem(path).split("_nohash_")[0])
    labels = table["path"].map(lambda path: path.split("/")[0])
    targets = one_hot(labels, WORDS[version])
    if words == "all":
        return LabelledClips(table, targets, WORDS[version], kind="multiclass", metric="accuracy")
    classes = (*COMMANDS, "unknown")
    return LabelledClips(
        table,
        one_hot(labels.where(labels.isin(COMMANDS), "unknown"), classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


@card(classes=35, source=URL, archives=(ARCHIVE,), **_ABOUT)
def speech_commands(root: Path, version: int = 2, words: str = "all") -> LabelledClips:
    """Load Speech Commands with the spoken word as the class.

    Args:
        root: folder that contains the lists and one folder per word.
        version: version of the data set, 1 or 2.
        words: ``all``, or ``commands`` for the ten commands and ``unknown``.

    Raises:
        DatasetNotFoundError: if a list is missing.
        AnnotationError: if a line does not name one of the words.
        ConfigError: if ``version`` or ``words`` has an unknown value.
    """
    if version not in WORDS:
        raise ConfigError(f"version is 1 or 2, got {version}.")
    return _read(root, version, words)
