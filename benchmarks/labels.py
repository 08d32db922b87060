"""Measure the memory and speed of ``semisupcon predict`` on many short files and on a long one.

    python -m benchmarks.labels [--check] [--files 10000] [--hours 3] [--folder DIR] [--tiny]

Files of one second and one long recording are written to a temporary folder; both contain noise.
An untrained SampleCNNSmall with a head of 50 tags predicts the labels. There are three cases: the
short files, the long recording as one file, and the long recording in windows of one second every
half second. Each case runs in a separate process.

The memory of a case is the highest resident size of its process minus the size after loading the
model. The limit is 600 MB. For comparison, the encoder alone processes the same number of segments
in the same batches without reading files; its seconds have no limit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.embed_memory import MB, write_noise
from benchmarks.memory import reset_peak, status
from semisupcon.__main__ import main as semisupcon
from semisupcon.checkpoints import export_encoder, load_encoder
from semisupcon.embedding import default_batch, frozen
from semisupcon.encoders import SampleCNNSmall
from semisupcon.memory import keep_freed_memory
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.head import new_head, save_head

RATE, MOST_MB, TAGS = 16_000, 600, 50
WINDOWS = ("--per", "window", "--window", "1.0", "--hop", "0.5")


def write_model(folder: Path) -> None:
    """Export an untrained encoder to ``encoder`` and save a head of 50 tags for it."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(sample_rate=RATE, segment_samples=RATE)
    export_encoder(encoder, folder / "encoder")
    subject = load_subject(str(folder / "encoder"))
    about = {"classes": [f"tag {i}" for i in range(TAGS)], "encoder": subject.fingerprint()}
    head = new_head("linear", subject.encoder.embedding_dim, TAGS, "multilabel")
    save_head(head, folder / "head.safetensors", about)


def measure(folder: str, audio: str, per: str) -> dict[str, float]:
    """Run ``semisupcon predict`` in this process and measure it.

    Args:
        folder: folder with the encoder and the head; the predictions are written to it.
        audio: file or folder to predict.
        per: ``"file"`` or ``"window"``.

    Returns:
        ``mb``: the highest memory minus the memory after loading the model; ``seconds``: time of
        the command; ``status``: its exit status; ``rows``: number of rows written.
    """
    keep_freed_memory()
    encoder = load_subject(f"{folder}/encoder")
    before = status("VmRSS")
    del encoder
    reset_peak()
    started = time.perf_counter()
    out = Path(folder) / f"out-{os.getpid()}.csv"
    words = ["predict", audio, "--checkpoint", f"{folder}/encoder", "--device", "cpu"]
    words += ["--head", f"{folder}/head.safetensors", "--out", str(out)]
    state = semisupcon([*words, *(WINDOWS if per == "window" else ())])
    seconds, mb = time.perf_counter() - started, MB * (status("VmHWM") - before)
    rows = sum(1 for _ in out.open()) - 1
    out.unlink()
    return {"mb": mb, "seconds": seconds, "status": state, "rows": rows}


def apart(*case: str) -> dict[str, float]:
    """Call `measure` with these arguments in a separate process.

    Raises:
        RuntimeError: if the process or the command in it fails.
    """
    command = [sys.executable, "-m", "benchmarks.labels", "--case", *case]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["status"]:
        raise RuntimeError(done.stderr)
    return found


def encoder_seconds(folder: Path, segments: int) -> float:
    """Run only the encoder, in batches of the size that ``predict`` uses; return the seconds."""
    encoder = load_encoder(folder / "encoder")
    size = default_batch(RATE, "cpu")
    batch = 0.1 * torch.randn(size, 1, RATE)
    with frozen(encoder):
        encoder(batch)
        started = time.perf_counter()
        for i in range(0, segments, size):
            encoder(batch[: segments - i])
    return time.perf_counter() - started


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000, help="files of one second")
    parser.add_argument("--hours", type=float, default=3, help="length of the recording")
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument("--tiny", action="store_true", help="20 files and a recording of 36 s")
    parser.add_argument("--case", nargs=3, metavar=("FOLDER", "AUDIO", "PER"))
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(args)
    if options.case:
        print(json.dumps(measure(*options.case)))
        return 0
    files, hours = (20, 0.01) if options.tiny else (options.files, options.hours)
    bars = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        os.environ["SEMISUPCON_CACHE"] = str(folder / "cache")
        write_model(folder)
        (folder / "short").mkdir()
        draw = np.random.default_rng(0)
        for i in range(files):
            place = folder / "short" / f"{i // 1000:03d}"
            place.mkdir(exist_ok=True)
            sf.write(place / f"{i:06d}.wav", 0.1 * draw.standard_normal(RATE), RATE)
        write_noise(folder / "long.flac", 60 * hours)
        seconds = sf.info(folder / "long.flac").duration
        for audio, per, segments in (
            ("short", "file", files),
            ("long.flac", "file", round(seconds)),
            ("long.flac", "window", round(2 * seconds)),
        ):
            found = apart(str(folder), str(folder / audio), per)
            alone = encoder_seconds(folder, segments)
            what = f"{files} files" if audio == "short" else f"{seconds / 3600:.3g} hours"
            print(
                f"{what} per {per}: {found['mb']:.0f} MB, {found['seconds']:.1f} s, "
                f"{segments / found['seconds']:.0f} segments a second, {found['rows']:.0f} rows; "
                f"the encoder alone takes {alone:.1f} s",
                flush=True,
            )
            bars.append(Bar(f"mb_{what}_per_{per}".replace(" ", "_"), found["mb"], MOST_MB, "<="))
        met = all_met(bars)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
