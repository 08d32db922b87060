"""`semisupcon.pretrain` and `semisupcon.probe`: commands as Python calls.

A call becomes the words of a command line and runs the command, so both give the same run, bit for
bit. Mistakes raise `UserError` instead of ending the program.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.commands.parsing.parser import raising
from semisupcon.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

Text = str | os.PathLike[str]


def words_of(options: Mapping[str, Any]) -> list[str]:
    """The words of a command line for options, ``{"data.batch_size": 32}`` -> ``["--data.batch_size",
    "32"]``.

    Args:
        options: name without dashes -> value: text, path, number, True, False, None (null), or lists
            and dictionaries of them, which become JSON.

    Raises:
        ConfigError: for names with dashes at the front, and values that are none of these.
    """
    words = []
    for name, value in options.items():
        if not isinstance(name, str) or name.startswith("-") or not name.strip():
            raise ConfigError(
                f"Names of options are given without dashes, got {name!r}; for example "
                '{"trainer.max_steps": 100}.'
            )
        words += [f"--{name}", word_of(name, value)]
    # A word that begins with a dash would be taken for an option.
    joined, rest = [], iter(words)
    for name, value in zip(rest, rest, strict=True):
        joined += [f"{name}={value}"] if value.startswith("-") else [name, value]
    return joined


def word_of(name: str, value: Any) -> str:
    """One value as a word.

    Raises:
        ConfigError: if it is none of the types of `words_of`.
    """
    if isinstance(value, os.PathLike | str):
        return os.fspath(value)
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The option '{name}' takes text, numbers, lists and dictionaries, got {value!r}.\n"
            "Name a class by its path, for example 'torch.optim.AdamW'."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numbers and arrays of NumPy
        return value.tolist()
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(type(value).__name__)


def several(given: Text | Iterable[Text]) -> list[str]:
    """One or several texts or paths, as a list of texts."""
    return [os.fspath(one) for one in ([given] if isinstance(given, str | os.PathLike) else given)]


def labels_of(labels: Text | Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of the labelled clips: a table, arguments of the data set ``csv``, or the name of a
    task."""
    if labels is None:
        return {}
    if isinstance(labels, Mapping):
        given = dict(labels)
        if "file" in given:
            given["file"] = absolute(given["file"])
        return {"data.sl_task": "csv", "data.sl_kwargs": given}
    text = os.fspath(labels)
    if Path(text).suffix.lower() in (".csv", ".tsv"):
        return {"data.sl_task": "csv", "data.sl_kwargs": {"file": absolute(text)}}
    return {"data.sl_task": text}


def absolute(path: Text) -> str:
    """A path relative to the current folder; the data set would take it relative to its root."""
    return str(Path(os.fspath(path)).expanduser().absolute())


def pretrain(
    recipe: Text | Sequence[Text],
    data_dir: Text | None = None,
    labels: Text | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    out: Text = "runs",
) -> Path:
    """Pretrain an encoder: ``semisupcon pretrain --config RECIPE ...``.

    Args:
        recipe: name of a recipe or path of a YAML file; several, of which later ones override
            earlier ones, such as ``["pretrain_ssl", "small/pretrain_ssl"]``.
        data_dir: folder of audio files. Without it, and without ``labels``, the embedded synthetic
            set is used.
        labels: of some files: a .csv or .tsv table with the columns ``path`` and ``label``;
            arguments of the data set ``csv``, such as ``{"file": "labels.csv", "label": "genre"}``;
            or the name of a task, such as "gtzan". A relative path of a table starts at the current
            folder.
        overrides: any option of the command without dashes -> value, for example
            ``{"trainer.max_steps": 1000, "data.batch_size": 64}``.
        name: of the run; default: drawn from the time.
        out: folder of runs.

    Returns:
        The folder of the run, which `semisupcon.load`, `semisupcon.load_encoder` and
        `semisupcon.probe` take.

    Raises:
        UserError: for what the command answers with a sentence and exit status 2.
        KeyboardInterrupt: after Ctrl-C; the run is saved.
    """
    from semisupcon.commands.pretrain import speak_plainly, trained

    given: dict[str, Any] = {"ckpt_path": out} | labels_of(labels)
    given |= {} if data_dir is None else {"data.data_dir": data_dir}
    given |= {} if name is None else {"run_name": name}
    configs = [word for one in several(recipe) for word in ("--config", one)]
    speak_plainly()
    with raising():
        cli = trained([*configs, *words_of(given), *words_of(overrides or {})])
    if cli.end.received is not None:
        raise KeyboardInterrupt(f"The run was stopped and saved: {cli.run.folder}")
    return Path(cli.run.folder)


def probe(
    checkpoints: Text | Sequence[Text],
    tasks: str | Sequence[str],
    data_root: Text | None = None,
    methods: str | Sequence[str] = ("linear",),
    overrides: Mapping[str, Any] | None = None,
    *,
    out: Text = "probes",
) -> "pd.DataFrame":
    """Evaluate encoders on labelled tasks: ``semisupcon probe --checkpoints ... --tasks ...``.

    Args:
        checkpoints: runs, checkpoints, exported folders or baselines ("random", "mfcc", ...).
        tasks: names of tasks, see ``semisupcon data list``.
        data_root: folder with one folder per data set; ``data_dirs.TASK`` among the overrides gives
            the folder of one task.
        methods: "linear", "mlp", "knn", "few_shot", "finetune", ...
        overrides: any option of the command without dashes -> value, for example
            ``{"data_dirs.csv": "~/music", "task_kwargs.csv.file": "labels.csv"}``.
        out: folder of the report, tables and heads. A later call with the same folder adds to it,
            and repeats nothing.

    Returns:
        The rows of ``results.csv`` in ``out``: one per checkpoint, task, method and metric, with
        ``value``, ``low`` and ``high`` (95 % interval).

    Raises:
        UserError: for what the command answers with a sentence and exit status 2.
    """
    from dataclasses import asdict

    import pandas as pd

    from semisupcon.commands.probe import probed

    given: dict[str, Any] = {
        "checkpoints": several(checkpoints),
        "tasks": several(tasks),
        "methods": several(methods),
        "out": out,
    }
    given |= {} if data_root is None else {"data_root": data_root}
    with raising():
        rows = probed([*words_of(given), *words_of(overrides or {})])
    return pd.DataFrame([asdict(row) for row in rows])
