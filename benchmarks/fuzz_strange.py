"""Targets of `benchmarks.fuzz` with well-formed files whose values have unexpected types or sizes.

Such files are not damaged by accident, but made by somebody else. Further targets are whole folders
of runs and results.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.forked import OPTIONS
from benchmarks.fuzz_parts import RATE, encoder_of, tone
from semisupcon.checkpoints import export_encoder
from semisupcon.commands.pretrain import main as pretrain
from semisupcon.commands.probe import main as probe
from semisupcon.data.packed.checks import HEADER, INDEX
from semisupcon.data.packed.checks import TARGETS as TARGETS_FILE
from semisupcon.digests import DIGEST, digest_of, read_json, with_digest
from semisupcon.errors import UserError

# The options of the other benchmarks, plus a projection head as one more part that is changed.
TRAINED = OPTIONS | {
    "model.criterion.projector": "ProjectionHead",
    "model.criterion.projector.widths": [3072, 128],
}

ODD = (
    None,
    True,
    -1,
    0,
    1,
    10**18,
    10**400,
    1e300,
    float("nan"),
    "",
    "x",
    "../x",
    "\0",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    "9" * 100,
)


def spoilt(value: Any, draw: random.Random) -> tuple[Any, str]:
    """Replace or remove one random value of nested plain values, in place.

    Returns the values and a description of the change.
    """
    places: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        for key, inner in (
            item.items()
            if isinstance(item, dict)
            else enumerate(item)
            if isinstance(item, list)
            else ()
        ):
            places.append((item, key))
            walk(inner)

    walk(value)
    container, key = draw.choice(places)
    if draw.random() < 0.2:
        del container[key]
        return value, f"{key!r} left out"
    container[key] = draw.choice(ODD)
    return value, f"{key!r} = {container[key]!r}"[:80]


def plain(content: Any) -> Any:
    """Return a copy of nested values in which mappings and sequences can be changed."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    return [plain(value) for value in content] if isinstance(content, list | tuple) else content


def spoil_checkpoint(folder: Path, draw: random.Random) -> str:
    path = next(folder.rglob("last.ckpt"))
    content, told = spoilt(plain(torch.load(path, weights_only=True)), draw)
    torch.save(content, path)
    return told


def spoil_json(name: str, sealed: bool = True) -> Callable[[Path, random.Random], str]:
    """Return a function that changes a value in a JSON file.

    Args:
        name: pattern of the file name.
        sealed: whether to write a valid digest for the changed content. If false, the file has no
            digest.
    """

    def spoil(folder: Path, draw: random.Random) -> str:
        path = draw.choice(sorted(folder.rglob(name)))
        content = json.loads(path.read_text())
        content.pop(DIGEST, None)
        content, told = spoilt(content, draw)
        path.write_text(json.dumps(with_digest(content) if sealed else content))
        return told

    return spoil


def spoil_index(folder: Path, draw: random.Random) -> str:
    """Change a value or column in the index of a packed set, and write valid digests for it."""
    table = pd.read_parquet(folder / INDEX)
    column = draw.choice(list(table))
    if draw.random() < 0.2:
        table = table.drop(columns=column)
    else:
        odd = draw.choice(
            (
                *(x for x in ODD if isinstance(x, str | bool) or x is None),
                -1,
                10**9,
                2**62,
                -(2**62),
                1.5,
            )
        )
        values = table[column].tolist()
        values[draw.randrange(len(values))] = odd
        table[column] = values if draw.random() < 0.5 else [odd] * len(values)
    try:
        table.to_parquet(folder / INDEX)
    except (ValueError, TypeError, OverflowError):  # Parquet cannot store this column.
        return "nothing"
    header = read_json(folder / HEADER) | {
        "index_digest": digest_of(folder / INDEX, folder / TARGETS_FILE)
    }
    (folder / HEADER).write_text(json.dumps(with_digest(header)))
    return f"column {column}"


def spoil_head(folder: Path, draw: random.Random) -> str:
    path = folder / "head.safetensors"
    with safe_open(path, framework="pt") as file:
        about, told = spoilt(json.loads(file.metadata()["head"]), draw)
    save_file(load_file(path), path, metadata={"head": json.dumps(about)})
    return told


# Targets that are whole folders of runs and results.


def make_run(folder: Path) -> None:
    """Train a run of two steps. Its clips are in another folder."""
    clips = folder.parent.parent / "digits"
    for i in range(12):
        (clips / "recordings").mkdir(parents=True, exist_ok=True)
        soundfile.write(
            clips / "recordings" / f"{i % 3}_{('ann', 'bob')[i % 2]}_{i}.wav",
            tone(i % 3, 0.3),
            RATE,
        )
    pretrain_on(clips, folder, "--run_name", "run", "--trainer.max_steps", "2")


def pretrain_on(clips: Path, runs: Path, *more: str) -> int:
    options = TRAINED | {
        "data.data_dir": clips,
        "ckpt_path": runs,
        "model.encoder.widths": [4, 8],
        "data.val_split": 0.25,
    }
    options |= {
        "model.criterion.projector.widths": [8, 4],
        "trainer.val_check_interval": 2,
        "trainer.log_every_n_steps": 1,
        "trainer.logger": "false",
    }
    return pretrain(
        [part for name, value in options.items() for part in (f"--{name}", str(value))] + list(more)
    )


def read_resumed(folder: Path) -> str:
    return exit_word(
        pretrain_on(
            folder.parent / "digits",
            folder,
            "--resume_from_checkpoint",
            str(folder / "run"),
            "--trainer.max_steps",
            "3",
        )
    )


def read_resumed_alone(folder: Path) -> str:
    """Resume a run without ``--config``, with the configuration in its folder."""
    return exit_word(
        pretrain(
            [
                "--resume_from_checkpoint",
                str(folder / "run"),
                "--ckpt_path",
                str(folder),
                "--trainer.max_steps",
                "3",
            ]
        )
    )


def make_results(folder: Path) -> None:
    clips = folder.parent.parent / "pitches"
    clips.mkdir(parents=True)
    lines = ["path,split,label"]
    for i in range(24):
        soundfile.write(clips / f"{i}.wav", tone(i % 2, 0.3), RATE)
        lines.append(
            f"{i}.wav,{('train', 'train', 'val', 'test')[i // 2 % 4]},{('low', 'high')[i % 2]}"
        )
    (clips / "labels.csv").write_text("\n".join(lines) + "\n")
    export_encoder(encoder_of(), folder / "model")
    read_results(folder)


def read_results(folder: Path) -> str:
    clips = next(
        p for p in (folder.parent / "pitches", folder.parent.parent / "pitches") if p.exists()
    )
    where = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={clips}",
        "--out",
        str(folder / "out"),
        "--cache_dir",
        str(folder / "cache"),
    ]
    return exit_word(
        probe(
            [
                *where,
                "--checkpoints",
                str(folder / "model"),
                "--methods",
                "[linear,knn]",
                "--resamples=10",
            ]
        )
    )


def exit_word(status: int) -> str:
    if status == 2:
        raise UserError("It was refused.")
    return str(status)
