"""Memory and speed of ``semisupcon predict`` for many short files and for a long one.

    python -m benchmarks.labels [--check] [--files 10000] [--hours 3] [--folder DIR] [--tiny]

Writes files of one second and one recording of noise to a temporary folder, and predicts them with an
untrained SampleCNNSmall and a head of 50 tags: per file, and in windows of one second every half
second. Each runs in a process of its own. Memory is the peak resident size over the size with the
model loaded; the bar is 600 MB. Then the encoder alone runs on as many segments in the same batches,
without files; its seconds are printed without a bar.
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
from benchmarks.chunks import status
from benchmarks.embed_memory import MB, write_noise
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
    """An exported encoder, and a head of 50 tags on it."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(sample_rate=RATE, segment_samples=RATE)
    export_encoder(encoder, folder / "encoder")
    subject = load_subject(str(folder / "encoder"))
    about = {"classes": [f"tag {i}" for i in range(TAGS)], "encoder": subject.fingerprint()}
    head = new_head("linear", subject.encoder.embedding_dim, TAGS, "multilabel")
    save_head(head, folder / "head.safetensors", about)


def measure(folder: str, audio: str, per: str) -> dict[str, float]:
    """MB over the loaded model, and seconds, of predicting in this process."""
    keep_freed_memory()
    encoder = load_subject(f"{folder}/encoder")
    before = status("VmRSS")
    del encoder
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts again
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
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.labels", "--case", *case]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["status"]:
        raise RuntimeError(done.stderr)
    return found


def encoder_seconds(folder: Path, segments: int) -> float:
    """Seconds of the encoder alone on this number of segments, in the batches of ``predict``."""
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
    """Print a line per case and the results; 1 when ``--check`` finds a bar missed."""
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
