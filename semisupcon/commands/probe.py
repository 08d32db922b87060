"""``semisupcon probe``: evaluate every encoder on every task with every method; ``semisupcon probe
--help`` lists the options.
"""

import json
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ActionConfigFile

from semisupcon.commands import types  # noqa: F401, for the options of tasks
from semisupcon.commands.typed import TypedParser, take_configs
from semisupcon.configuration import read_scalars
from semisupcon.errors import ConfigError, UserError
from semisupcon.locks import folder_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_folder, refuse_existing
from semisupcon.probing.methods.base import FineTuning, Settings
from semisupcon.probing.methods.by_name import METHODS
from semisupcon.recipes import PROBING
from semisupcon.written import at_home, marked

if TYPE_CHECKING:
    from semisupcon.probing.suite import Suite

Names = list[str] | str
Numbers = list[int] | int | str


def parser(words: Sequence[str] = ()) -> TypedParser:
    """Return the parser of the command.

    ``--logger`` is typed only if the command line or a file given there contains "logger".
    """
    p = TypedParser(
        prog="semisupcon probe", description="Evaluate representations on labelled data sets."
    )
    p.recipes = PROBING
    p.add_argument(
        "--config",
        action=ActionConfigFile,
        help="Protocol or YAML file with any of these options; the command line overrides it.",
    )
    p.add_argument(
        "--tasks",
        "--task",
        type=Names,
        required=True,
        help="Data sets to probe on: [a,b], or [name=a] to rename one.",
    )
    p.add_argument(
        "--checkpoints",
        "--checkpoint",
        type=Names,
        required=True,
        help="Checkpoints, run folders, exported models, class paths, random.",
    )
    p.add_argument(
        "--methods",
        "--method",
        type=Names,
        default="linear",
        help=f"{', '.join(METHODS)}, or an import path.",
    )
    p.add_argument(
        "--data_root",
        type=str | None,
        default=None,
        help="Folder with one subfolder per task, called like the task.",
    )
    p.add_argument(
        "--data_dirs",
        type=dict[str, str],
        default={},
        help="--data_dirs.TASK PATH: folder of one task.",
    )
    p.add_argument(
        "--task_kwargs",
        type=dict[str, Any],
        default={},
        help="--task_kwargs.TASK.OPTION VALUE: option of one data set.",
    )
    p.add_argument(
        "--out",
        type=str,
        default="runs/probe",
        help="Folder for results.csv, predictions and heads; repeat the command to continue an interrupted run.",
    )
    p.add_argument(
        "--overwrite",
        action="store_true",
        help="Replace files with the same names in --out that other programs wrote.",
    )
    p.add_argument(
        "--cache_dir",
        type=str | None,
        default=None,
        help="Folder of stored embeddings, shared by all runs; default: in the user's cache folder.",
    )
    p.add_argument(
        "--representations",
        "--representation",
        type=Names,
        default="embedding",
        help="embedding, projection, or a part of the encoder.",
    )
    p.add_argument(
        "--seeds",
        type=Numbers,
        default=[0],
        help="One probe per seed; random encoders are initialised with it.",
    )
    p.add_argument(
        "--train_share",
        type=float,
        default=1.0,
        help="Share of the training clips, in (0, 1]; smaller shares are subsets of larger ones, with clips of every class.",
    )
    p.add_argument(
        "--calibrate_random",
        type=bool,
        default=True,
        help="Measure the batch-norm statistics of random encoders on the training clips.",
    )
    p.add_argument(
        "--shuffle_labels",
        type=bool,
        default=False,
        help="Control experiment: with shuffled training labels, results must be at chance level.",
    )
    p.add_class_arguments(Settings)
    p.add_class_arguments(FineTuning, "finetune")
    p.add_argument(
        "--projection",
        type=str,
        default="tsne",
        help="2-D map of the test embeddings in the report: tsne, umap or none.",
    )
    p.add_argument(
        "--colour_by",
        type=str | None,
        default=None,
        help="Annotation column that colours the map; default: the class.",
    )
    p.add_argument(
        "--robustness",
        type=Names,
        default=[],
        help="Corruptions of the test audio: severity, only, plus, tiers.",
    )
    p.add_argument(
        "--invariance",
        type=Names,
        default=[],
        help="Augmentations whose effect on the embedding is measured.",
    )
    p.add_argument(
        "--invariance_noise",
        type=float | None,
        default=None,
        help="Level of white noise added to both audio signals of --invariance, in dB relative to full scale.",
    )
    p.add_argument(
        "--test_only", action="store_true", help="Do not train: score the test clips with --head."
    )
    p.add_argument(
        "--head",
        type=str | None,
        default=None,
        help="Saved head (heads/*.safetensors of an earlier run).",
    )
    p.add_argument(
        "--resamples", type=int, default=1000, help="Bootstrap resamples of the test clips."
    )
    p.add_argument(
        "--batch_size",
        type=int | None,
        default=None,
        help="Segments per forward pass of the encoder; default: 32 on a GPU, 400,000 samples in total on a CPU.",
    )
    p.add_argument("--device", type=str, default="auto", help="cpu, cuda, or auto.")
    p.add_argument(
        "--on_error",
        type=str,
        default="fail",
        help="What to do with unreadable audio: fail or skip.",
    )
    p.add_argument(
        "--verify",
        type=bool,
        default=False,
        help="Detect changed audio by its content; by default by size and modification time.",
    )
    p.add_argument(
        "--trust",
        type=Names,
        default=[],
        help="Modules outside semisupcon whose classes a checkpoint may name.",
    )
    p.add_argument(
        "--log",
        type=bool | str,
        default="csv",
        help="Logger in addition to the files in --out: wandb (or true), tensorboard, csv or false.",
    )
    p.add_argument("--project", type=str, default="semisupcon", help="Project of the wandb run.")
    p.add_argument("--group", type=str | None, default=None, help="Group of the wandb run.")
    p.add_argument("--tags", type=list[str], default=[], help="Tags of the wandb run: [a,b].")
    about = "One or several Lightning loggers by class path, with options: --logger CLASS --logger.OPTION VALUE."
    if _speaks_of_loggers(words):  # Importing Lightning takes seconds.
        from pytorch_lightning.loggers import Logger

        p.add_argument("--logger", type=Logger | list[Logger] | None, default=None, help=about)
    else:
        p.add_argument("--logger", type=str | None, default=None, help=about)
    return p


def _speaks_of_loggers(words: Sequence[str]) -> bool:
    files = [Path(path) for path in take_configs(list(words))[0]]
    return any(word.startswith("--logger") for word in words) or any(
        "logger" in f.read_text("utf-8", "replace") for f in files if f.is_file()
    )


def main(args: list[str] | None = None) -> int:
    """Run the probes. Returns the exit status: 0, or 2 after a user error."""
    args = sys.argv[1:] if args is None else args
    try:
        read = parser(args)
        options = read.parse_args(gather_task_options(args))
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        from semisupcon.commands.probe_logging import ProbeLoggers
        from semisupcon.plots import require_matplotlib
        from semisupcon.probing.report.write import write_report
        from semisupcon.probing.suite import run, score_saved_head

        # Check before hours of probing.
        require_matplotlib()
        check_output(Path(options.out), options.overwrite)
        built = read.instantiate(options)
        given = built.logger if isinstance(built.logger, list) else [built.logger]
        loggers = ProbeLoggers(options, [logger for logger in given if logger])
        suite = make_suite(options, built)
        # One suite at a time writes results, predictions, heads and report; embeddings are shared.
        with folder_lock(suite.out, "probe suite", "give another --out"):
            results = score_saved_head(suite) if suite.head else run(suite)
            command, date = (
                shlex.join(["probe.py", *args]),
                datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
            )
            print(write_report(results.rows, suite.out, suite.resamples, command, date))
        loggers.log(results.rows, suite.resamples)
        print(f"\nAll numbers, tables and figures: {suite.out}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def check_output(out: Path, overwrite: bool) -> None:
    """Check that results can be written and that files of other programs are kept.

    Raises:
        UserError: if the folder is not writable, or has files with these names that no probe wrote.
    """
    from semisupcon.probing.report.write import REPORTS
    from semisupcon.probing.scores.results import RESULTS, ROBUSTNESS, Results

    check_folder(out)
    known = False
    for file in (out / RESULTS, out / ROBUSTNESS):
        try:
            # A results file also counts as ours if all its predictions are gone, so that no row is
            # valid.
            known |= bool(Results(file).rows) or (file.is_file() and (out / "predictions").is_dir())
        except UserError:
            if not overwrite:
                raise
            file.unlink()
    if not known:
        refuse_existing([out / name for name in REPORTS], overwrite)


def gather_task_options(args: list[str]) -> list[str]:
    """Join the options ``--task_kwargs.TASK.OPTION VALUE`` of each task into one dictionary
    argument for the parser.
    """
    rest: list[str] = []
    given: dict[str, dict[str, Any]] = {}
    args = list(args)
    while args:
        option, equals, value = args.pop(0).partition("=")
        _, *path = option.split(".", 2)
        if not option.startswith("--task_kwargs.") or len(path) < 2:
            rest.append(option + equals + value)
            continue
        if not equals and (not args or args[0].startswith("--")):
            raise ConfigError(f"{option} needs a value.")
        given.setdefault(path[0], {})[path[1]] = marked(
            read_scalars(value if equals else args.pop(0))
        )
    return rest + [f"--task_kwargs.{task}={json.dumps(options)}" for task, options in given.items()]


def make_suite(options: Any, built: Any) -> "Suite":
    """Build the suite from the parsed options; ``built`` holds the objects that the parser
    instantiated.
    """
    from semisupcon.commands.device import device_of
    from semisupcon.commands.probe_numbers import check_probe_numbers
    from semisupcon.commands.ranges import GREAT
    from semisupcon.files import cache_folder
    from semisupcon.outputs import check_writable_folder
    from semisupcon.probing.embeddings.embedder import Embedder
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
        head=Path(options.head) if options.test_only else None,
        resamples=options.resamples,
        trust=tuple(listed(options.trust)),
    )


def listed(given: Any) -> list:
    """A list, a single value, or comma-separated values, as a list."""
    items = given if isinstance(given, list) else [given]
    return [
        at_home(part)
        for item in items
        for part in (item.split(",") if isinstance(item, str) else [item])
        if part != ""
    ]
