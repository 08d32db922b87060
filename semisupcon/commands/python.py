"""The Python functions `semisupcon.pretrain` and `semisupcon.probe`.

A call is converted to a command line and runs the command of the same name. Both give the same
result, bit for bit. A mistake of the caller raises a `UserError` and does not end the program.
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
    """Convert options to the words of a command line.

    ``{"data.batch_size": 32}`` becomes ``["--data.batch_size", "32"]``.

    Args:
        options: value of each option, by name without dashes. A value is text, a path, a number,
            True, False, None (null), or a list or dictionary of these, which becomes JSON.

    Raises:
        ConfigError: if a name begins with a dash, or a value has another type.
    """
    words = []
    for name, value in options.items():
        if not isinstance(name, str) or name.startswith("-") or not name.strip():
            raise ConfigError(
                f"Names of options are given without dashes, got {name!r}; for example "
                '{"trainer.max_steps": 100}.'
            )
        words += [f"--{name}", word_of(name, value)]
    # A parser takes a word that begins with a dash for an option: join it to its name.
    joined, rest = [], iter(words)
    for name, value in zip(rest, rest, strict=True):
        joined += [f"{name}={value}"] if value.startswith("-") else [name, value]
    return joined


def word_of(name: str, value: Any) -> str:
    """Convert the value of an option to a word of a command line.

    Raises:
        ConfigError: if the value has none of the types that `words_of` accepts.
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
    if hasattr(value, "tolist"):  # a number or array of NumPy
        return value.tolist()
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(type(value).__name__)


def several(given: Text | Iterable[Text]) -> list[str]:
    """Convert one text or path, or several, to a list of texts."""
    return [os.fspath(one) for one in ([given] if isinstance(given, str | os.PathLike) else given)]


def labels_of(labels: Text | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of ``semisupcon pretrain`` for the argument ``labels`` of `pretrain`."""
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
    """Make the path of a table absolute, relative to the current folder.

    The data set would interpret a relative path as relative to its root folder.
    """
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
    """Pretrain an encoder, as the command ``semisupcon pretrain`` does.

    Args:
        recipe: name of a recipe or path of a YAML file, or a list of them, such as
            ``["pretrain_ssl", "small/pretrain_ssl"]``. Later entries override earlier ones.
        data_dir: folder with the audio files. Without ``data_dir`` and ``labels``, the run uses the
            synthetic data set of the package.
        labels: labels of some or all files: the path of a .csv or .tsv table with the columns
            ``path`` and ``label``; the arguments of the data set ``csv``, such as
            ``{"file": "labels.csv", "label": "genre"}``; or the name of a task, such as "gtzan".
            The path of a table is relative to the current folder.
        overrides: values of further options of the command, by name without dashes, such as
            ``{"trainer.max_steps": 1000, "data.batch_size": 64}``.
        name: name of the run; by default, it contains the objective, the encoder and the time.
        out: folder of all runs.

    Returns:
        Folder of the run. `semisupcon.load`, `semisupcon.load_encoder` and `semisupcon.probe`
        accept it as a checkpoint.

    Raises:
        UserError: for each mistake for which the command prints an error and exits with status 2.
        KeyboardInterrupt: after Ctrl-C, when the run is saved.
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
    """Evaluate encoders on labelled tasks, as the command ``semisupcon probe`` does.

    Args:
        checkpoints: run folders, checkpoints, exported folders, or names of baselines ("random",
            "mfcc", ...).
        tasks: names of tasks. ``semisupcon data list`` prints all of them.
        data_root: folder with one folder per data set. The override ``data_dirs.TASK`` sets the
            folder of one task.
        methods: names of probe methods: "linear", "mlp", "knn", "few_shot", "finetune", ...
        overrides: values of further options of the command, by name without dashes, such as
            ``{"data_dirs.csv": "~/music", "task_kwargs.csv.file": "labels.csv"}``.
        out: folder for the report, tables and heads. A later call with the same folder adds its
            results and does not repeat finished probes.

    Returns:
        The rows of ``results.csv`` in ``out``: one per checkpoint, task, method and metric, with
        ``value``, ``low`` and ``high`` (95 % interval).

    Raises:
        UserError: for each mistake for which the command prints an error and exits with status 2.
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
