"""Measure the memory and speed of ``semisupcon embed`` for long files and for many files.

    python -m benchmarks.embed_memory [--check] [--minutes 10 60 600] [--files 100000] [--clips 500]
    [--folder DIR]

1. Long files: noise (stereo, 44.1 kHz, flac) of each length, and two hours of silence in eight
   channels, are embedded in separate processes, once per file and once per second. The memory is
   the peak resident size of the process minus its size with the model loaded. A narrow encoder is
   used, so that ten hours of audio take minutes; the shortest file is also embedded with SampleCNN.
2. Short clips: the time to embed them is compared with the time of the encoder alone.
3. Many tiny files are listed, scanned, and used for one training step.

The limits are 600 MB for files of any length, and 95 % of the time in the encoder for short clips.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.memory import reset_peak, status
from semisupcon.__main__ import main as semisupcon
from semisupcon.audio.listing import list_audio
from semisupcon.audio.scan import scan
from semisupcon.checkpoints import export_encoder, load_encoder
from semisupcon.embedding import default_batch, embed, frozen
from semisupcon.encoders import SampleCNN, SampleCNNSmall
from semisupcon.memory import keep_freed_memory

RATE, MOST_MB, SHARE = 44_100, 600, 0.95
SILENCE_MINUTES = 120
MB = 1024**2 / 1000**2  # MB per MiB


def write_noise(file: Path, minutes: float) -> None:
    """Write stereo noise, which repeats a block of 10 s.

    The noise has few different values, so that the flac file is small.
    """
    block = (np.random.default_rng(0).integers(-12, 12, (10 * RATE, 2)) * 64).astype(np.int16)
    with sf.SoundFile(file, "w", RATE, 2) as out:
        for _ in range(max(1, round(minutes * 6))):
            out.write(block)


def write_silence(file: Path, minutes: float) -> None:
    """Write silence with eight channels."""
    with sf.SoundFile(file, "w", 48_000, 8) as out:
        for _ in range(max(1, round(minutes * 6))):
            out.write(np.zeros((480_000, 8), np.int16))


def measure(model: str, audio: str, per: str) -> dict[str, float]:
    """Measure the memory (MB) and time (seconds) of embedding in this process.

    Args:
        model: folder of the encoder.
        audio: audio file.
        per: "file" or "second", for one embedding per file or per second.
    """
    keep_freed_memory()
    encoder = load_encoder(model)
    before = status("VmRSS")
    del encoder
    reset_peak()
    started = time.perf_counter()
    out = Path(audio).parent / f"out-{os.getpid()}.npy"
    state = semisupcon(
        ["embed", audio, "--checkpoint", model, "--out", str(out), "--per", per, "--device", "cpu"]
    )
    seconds, mb = time.perf_counter() - started, MB * (status("VmHWM") - before)
    for left in (out, out.with_suffix(".csv")):
        left.unlink(missing_ok=True)
    return {"mb": mb, "seconds": seconds, "status": state}


def apart(*case: str) -> dict[str, float]:
    """Run `measure` in a separate process."""
    command = [sys.executable, "-m", "benchmarks.embed_memory", "--case", *case]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def share_of_encoder(model: str, clips: Path, count: int, rounds: int) -> tuple[float, float]:
    """Measure the share of the encoder in the time to embed short clips.

    Returns the share and the clips per second, both as medians over rounds.
    """
    for i in range(count):
        write = np.random.default_rng(i).standard_normal(2 * 22_050) * 0.1
        sf.write(clips / f"{i:04d}.wav", write, 22_050)
    keep_freed_memory()
    encoder = load_encoder(model)
    files, size = sorted(clips.glob("*.wav")), default_batch(encoder.segment_samples, "cpu")
    shares, rates = [], []
    segment = torch.randn(count, 1, encoder.segment_samples) * 0.1
    for number in range(rounds + 1):  # round 0 warms up and is not counted
        started = time.perf_counter()
        with frozen(encoder):
            for batch in segment.split(size):
                encoder(batch)
        middle = time.perf_counter()
        embed(encoder, files)
        taken = time.perf_counter() - middle
        if number:
            shares.append((middle - started) / taken)
            rates.append(count / taken)
    return statistics.median(shares), statistics.median(rates)


def many_files(folder: Path, count: int) -> dict[str, float]:
    """Measure the time to list, scan and train one step on many tiny files.

    Returns seconds by name, and the peak memory of the processes in MB.
    """
    tiny, found = np.sin(np.arange(800) / 9) * 0.3, {}
    for i in range(count):
        place = folder / f"{i // 1000:03d}"
        place.mkdir(exist_ok=True)
        sf.write(place / f"{i:06d}.wav", tiny, 8000)
    started = time.perf_counter()
    files = [str(folder / name) for name in list_audio(folder).files]
    found["listing_s"] = time.perf_counter() - started
    for name in ("scan_s", "scan_again_s"):
        started = time.perf_counter()
        scan(files)
        found[name] = time.perf_counter() - started
    found["scan_mb"] = MB * status("VmHWM")
    command = [sys.executable, "-m", "semisupcon", "pretrain", "--config", "clmr"]
    command += [
        "--config",
        "small/clmr",
        "--data.data_dir",
        str(folder),
        "--ckpt_path",
        str(folder.parent / "runs"),
    ]
    command += ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "0", "--log", "false"]
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    found["pretrain_start_s"] = time.perf_counter() - started
    found["pretrain_mb"] = MB * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return found


def run(options: argparse.Namespace, folder: Path) -> list[Bar]:
    """Run all measurements, print each result, and return the results with their limits."""
    os.environ["SEMISUPCON_CACHE"] = str(folder / "cache")
    torch.manual_seed(0)
    narrow = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=16_000, segment_samples=32_000)
    models = {"narrow": str(export_encoder(narrow, folder / "narrow"))}
    bars = []

    def case(name: str, model: str, audio: Path, per: str) -> None:
        found = apart(models[model], str(audio), per)
        print(f"{name:<40} {found['mb']:>7.0f} MB {found['seconds']:>8.1f} s", flush=True)
        bars.append(Bar(f"mb_{name}".replace(" ", "_"), found["mb"], MOST_MB, "<="))

    for minutes in options.minutes:
        file = folder / f"{minutes:g}.flac"
        write_noise(file, minutes)
        for per in ("file", "second"):
            case(f"{minutes:g} minutes per {per}", "narrow", file, per)
    if options.published:
        models["SampleCNN"] = str(export_encoder(SampleCNN(), folder / "published"))
        case(
            f"{options.minutes[0]:g} minutes per file SampleCNN",
            "SampleCNN",
            folder / f"{options.minutes[0]:g}.flac",
            "file",
        )
    silence = folder / "silence.flac"
    write_silence(silence, SILENCE_MINUTES if max(options.minutes) >= 10 else 1)
    case(f"silence of {silence.stat().st_size / 1e6:.1f} MB", "narrow", silence, "file")
    if options.clips:
        (folder / "clips").mkdir()
        model = models["SampleCNN" if options.published else "narrow"]
        share, rate = share_of_encoder(model, folder / "clips", options.clips, options.rounds)
        print(
            f"{options.clips} clips of 2 s: {rate:.1f} a second, {share:.1%} of the time in the "
            "encoder",
            flush=True,
        )
        bars += [Bar("share_of_encoder", share, SHARE if options.published else 0.0)]
    if options.files:
        (folder / "many").mkdir()
        found = many_files(folder / "many", options.files)
        print(
            f"{options.files} files: "
            + ", ".join(f"{name} {value:.1f}" for name, value in found.items()),
            flush=True,
        )
    return bars


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, nargs="+", default=[10, 60, 600], help="lengths of the noise"
    )
    parser.add_argument("--clips", type=int, default=500, help="short clips; 0 leaves them out")
    parser.add_argument("--files", type=int, default=100_000, help="tiny files; 0 leaves them out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no_published", dest="published", action="store_false", help="leave SampleCNN out"
    )
    parser.add_argument(
        "--folder", help="where the temporary folder is made (10 hours of noise take 2 GB)"
    )
    parser.add_argument(
        "--case",
        nargs=3,
        metavar=("MODEL", "AUDIO", "PER"),
        help="measure one case in this process",
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(args)
    if options.case:
        print(json.dumps(measure(*options.case)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        met = all_met(run(options, Path(folder)))
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
