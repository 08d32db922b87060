"""Test how the commands treat unusual files.

Each file of `benchmarks.odd_inputs` is added to twenty good clips in two class folders. The
commands pretrain, pack, embed, probe and data check then run on the folder. The result is a table
with one row per file and one column per command.

``python -m benchmarks.odd_files --out docs/odd_files.md`` writes the table of the documentation.
``--check`` gives exit status 1 if commands differ on a file or behave in an unexpected way.
``--tiny`` tests five files.
"""

import argparse
import contextlib
import io
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from benchmarks.odd_inputs import ALL, FORMATS, HEADERS, LENGTHS, NAMES, NO_AUDIO, RATE, VALUES, Odd
from semisupcon.__main__ import main as semisupcon
from semisupcon.audio import listing
from semisupcon.files import write_text
from semisupcon.paths import text_of

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("pretrain", "pack", "embed", "probe", "data check")
PARTS = {
    "Values that no audio has, and silence": VALUES,
    "Lengths that are missing or wrong": LENGTHS,
    "Headers": HEADERS,
    "Formats": FORMATS,
    "Files that are no audio": NO_AUDIO,
    "Names, links and folders": NAMES,
}
TINY = ("nan.wav", "opposite.wav", "untagged.mp3", "a.m4a", "again")
# Options of pretraining and packing. A few training steps are enough to read every file.
DATA = {
    "data_dir": None,
    "target_sample_rate": RATE,
    "target_length": 0.2,
    "batch_size": 4,
    "num_workers": 0,
    "val_split": 0.2,
}
DATA |= {"max_bad": 0.5}
TRAINING = {
    "config": ROOT / "config" / "pretraining" / "pretrain_ssl.yaml",
    "model.encoder": "SampleCNNSmall",
    "model.encoder.widths": [8, 8, 16],
    "model.encoder.stem": 9,
    "model.encoder.sample_rate": RATE,
    "trainer.accelerator": "cpu",
    "trainer.max_steps": 2,
    "trainer.max_epochs": -1,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "data.aug_list": ["gain"],
    "draw_every": 0,
}
REASON = r"\(((?:[^()]|\([^()]*\))*)\)"


def options(values: dict) -> list[str]:
    """Convert options to a command line."""
    return [
        part
        for name, value in values.items()
        for part in (f"--{name}", str(value).replace("'", ""))
    ]


def good_clips(folder: Path) -> None:
    """Write twenty clips of one second into two class folders."""
    rng = np.random.default_rng(1)
    for name, pitch in (("low", 200), ("high", 900)):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            tone = np.sin(2 * np.pi * pitch * (1 + i / 50) * np.arange(RATE) / RATE)
            sf.write(
                folder / name / f"{i}.wav", 0.3 * tone + 0.05 * rng.standard_normal(RATE), RATE
            )


def said(command: list[str]) -> tuple[int, str]:
    """Run a command, and return its exit status and its output."""
    listing._told.clear()  # Forget earlier messages, as in a new process.
    text = io.StringIO()
    handler, root = logging.StreamHandler(text), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            status = semisupcon(command)
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 1
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return status, text.getvalue()


def runs(folder: Path, work: Path, run: Path) -> dict[str, Callable[[], tuple[int, str]]]:
    """Return a function per command, by name, that runs the command on a folder."""
    data = options(
        {f"data.{name}": folder if name == "data_dir" else value for name, value in DATA.items()}
    )
    probe = {
        "tasks": "pitch=class_folders",
        "data_dirs.pitch": folder,
        "checkpoints": run,
        "methods": "knn",
        "on_error": "skip",
    }
    probe |= {
        "out": work / "probe",
        "cache_dir": work / "cache",
        "projection": "none",
        "resamples": 10,
    }
    return {
        "pretrain": lambda: said(
            ["pretrain", *options(TRAINING), *data, "--ckpt_path", str(work / "runs")]
        ),
        "pack": lambda: said(["pack", *data, "--out", str(work / "packed")]),
        "embed": lambda: said(
            [
                "embed",
                str(folder),
                "--checkpoint",
                str(run),
                "--per",
                "second",
                "--device",
                "cpu",
                "--out",
                str(work / "e.npy"),
            ]
        ),
        "probe": lambda: said(["probe", *options(probe)]),
        "data check": lambda: said(
            ["data", "check", "class_folders", "--data_dir", str(folder), "--max_unreadable", "1"]
        ),
    }


def outcome(name: str, status: int, text: str) -> str:
    """Describe how a command has treated a file, according to the output of the command.

    Args:
        name: name of the file.
        status: exit status of the command.
        text: output of the command.
    """
    name = text_of(name)
    if "Traceback" in text or status not in (0, 1, 2):
        return "fails"
    found = re.search(rf"{re.escape(name)} {REASON}", text) or re.search(
        rf"left out \S*{re.escape(name)}: (.*)", text
    )
    # The headings of a report before the name of the file.
    headings = re.findall(r"^(\w[^\n:]*):", text[: found.start()] if found else "", re.MULTILINE)
    if found and headings[-1:] != ["Clipped"]:
        counted = "are used unchanged" in text
        return f"{'counted' if counted else 'left out'}: {found[1]}"
    if re.search(rf"^Silent: \d+\n(?:  .*\n)*?  \S*{re.escape(name)}$", text, re.MULTILINE):
        return "left out: silence only"
    if name in text and re.search("could not be read", text):
        return "left out"
    if status == 2:
        return f"refused: {next((line for line in text.splitlines() if line.startswith('error')), text.splitlines()[-1])}"
    if "formats that cannot be decoded" in text:
        return "counted, and named with the command that converts it"
    if told := re.search(
        r"In \S+: ((?:left out|passed over|did not follow) .*?)(?: \(|$)", text, re.MULTILINE
    ):
        return f"counted: {told[1]}"
    return "used"


def seconds_in(work: Path, name: str) -> dict[str, float]:
    """Return how many seconds of a file were packed and embedded, by command."""
    found = {}
    if (index := work / "packed" / "clips.parquet").exists():
        table = pd.read_parquet(index)
        mine = table[table["name"].str.endswith(text_of(name))]
        found["pack"] = float((mine["frames"] / mine["sample_rate"]).sum())
    if (names := work / "e.csv").exists():
        found["embed"] = float(pd.read_csv(names)["file"].str.endswith(text_of(name)).sum())
    return found


def try_out(odd: Odd, run: Path) -> dict[str, str]:
    """Return a row of the table: how each command treats a file."""
    with tempfile.TemporaryDirectory() as place:
        folder, work = Path(place) / "audio", Path(place) / "work"
        good_clips(folder)
        path = folder / "low" / odd.name
        path.parent.mkdir(exist_ok=True)
        odd.make(path)
        row = {}
        for command, start in runs(folder, work, run).items():
            row[command] = outcome(odd.name, *start())
        for command, seconds in seconds_in(work, odd.name).items():
            if row[command] == "used":
                row[command] = f"used, {seconds:.1f} s" if seconds else "not used"
    return row


def agrees(odd: Odd, row: dict[str, str]) -> bool:
    """Return whether all commands use a file completely, or no command uses it."""
    if not odd.seconds:
        return not any(cell.startswith(("used", "fails", "refused")) for cell in row.values())
    lengths = [float(cell[6:-2]) for cell in row.values() if cell.startswith("used, ")]
    return all(cell.startswith("used") for cell in row.values()) and all(
        abs(s - odd.seconds) <= 1 for s in lengths
    )


def table(rows: dict[str, dict[str, str]]) -> str:
    """Return the tables of the documentation, one per group of files."""
    lines = []
    for title, inputs in PARTS.items():
        if not (tried := [odd for odd in inputs if odd.name in rows]):
            continue
        lines += [
            "",
            f"## {title}",
            "",
            f"| file | what it is | {' | '.join(COMMANDS)} |",
            "|---" * (2 + len(COMMANDS)) + "|",
        ]
        for odd in tried:
            cells = [rows[odd.name][command].replace("|", "/") for command in COMMANDS]
            shown = [cells[0], *("the same" if cell == cells[0] else cell for cell in cells[1:])]
            lines.append(f"| `{odd.name}` | {odd.what} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def main(args: list[str] | None = None) -> int:
    """Test the files and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="five inputs")
    parser.add_argument("--only", nargs="*", help="these inputs")
    parser.add_argument("--check", action="store_true")
    parser.add_argument(
        "--out",
        type=Path,
        help="docs file whose tables are replaced, from its first heading of the second level on",
    )
    given = parser.parse_args(args)
    names = given.only or (TINY if given.tiny else [odd.name for odd in ALL])
    with tempfile.TemporaryDirectory() as place:
        os.environ["SEMISUPCON_CACHE"] = str(Path(place) / "cache")
        good_clips(Path(place) / "audio")
        status, text = runs(Path(place) / "audio", Path(place), Path())["pretrain"]()
        if status:
            raise RuntimeError(text)
        (run,) = (Path(place) / "runs").iterdir()
        rows, wrong = {}, []
        for odd in (odd for odd in ALL if odd.name in names):
            rows[odd.name] = try_out(odd, run)
            wrong += [] if agrees(odd, rows[odd.name]) else [odd.name]
            print(
                odd.name.encode("ascii", "backslashreplace").decode(),
                rows[odd.name],
                file=sys.stderr,
                flush=True,
            )
    print(table(rows))
    if given.out:
        before = (
            given.out.read_text().split("\n## ")[0]
            if given.out.exists()
            else "# What becomes of odd files\n"
        )
        write_text(given.out, before.rstrip() + "\n" + table(rows))
    print("Commands differ, or do other than expected:", ", ".join(wrong) or "nowhere")
    print(f"RESULT odd_inputs_of_one_verdict {len(rows) - len(wrong)} {len(rows)}")
    return 1 if given.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
