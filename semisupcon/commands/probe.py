"""`probe.py`: tasks by checkpoints by methods, with one line of settings each; `python probe.py --help` lists them."""

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
    """The options of the command; ``--logger`` among them where the command line, or a file that it names, speaks of one."""
    p = TypedParser(prog="python -m semisupcon probe", description="What a frozen representation is worth.")
    p.recipes = PROBING
    p.add_argument("--config", action=ActionConfigFile, help="Protocol or YAML with any of these options; the command line wins.")
    p.add_argument("--tasks", "--task", type=Names, required=True, help="Data sets to probe on: [a,b], or [name=a] to call one otherwise.")
    p.add_argument(
        "--checkpoints",
        "--checkpoint",
        type=Names,
        required=True,
        help="Checkpoints, run folders, exported models, class paths, random.",
    )
    p.add_argument("--methods", "--method", type=Names, default="linear", help=f"{', '.join(METHODS)}, or the import path of your own.")
    p.add_argument("--data_root", type=str | None, default=None, help="Folder that holds a folder of each task's name.")
    p.add_argument("--data_dirs", type=dict[str, str], default={}, help="--data_dirs.TASK PATH: the folder of one task.")
    p.add_argument("--task_kwargs", type=dict[str, Any], default={}, help="--task_kwargs.TASK.OPTION VALUE: a data set's own options.")
    p.add_argument(
        "--out", type=str, default="runs/probe", help="Folder of results.csv, predictions and heads; run again to go on where it stopped."
    )
    p.add_argument("--overwrite", action="store_true", help="Replace files in --out that another program wrote under the same names.")
    p.add_argument(
        "--cache_dir", type=str | None, default=None, help="Where embeddings are kept for all runs; by default in the user's cache."
    )
    p.add_argument(
        "--representations",
        "--representation",
        type=Names,
        default="embedding",
        help="embedding, projection, or a part of the encoder.",
    )
    p.add_argument("--seeds", type=Numbers, default=[0], help="One probe each; random encoders are drawn anew.")
    p.add_argument("--train_share", type=float, default=1.0, help="Share of the training clips (nested, every class kept).")
    p.add_argument("--calibrate_random", type=bool, default=True, help="Give random encoders batch-norm statistics of the training clips.")
    p.add_argument("--shuffle_labels", type=bool, default=False, help="Control: training labels dealt out anew must give chance.")
    p.add_class_arguments(Settings)
    p.add_class_arguments(FineTuning, "finetune")
    p.add_argument("--projection", type=str, default="tsne", help="Map of the test embeddings in the report: tsne, umap or none.")
    p.add_argument("--colour_by", type=str | None, default=None, help="Column of the annotations that colours it; by default the class.")
    p.add_argument("--robustness", type=Names, default=[], help="Corrupt the test audio: severity, only, plus, tiers.")
    p.add_argument("--invariance", type=Names, default=[], help="Operators whose effect on the embedding is measured.")
    p.add_argument(
        "--invariance_noise", type=float | None, default=None, help="White noise under both sides of that comparison, dB to full scale."
    )
    p.add_argument("--test_only", action="store_true", help="Train nothing: score the test clips with --head.")
    p.add_argument("--head", type=str | None, default=None, help="A saved head (heads/*.safetensors of an earlier run).")
    p.add_argument("--resamples", type=int, default=1000, help="Bootstrap resamples of the test tracks.")
    p.add_argument(
        "--batch_size",
        type=int | None,
        default=None,
        help="Segments in a forward pass of the encoder; by default 32 on a GPU, on a CPU as many as hold 400,000 samples.",
    )
    p.add_argument("--device", type=str, default="auto", help="cpu, cuda, or auto.")
    p.add_argument("--on_error", type=str, default="fail", help="fail or skip: what to do with audio that cannot be read.")
    p.add_argument(
        "--verify", type=bool, default=False, help="Read all audio to tell whether it has changed; else by size and time of change."
    )
    p.add_argument("--trust", type=Names, default=[], help="Modules whose classes a checkpoint may name.")
    p.add_argument(
        "--log", type=bool | str, default="csv", help="Where results go beside --out: wandb (also: true), tensorboard, csv or false."
    )
    p.add_argument("--project", type=str, default="semisupcon", help="Project of the wandb run.")
    p.add_argument("--group", type=str | None, default=None, help="Group of the wandb run.")
    p.add_argument("--tags", type=list[str], default=[], help="Tags of the wandb run: [a,b].")
    about = "Lightning loggers by class path, one or several, with options: --logger CLASS --logger.OPTION VALUE."
    if _speaks_of_loggers(words):  # Lightning takes seconds to import.
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
    """Probe; returns the exit status, 2 after a mistake in the input."""
    args = sys.argv[1:] if args is None else args
    try:
        read = parser(args)
        options = read.parse_args(gather_task_options(args))
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        from semisupcon.commands.probe_logging import ProbeLoggers
        from semisupcon.plots import require_matplotlib
        from semisupcon.probing.report.write import write_report
        from semisupcon.probing.suite import run, score_saved_head

        # Now, and not after hours of probing.
        require_matplotlib()
        check_output(Path(options.out), options.overwrite)
        built = read.instantiate(options)
        given = built.logger if isinstance(built.logger, list) else [built.logger]
        loggers = ProbeLoggers(options, [logger for logger in given if logger])
        suite = make_suite(options, built)
        # Results, predictions, heads and report are of one suite at a time; embeddings are shared.
        with folder_lock(suite.out, "probe suite", "give another --out"):
            results = score_saved_head(suite) if suite.head else run(suite)
            command, date = shlex.join(["probe.py", *args]), datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
            print(write_report(results.rows, suite.out, suite.resamples, command, date))
        loggers.log(results.rows, suite.resamples)
        print(f"\nAll numbers, tables and pictures: {suite.out}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def check_output(out: Path, overwrite: bool) -> None:
    """See to it that results can be written, and that nothing of another program is replaced.

    Raises:
        UserError: if the folder cannot be written, or files of these names are there that no probe wrote.
    """
    from semisupcon.probing.report.write import REPORTS
    from semisupcon.probing.scores.results import RESULTS, ROBUSTNESS, Results

    check_folder(out)
    known = False
    for file in (out / RESULTS, out / ROBUSTNESS):
        try:
            # Also where all its predictions are gone, so that it counts for nothing.
            known |= bool(Results(file).rows) or (file.is_file() and (out / "predictions").is_dir())
        except UserError:
            if not overwrite:
                raise
            file.unlink()
    if not known:
        refuse_existing([out / name for name in REPORTS], overwrite)


def gather_task_options(args: list[str]) -> list[str]:
    """Several ``--task_kwargs.TASK.OPTION VALUE`` of one task as the one dictionary that the parser understands."""
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
        given.setdefault(path[0], {})[path[1]] = marked(read_scalars(value if equals else args.pop(0)))
    return rest + [f"--task_kwargs.{task}={json.dumps(options)}" for task, options in given.items()]


def make_suite(options: Any, built: Any) -> "Suite":
    """The suite that the options describe; ``built`` holds their objects."""
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
            raise ConfigError(f"--{name} names nothing.")
    if options.test_only != (options.head is not None):
        raise ConfigError("--test_only and --head PATH belong together.")
    check_writable_folder(cache, "Give a folder for embeddings that can be written to with --cache_dir.")
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
    """A list of what was given as a list, one value, or values with commas between."""
    items = given if isinstance(given, list) else [given]
    return [at_home(part) for item in items for part in (item.split(",") if isinstance(item, str) else [item]) if part != ""]
