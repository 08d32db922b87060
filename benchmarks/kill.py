"""Fifty SIGKILLs while a real run saves: is any folder left that cannot be loaded and resumed?

A small semi-supervised run saves after every step, some 25 MB at a time, and validates every third. It is killed at moments spread over the
save, from before its first byte to after its last rename, and resumed with ``--resume_from_checkpoint last``, until all kills are spent. After
every kill each file under a final name must load, a checkpoint to resume must be found, and no finished save may be lost. In the end the
run, once more resumed, must equal one that nobody disturbed. Processes are forked from one that has imported everything.
Run ``python -m benchmarks.kill --check``.
"""

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml

from benchmarks.bars import Bar, all_met
from semisupcon import load_encoder
from semisupcon.checkpoints import LAST, read_checkpoint
from semisupcon.commands.pretrain import main as pretrain
from semisupcon.errors import CheckpointError
from semisupcon.training import callbacks
from semisupcon.training.runs import newest_checkpoint

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {
    "config": ROOT / "config" / "pretraining" / "pretrain_smsl.yaml",
    "model.encoder": "SampleCNNSmall",
    "model.encoder.widths": [8, 8, 512],
    "model.encoder.stem": 9,
    "model.encoder.sample_rate": 8000,
    "model.criterion.projector": "ProjectionHead",
    "model.criterion.projector.widths": [3072, 128],
    "data.sl_task": "fsdd_digit",
    "data.target_sample_rate": 8000,
    "data.target_length": 0.2,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "data.val_split": 0.2,
    "data.aug_list": ["gain", "add_colored_noise"],
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": -1,
    "trainer.check_val_every_n_epoch": "null",
    "trainer.val_check_interval": 3,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "draw_every": 0,
}


def make_clips(root: Path) -> Path:
    """A folder laid out like FSDD: noisy tones of half a second at 8 kHz."""
    (root / "recordings").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for digit, speaker, repetition in itertools.product(range(3), ("ann", "bob"), range(10)):
        tone = np.sin(2 * np.pi * (300 + 200 * digit) * np.arange(4000) / 8000)
        audio = 0.3 * tone + 0.05 * rng.standard_normal(4000)
        soundfile.write(root / "recordings" / f"{digit}_{speaker}_{repetition}.wav", audio, 8000)
    return root


def start(data: Path, runs: Path, *more: str) -> tuple[int, int]:
    """A forked process that trains; its id, and a pipe that says ``s`` when a save begins and ``e`` when it has ended."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return pid, reading
    with (runs.parent / "log.txt").open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    save = callbacks.save_atomically

    def announced(content, path):
        os.write(writing, b"s")
        save(content, path)
        os.write(writing, b"e")

    callbacks.save_atomically = announced
    options = [part for name, value in OPTIONS.items() for part in (f"--{name}", str(value))]
    os._exit(pretrain([*options, "--data.data_dir", str(data), "--ckpt_path", str(runs), *more]))


def finish(data: Path, runs: Path, *more: str) -> list[float]:
    """Run to the end; the seconds that each save took."""
    pid, pipe = start(data, runs, *more)
    times = [time.perf_counter() for _ in iter(lambda: os.read(pipe, 1), b"")]
    os.close(pipe)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f"The run ended badly; it said: {(runs.parent / 'log.txt').read_text()[-2000:]}")
    return [end - begin for begin, end in itertools.pairwise(times)][::2]


def kill_in_save(data: Path, runs: Path, number: int, delay: float, *more: str) -> tuple[int, bool]:
    """Kill a run so many seconds into its save of that number; how many saves had ended, and whether that one was under way."""
    pid, pipe = start(data, runs, *more)
    said = b""
    while said.count(b"s") < number:
        if not (letter := os.read(pipe, 1)):
            raise SystemExit(f"The run ended by itself; it said: {(runs.parent / 'log.txt').read_text()[-2000:]}")
        said += letter
    until = time.perf_counter() + delay
    while time.perf_counter() < until:  # Sleeping is less exact than a save is short.
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    said += b"".join(iter(lambda: os.read(pipe, 64), b""))
    os.close(pipe)
    return said.count(b"e"), said.endswith(b"s")


def faults(runs: Path, at_least: int) -> list[str]:
    """What is wrong with the folder of runs: a file that cannot be read, nothing to resume, or a finished save that is lost."""
    found = []
    for path in runs.glob("*/*.ckpt"):
        try:
            read_checkpoint(path)
            load_encoder(path)
        except CheckpointError as error:
            found.append(str(error))
    for path in (*runs.glob("*/*.json"), *runs.glob("*/*.yaml")):
        try:
            (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text())
        except ValueError as error:
            found.append(f"{path}: {error}")
    try:
        step = read_checkpoint(newest_checkpoint(runs))["global_step"]
        if step < at_least:
            found.append(f"step {step} is resumed, though step {at_least} was saved")
    except CheckpointError as error:
        found.append(str(error))
    return found


def same(a: object, b: object) -> bool:
    """Whether two parts of checkpoints are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def main() -> int:
    """Kill and check; 1 when ``--check`` finds a bar missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)

    with tempfile.TemporaryDirectory() as folder:
        data, runs = make_clips(Path(folder) / "clips"), Path(folder) / "runs"
        runs.mkdir()
        undisturbed = finish(data, Path(folder) / "trial", "--run_name", "a", "--save_every", "1", "--trainer.max_steps", "4")
        size = (Path(folder) / "trial" / "a" / LAST).stat().st_size
        window = statistics.median(undisturbed)
        print(f"{options.kills} kills over saves of {size / 1e6:.0f} MB, {1e3 * window:.0f} ms each", flush=True)

        # From the first moment of a save to a fifth after it, in mixed order; the first run is left one whole checkpoint.
        delays = [1.2 * window * (i + draw.random()) / options.kills for i in range(options.kills)]
        draw.shuffle(delays)
        how, inside, written, unloadable, step = ("--run_name", "killed"), 0, [], 0, 0
        for number, delay in enumerate(delays):
            which = draw.choice([2, 3])
            ended, under_way = kill_in_save(data, runs, which, delay, *how, "--save_every", "1", "--trainer.max_steps", "100000")
            how = ("--resume_from_checkpoint", "last")
            # Validation saves a step again, and perhaps as the best: of two saves one is at least a new step.
            found = faults(runs, step + (ended > 0))
            partial = [path.stat().st_size / size for path in runs.glob("*/.*.partial")]
            written += partial
            inside += under_way
            unloadable += bool(found)
            step = read_checkpoint(newest_checkpoint(runs))["global_step"] if not found else step
            print(f"{number + 1:>3}  {1e3 * delay:>5.0f} ms into save {which}, step {step}: {'; '.join(found) or 'whole'}", flush=True)
        most_partial = max(1, len(list(runs.glob("*/.*.partial"))))

        steps = str(step + 2)
        finish(data, runs, *how, "--save_every", "0", "--trainer.max_steps", steps)
        left = len(list(runs.glob("*/.*.partial")))
        finish(data, Path(folder) / "whole", "--run_name", "whole", "--save_every", "0", "--trainer.max_steps", steps)
        ours, theirs = (read_checkpoint(path) for path in (runs / "killed" / LAST, Path(folder) / "whole" / "whole" / LAST))
        equal = all(same(ours[part], theirs[part]) for part in ("state_dict", "optimizer_states", "global_step"))

    quarters = np.histogram(written, bins=[0, 0.25, 0.5, 0.75, 1.01])[0]
    print(f"half-written files after a kill, by how much of them was written, in quarters: {quarters.tolist()}")
    results = [
        Bar("unloadable_folders", unloadable, 0, "<="),
        Bar("kills_inside_a_save", inside, options.kills // 2),
        Bar("half_written_files_kept", most_partial - 1 + left, 0, "<="),
        Bar("equal_to_the_undisturbed_run", int(equal), 1),
    ]
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
