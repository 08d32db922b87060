"""Options of ``semisupcon probe``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile

from semisupcon.commands.parsing import types  # noqa: F401, for the options of tasks
from semisupcon.commands.parsing.typed import TypedParser, take_configs
from semisupcon.probing.methods.base import FineTuning, Settings
from semisupcon.probing.methods.by_name import METHODS
from semisupcon.recipes import PROBING

Names = list[str] | str
Numbers = list[int] | int | str


def parser(words: Sequence[str] = ()) -> TypedParser:
    """Return the argument parser of ``semisupcon probe``.

    Args:
        words: the command line. If neither it nor one of its files contains the word "logger", the
            option ``--logger`` has no type, because its type requires the import of Lightning.
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
        help="Checkpoints, run folders, exported models, class paths, random, mfcc, logmel, "
        "chroma, opensmile, public models (docs/baselines.md).",
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
        "--label_budget",
        type=list[int | str] | int | str,
        default=[],
        help="Numbers of labels for further probes on few clips: [10,20,50,all]; the report has a curve of each encoder.",
    )
    p.add_argument(
        "--budget_draws",
        type=int,
        default=5,
        help="Draws of the labelled clips for each number of --label_budget.",
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
        help="Saved head (heads/*.safetensors of an earlier run), or folder of an imported "
        "checkpoint with a classifier.",
    )
    p.add_argument(
        "--head_classes",
        type=Names,
        default=[],
        help="Names of the outputs of an imported head, in their order: [a,b], or a text file "
        "with one per line; default: the order of the task.",
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
        help="Modules outside semisupcon whose classes --checkpoints and their files may name.",
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
