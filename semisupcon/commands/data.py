"""``semisupcon data list | check | download``: list, check and download data sets."""

import inspect
import logging
import os
from argparse import Namespace
from pathlib import Path

from semisupcon.commands.parsing.parser import Parser, nearest_option
from semisupcon.commands.parsing.ranges import SHARE, check_numbers
from semisupcon.configuration import read_scalars
from semisupcon.errors import ConfigError
from semisupcon.written import resolved


def main(args: list[str]) -> int:
    """Run ``semisupcon data list``, ``check`` or ``download``.

    Returns the exit status: 0 for success, 1 if ``check`` finds the data set unfit for training.
    """
    parser = Parser(prog="semisupcon data", description="List, check and download data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "list", help="list all tasks with label kind, classes, split, metric and licence"
    )
    check = commands.add_parser(
        "check", help="report on a data set; exit status 0 if it is fit for training, else 1"
    )
    check.add_argument("task", help="name of a task, or import path of a function")
    check.add_argument(
        "--data_dir", type=Path, help="folder of the data set (not needed for synthetic tasks)"
    )
    check.add_argument(
        "--max_missing",
        type=float,
        default=0.05,
        help="allowed share of listed clips without a file (%(default)s)",
    )
    check.add_argument(
        "--max_unreadable",
        type=float,
        default=0.01,
        help="allowed share of unreadable files (%(default)s)",
    )
    check.epilog = "Add options of the task as --name value: --fold 2, --subset test-other, --folds 5, --label instrument."
    download = commands.add_parser(
        "download", help="download the official archives; without --yes, only list them"
    )
    download.add_argument("task", help="name of a task, see semisupcon data list")
    download.add_argument(
        "--data_dir", type=Path, required=True, help="folder for the unpacked files"
    )
    download.add_argument("--yes", action="store_true", help="start the download")
    download.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing files with the same names in --data_dir",
    )
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
    """Convert the options of a task on the command line to a dictionary.

    ``["--fold", "2", "--classes=[a, b]"]`` gives ``{"fold": 2, "classes": ["a", "b"]}``: values are
    parsed as YAML.

    Raises:
        ConfigError: if an option has no value, or a value has no option.
    """
    return resolved(_task_options(rest))


def _task_options(rest: list[str]) -> dict:
    """Parse the options of a task; values that YAML does not read as text become `Scalar` objects.

    The caller decides later whether such a value is used as text or as a number.
    """
    options, words = {}, list(rest)
    while words:
        name = words.pop(0)
        if not name.startswith("--"):
            raise ConfigError(
                f"'{name}' belongs to no option. Options of the task are written --name value."
            )
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
            raise ConfigError(
                f"There is no option --{name}. " + (f"Did you mean --{meant}?" if meant else takes)
            )
    if known.data_dir is None and not known.task.rsplit(".", 1)[-1].startswith("synthetic_"):
        raise ConfigError(f"Task '{known.task}' needs the folder of its data: give --data_dir.")
    if known.data_dir is not None and not os.path.isdir(known.data_dir):
        what = "a file, not a folder" if os.path.isfile(known.data_dir) else "not found"
        raise ConfigError(
            f"--data_dir is {what}: {known.data_dir}\nGive the folder of the data set "
            f"'{known.task}'."
        )
    # Show messages of data sets, such as how they interpret the names of splits in a table.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    findings = check(known.task, known.data_dir, known.max_missing, known.max_unreadable, **options)
    print(report(known.task, findings))
    return 0 if findings.fit else 1
