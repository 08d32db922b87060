"""Compare the speed of reading clips from files, WebDataset shards and a Hugging Face folder.

All hold the same FLAC clips of noise at 22.05 kHz. Batches of 16 clips with two adjacent crops of
2.7 s are read as in `pretrain`, in one thread. Each round reads from every source in turn; the table
has the median of the rounds, and the RESULT line the median of the ratios. Files in the cache of the
operating system are measured, so the figures compare decoding and bookkeeping, not disks. Run
``python -m benchmarks.outside --check``.
"""

import argparse
import io
import itertools
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.bars import Bar, all_met
from benchmarks.quiet import quiet
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.outside.hugging_face import HuggingFaceDataModule
from semisupcon.data.outside.webdataset import WebDatasetDataModule

RATE, BATCH, CLIPS, ROUNDS, TIMED = 22050, 16, 96, 5, 12
LENGTHS = (10, 60)  # seconds
LEAST = {10: 0.8, 60: 0.7}  # ratios to files


def make(folder: Path, clips: int, seconds: int) -> None:
    """Write clips as files in ``files``, as four shards in ``shards``, and as a data set in ``set``."""
    import datasets

    datasets.disable_progress_bars()
    for name in ("files", "shards"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    contents = []
    for number in range(clips):
        out = io.BytesIO()
        soundfile.write(out, 0.1 * rng.standard_normal(seconds * RATE), RATE, format="FLAC")
        contents.append(out.getvalue())
        (folder / "files" / f"{number:04d}.flac").write_bytes(contents[-1])
    for shard in range(4):
        with tarfile.open(folder / "shards" / f"{shard}.tar", "w") as archive:
            for number in range(shard, clips, 4):
                member = tarfile.TarInfo(f"{number:04d}.flac")
                member.size = len(contents[number])
                archive.addfile(member, io.BytesIO(contents[number]))
    rows = {"audio": [{"bytes": content, "path": None} for content in contents]}
    made = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio())
    made.save_to_disk(folder / "set")


def sources(folder: Path) -> dict[str, Any]:
    """Return the data module of each source, ready to read."""
    options: dict[str, Any] = {
        "target_sample_rate": RATE,
        "target_length": 2.7,
        "batch_size": BATCH,
        "num_workers": 0,
        "val_split": 0.0,
    }
    found = {
        "files": AudioDataModule(data_dir=str(folder / "files"), **options),
        "WebDataset": WebDatasetDataModule(str(folder / "shards"), **options),
        "Hugging Face": HuggingFaceDataModule(str(folder / "set"), **options),
    }
    for data in found.values():
        data.setup()
    return found


def endless(data: Any) -> Iterator[Any]:
    """Yield training batches without end. Nothing is read ahead, while another source is timed."""
    for items in data.train_dataloader().sequence:
        yield data.clips.__getitems__(items)


def measured(folder: Path, rounds: int, timed: int) -> dict[str, list[float]]:
    """Return clips per second of each source in each round."""
    readers = {name: endless(data) for name, data in sources(folder).items()}
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    for reader in readers.values():
        next(reader)
    for _, (name, reader) in itertools.product(range(rounds), readers.items()):
        begin = time.perf_counter()
        for _ in range(timed):
            next(reader)
        speeds[name].append(BATCH * timed / (time.perf_counter() - begin))
    return speeds


def main(args: list[str] | None = None) -> int:
    """Print the table and the bars; return 1 if a bar is missed with ``--check``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(args)
    clips, rounds, timed = (16, 1, 1) if given.tiny else (CLIPS, ROUNDS, TIMED)
    with quiet():
        bars = []
        print("| clips | files | WebDataset | Hugging Face |\n|---|---|---|---|")
        for seconds in LENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                make(Path(folder), clips, seconds // 10 if given.tiny else seconds)
                speeds = measured(Path(folder), rounds, timed)
            medians = [f"{statistics.median(found):,.0f}" for found in speeds.values()]
            print(f"| FLAC of {seconds} s | {' | '.join(medians)} |")
            for name, word in (("WebDataset", "shards"), ("Hugging Face", "folder")):
                ratios = [a / b for a, b in zip(speeds[name], speeds["files"], strict=True)]
                label = f"{word}_over_files_{seconds}_s"
                bars.append(Bar(label, statistics.median(ratios), LEAST[seconds]))
    return 0 if all_met(bars) or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())
