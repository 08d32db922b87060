"""``python -m semisupcon data list | check | download``."""

import inspect
import logging
import os
from argparse import Namespace
from pathlib import Path

from semisupcon.commands.parser import Parser, nearest_option
from semisupcon.commands.ranges import SHARE, check_numbers
from semisupcon.configuration import read_scalars
from semisupcon.errors import ConfigError
from semisupcon.written import resolved


def main(args: list[str]) -> int:
    """Run one of the three; returns the exit status: 0, or 1 when a checked data set is not fit for training."""
    parser = Parser(prog="python -m semisupcon data", description="Data sets: what there is, whether it is fit, where to get it.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the tasks, with label kind, classes, split, metric, licence")
    check = commands.add_parser("check", help="one report on a data set; exit status 0 when it is fit for training, else 1")
    check.add_argument("task", help="name of a task, or import path of your own function")
    check.add_argument("--data_dir", type=Path, help="folder of the data set (synthetic tasks need none)")
    check.add_argument("--max_missing", type=float, default=0.05, help="share of listed clips that may be absent (%(default)s)")
    check.add_argument("--max_unreadable", type=float, default=0.01, help="share of files that may be unreadable (%(default)s)")
    check.epilog = "Options of the task itself follow as --name value: --fold 2, --subset test-other, --folds 5, --label instrument."
    download = commands.add_parser("download", help="fetch official archives; without --yes only says what would be fetched")
    download.add_argument("task")
    download.add_argument("--data_dir", type=Path, required=True, help="folder to unpack into")
    download.add_argument("--yes", action="store_true", help="fetch it")
    download.add_argument("--overwrite", action="store_true", help="replace files of the same names in that folder")
    known, rest = parser.parse_known_args(args)
    if known.command == "check":
        check_numbers(vars(known), {"max_missing": SHARE, "max_unreadable": SHARE})
    if rest and known.command != "check":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if known.command == "list":
        from semisupcon.datasets.care.report import list_of_tasks

        print(list_of_tasks())
        return 0
    if known.command == "download":
        from semisupcon.datasets.care.download import download_task

        return download_task(known.task, known.data_dir, known.yes, overwrite=known.overwrite)
    return _check(known, _task_options(rest), parser.options())


def task_options(rest: list[str]) -> dict:
    """``["--fold", "2", "--classes=[a, b]"]`` as a dictionary; values are read as YAML.

    Raises:
        ConfigError: for a name without a value, or a value without a name.
    """
    return resolved(_task_options(rest))


def _task_options(rest: list[str]) -> dict:
    """The same with a `Scalar` for what YAML reads as something else than text."""
    options, words = {}, list(rest)
    while words:
        name = words.pop(0)
        if not name.startswith("--"):
            raise ConfigError(f"'{name}' belongs to no option. Options of the task are written --name value.")
        name, equals, value = name[2:].partition("=")
        if not equals:
            if not words:
                raise ConfigError(f"--{name} needs a value.")
            value = words.pop(0)
        options[name] = read_scalars(value)
    return options


def _check(known: Namespace, options: dict, of_command: list[str]) -> int:
    from semisupcon.datasets import find_task
    from semisupcon.datasets.care.check import check
    from semisupcon.datasets.care.report import report

    of_task = list(inspect.signature(find_task(known.task)).parameters)[1:]
    for name in options:
        if name not in of_task:
            meant = nearest_option(name, [*of_command, *of_task])
            takes = f"Task '{known.task}' takes: {', '.join(f'--{o}' for o in of_task) or 'no options'}."
            raise ConfigError(f"There is no option --{name}. " + (f"Did you mean --{meant}?" if meant else takes))
    if known.data_dir is None and not known.task.rsplit(".", 1)[-1].startswith("synthetic_"):
        raise ConfigError(f"Task '{known.task}' needs its folder: give it with --data_dir.")
    if known.data_dir is not None and not os.path.isdir(known.data_dir):
        what = "a file and no folder" if os.path.isfile(known.data_dir) else "not found"
        raise ConfigError(f"--data_dir is {what}: {known.data_dir}\nGive the folder that holds the data set '{known.task}'.")
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # Which word was taken for which split.
    findings = check(known.task, known.data_dir, known.max_missing, known.max_unreadable, **options)
    print(report(known.task, findings))
    return 0 if findings.fit else 1
