"""The Python functions `semisupcon.embed`, `predict`, `tag`, `index`, `search` and `explore`.

Each function runs the command of the same name and gives the same files. Options of the command are
keyword arguments, without dashes: ``overwrite=True`` is ``--overwrite``, and
``per="window", window=1.0`` is ``--per window --window 1.0``. A mistake of the caller raises a
`UserError` and does not end the program. Ctrl-C raises `KeyboardInterrupt`; the same call continues.
"""

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.commands.parsing.parser import raising
from semisupcon.commands.python import several, word_of
from semisupcon.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

Text = str | os.PathLike[str]
Texts = Text | Iterable[Text]


def options_of(options: Mapping[str, Any]) -> list[str]:
    """Convert keyword arguments to the options of a command.

    True becomes a flag. False and None leave an option out. A list, tuple or other iterable becomes
    several words.

    Raises:
        ConfigError: if a value has a type that no option takes.
    """
    words = []
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif isinstance(value, Iterable) and not isinstance(value, str | Mapping | os.PathLike):
            words += [f"--{name}", *(word_of(name, one) for one in value)]
        elif isinstance(value, Mapping):
            raise ConfigError(f"The option '{name}' takes no dictionary, got {value!r}.")
        elif value is not None and value is not False:
            words.append(f"--{name}={word_of(name, value)}")
    return words


def called(command: str, options: Mapping[str, Any], positional: Sequence[str] = ()) -> None:
    """Run a command.

    Args:
        command: name of the command.
        options: its options, by name without dashes.
        positional: its other words; they may begin with a dash.

    Raises:
        UserError: for each mistake for which the command prints an error and exits with status 2.
        KeyboardInterrupt: if the command was interrupted.
    """
    module = importlib.import_module(f"semisupcon.commands.{command}")
    with raising():
        words = [*options_of(options), *(["--", *positional] if positional else [])]
        if module.main(words) == 130:
            raise KeyboardInterrupt(f"{command} was interrupted; the same call continues.")


def embed(audio: Texts, checkpoint: Text, out: Text, **options: Any) -> Path:
    """Embed audio files into a table, as ``semisupcon embed`` does.

    Args:
        audio: files, or folders to search for audio.
        checkpoint: run, checkpoint or exported folder of the encoder.
        out: table to write: .csv, .parquet, or .npy with a list of the files beside it.
        **options: further options of the command, such as ``per="second"`` or ``device="cuda"``.

    Returns:
        ``out``.
    """
    called("embed", {"checkpoint": checkpoint, "out": out} | options, several(audio))
    return Path(out)


def predict(audio: Texts, checkpoint: Text, head: Text, out: Text, **options: Any) -> Path:
    """Label audio files or windows with a saved head, as ``semisupcon predict`` does.

    Args:
        audio: files, or folders to search for audio.
        checkpoint: run, checkpoint or exported folder of the encoder.
        head: saved head of a probe or of `tag`.
        out: table to write: .csv, .parquet, or .txt for Audacity or Raven.
        **options: further options of the command, such as ``per="window", window=1.0, hop=0.5``.

    Returns:
        ``out``. `semisupcon.load` gives a DataFrame instead.
    """
    given = {"checkpoint": checkpoint, "head": head, "out": out}
    called("predict", given | options, several(audio))
    return Path(out)


def tag(audio: Text, labels: Text, checkpoint: Text, out: Text, **options: Any) -> Path:
    """Label the files of a folder from a table that labels some of them, as ``semisupcon tag`` does.

    Args:
        audio: folder of audio.
        labels: table (.csv or .tsv) with the columns ``path``, relative to ``audio``, and ``label``.
        checkpoint: run, checkpoint or exported folder of the encoder.
        out: table to write, in the formats of `predict`.
        **options: further options of the command, such as ``kind="multilabel"`` or ``suggest=20``.

    Returns:
        ``out``.
    """
    given = {"audio": audio, "labels": labels, "checkpoint": checkpoint, "out": out}
    called("tag", given | options)
    return Path(out)


def index(audio: Texts, checkpoint: Text, out: Text, **options: Any) -> Path:
    """Embed audio files into an index for `search` and `explore`, as ``semisupcon index`` does.

    Args:
        audio: files, or folders to search for audio.
        checkpoint: run, checkpoint or exported folder of the encoder.
        out: folder of the index. An existing index is brought up to date.
        **options: further options of the command, such as ``per="window", window=1.0``.

    Returns:
        ``out``.
    """
    called("index", {"checkpoint": checkpoint, "out": out} | options, several(audio))
    return Path(out)


def search(query: Texts, index: Text, top: int = 10, **options: Any) -> "pd.DataFrame":
    """Find similar audio in an index, as ``semisupcon search`` does.

    Args:
        query: names of indexed files, or audio files; with several, their mean is the query. An
            empty list with ``duplicates=True`` lists near-identical pairs instead.
        index: folder of the index.
        top: number of hits or pairs.
        **options: further options of the command, such as ``checkpoint="runs/mine"``.

    Returns:
        One row per hit with the columns of ``search --out``: ``rank``, ``similarity`` (cosine, -1 to
        1), ``file``, ``start`` and ``end`` (seconds).
    """
    import pandas as pd

    from semisupcon.commands import search as command

    words = options_of({"index": index, "top": top} | options)
    with raising():
        columns, rows = command.searched([*words, "--", *several(query)])
    return pd.DataFrame(list(rows), columns=list(columns))


def explore(embeddings: Text, out: Text, **options: Any) -> Path:
    """Write a map of embeddings as one HTML page, as ``semisupcon explore`` does.

    Args:
        embeddings: output of `embed`, or the folder of an index.
        out: page to write, .html.
        **options: further options of the command, such as ``clusters=8, previews=3``.

    Returns:
        ``out``.
    """
    called("explore", {"out": out} | options, several(embeddings))
    return Path(out)
