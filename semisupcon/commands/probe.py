"""``semisupcon probe``: evaluate every encoder on every task with every method.

``semisupcon probe --help`` lists the options.
"""

import logging
import shlex
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.commands.parsing.probe_options import parser
from semisupcon.commands.parsing.text_options import gather_task_options
from semisupcon.errors import ConfigError, UserError
from semisupcon.locks import folder_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_folder, refuse_existing
from semisupcon.probing.methods.base import Settings
from semisupcon.written import at_home

if TYPE_CHECKING:
    from semisupcon.probing.scores.results import Row
    from semisupcon.probing.suite import Suite


def main(args: list[str] | None = None) -> int:
    """Run the probes and return the exit status: 0, or 2 for a mistake of the user."""
    try:
        probed(sys.argv[1:] if args is None else args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def probed(args: list[str]) -> "list[Row]":
    """Run the probes of a command line and return all rows of the results.

    Raises:
        UserError: for a mistake of the user.
    """
    read = parser(args)
    options = read.parse_args(gather_task_options(args))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from semisupcon.commands.probe_logging import ProbeLoggers
    from semisupcon.plots import require_matplotlib
    from semisupcon.probing.report.write import write_report
    from semisupcon.probing.suite import run, score_saved_head

    # Check the requirements of the report before hours of probing.
    require_matplotlib()
    check_output(Path(options.out), options.overwrite)
    built = read.instantiate(options)
    given = built.logger if isinstance(built.logger, list) else [built.logger]
    loggers = ProbeLoggers(options, [logger for logger in given if logger])
    suite = make_suite(options, built)
    # Only one command at a time writes into the output folder. The cache of embeddings is shared.
    with folder_lock(suite.out, "probe suite", "give another --out"):
        results = score_saved_head(suite) if suite.head else run(suite)
        command, date = (
            shlex.join(["probe.py", *args]),
            datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        )
        print(write_report(results.rows, suite.out, suite.resamples, command, date))
    loggers.log(results.rows, suite.resamples)
    print(f"\nAll numbers, tables and figures: {suite.out}")
    return list(results.rows)


def check_output(out: Path, overwrite: bool) -> None:
    """Check that the output folder is writable and that no file of another program is replaced.

    Raises:
        UserError: if the folder is not writable, or if it has files with the names of our reports
            and no results of a probe.
    """
    from semisupcon.probing.report.write import REPORTS
    from semisupcon.probing.scores.results import RESULTS, ROBUSTNESS, Results

    check_folder(out)
    known = False
    for file in (out / RESULTS, out / ROBUSTNESS):
        try:
            # Without their predictions, no rows of a results file are valid. The folder of the
            # predictions still shows that a probe has written the file.
            known |= bool(Results(file).rows) or (file.is_file() and (out / "predictions").is_dir())
        except UserError:
            if not overwrite:
                raise
            file.unlink()
    if not known:
        refuse_existing([out / name for name in REPORTS], overwrite)


def make_suite(options: Any, built: Any) -> "Suite":
    """Build the suite from the parsed options.

    Args:
        options: parsed options.
        built: the same options with instantiated classes.

    Raises:
        ConfigError: for options that are invalid or contradict each other.
        UserError: if the folder of the embeddings is not writable.
    """
    from semisupcon.commands.device import device_of
    from semisupcon.commands.parsing.probe_numbers import check_probe_numbers
    from semisupcon.commands.parsing.ranges import GREAT
    from semisupcon.outputs import check_writable_folder
    from semisupcon.paths import cache_folder
    from semisupcon.probing.embeddings.embedder import Embedder
    from semisupcon.probing.studies.budgets import LabelBudget
    from semisupcon.probing.studies.run import Studies
    from semisupcon.probing.suite import Suite

    cache = Path(options.cache_dir) if options.cache_dir else cache_folder() / "embeddings"
    device = device_of(options.device)
    if device == "cpu":
        keep_freed_memory()
    if options.on_error not in ("fail", "skip"):
        raise ConfigError(f"--on_error is fail or skip, got '{options.on_error}'.")
    check_probe_numbers(options)
    seeds = listed(options.seeds)
    if not seeds:
        raise ConfigError("--seeds takes whole numbers, got none.")
    if wrong := [seed for seed in seeds if not str(seed).lstrip("-").isdecimal()]:
        raise ConfigError(f"--seeds takes whole numbers, got '{wrong[0]}'.")
    if wrong := [seed for seed in seeds if not -GREAT <= int(seed) <= GREAT]:
        raise ConfigError(f"--seeds takes numbers of at most 15 digits, got {wrong[0]}.")
    for name in ("tasks", "checkpoints", "methods", "representations"):
        if not listed(getattr(options, name)):
            raise ConfigError(f"--{name} is empty.")
    if options.test_only != (options.head is not None):
        raise ConfigError("--test_only and --head PATH must be given together.")
    if listed(options.head_classes) and not options.test_only:
        raise ConfigError("--head_classes needs --test_only and --head.")
    check_writable_folder(cache, "Give a writable folder for embeddings with --cache_dir.")
    return Suite(
        tasks=listed(options.tasks),
        checkpoints=listed(options.checkpoints),
        methods=listed(options.methods),
        out=Path(options.out),
        embedder=Embedder(cache, options.batch_size, device, options.on_error, options.verify),
        data_root=Path(options.data_root) if options.data_root else None,
        data_dirs=dict(options.data_dirs),
        task_kwargs={name: dict(given) for name, given in options.task_kwargs.items()},
        representations=listed(options.representations),
        seeds=[int(seed) for seed in seeds],
        train_share=options.train_share,
        calibrate=options.calibrate_random,
        shuffle_labels=options.shuffle_labels,
        settings=Settings(**{f.name: getattr(built, f.name) for f in fields(Settings)}),
        fine_tuning=built.finetune,
        studies=Studies(
            options.projection,
            options.colour_by,
            tuple(listed(options.robustness)),
            tuple(listed(options.invariance)),
            invariance_noise=options.invariance_noise,
        ),
        budget=LabelBudget.of(listed(options.label_budget), options.budget_draws),
        head=Path(options.head) if options.test_only else None,
        head_classes=tuple(listed(options.head_classes)),
        resamples=options.resamples,
        trust=tuple(listed(options.trust)),
    )


def listed(given: Any) -> list:
    """Convert a list, a single value or comma-separated values to a list."""
    items = given if isinstance(given, list) else [given]
    return [
        at_home(part)
        for item in items
        for part in (item.split(",") if isinstance(item, str) else [item])
        if part != ""
    ]
