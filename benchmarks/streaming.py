"""Compare three ways to train on audio in object storage.

- WebDataset: tar shards are read from start to end, and clips are shuffled in a buffer.
- LitData: chunks are shuffled, and whole clips are read.
- semisupcon: range requests of LitData read only the crops that the sampler has drawn.

Each reads batches of 16 crops of 5.4 s from 160 clips of 15 s. A local folder replaces the object
storage. The benchmark measures clips per second and bytes per clip. It also stops each reader after
three batches and resumes it, with the same and with another number of workers, and checks whether
the next batches are those of a reader that was not stopped. ``--latency`` adds a delay to each
request. Run ``python -m benchmarks.streaming --check``.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.quiet import quiet
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.data.streamed import StreamedDataModule, write_stream

CLIPS, SECONDS, RATE, BATCH, CROP = 160, 15, 22050, 16, 2 * 59535
STOP, NEXT, TIMED, WARM = 3, 4, 40, 8
TINY_CLIPS, TINY_TIMED, TINY_WARM = 32, 2, 1


def make(folder: Path, clips: int = CLIPS) -> tuple[Path, Path]:
    """Write the same noise as chunks of LitData and as shards of WebDataset, of 16 MB each.

    Returns the folders of both.
    """
    import webdataset

    rng = np.random.default_rng(0)
    (folder / "clips").mkdir()
    for i in range(clips):
        soundfile.write(
            folder / "clips" / f"{i:03d}.wav",
            0.1 * rng.standard_normal(SECONDS * RATE),
            RATE,
            subtype="PCM_16",
        )
    sources = {
        "sl_task": None,
        "ssl_task": None,
        "data_dir": str(folder / "clips"),
        "sl_kwargs": None,
        "ssl_kwargs": None,
    }
    packed = pack(gather(**sources), sources, RATE, folder / "packed")
    stream = write_stream(packed, folder / "stream", chunk_bytes=1 << 24)
    rows = Packed(packed).clips.table
    audio = PackedAudio(packed, rows)
    (folder / "tars").mkdir()
    with webdataset.ShardWriter(
        str(folder / "tars" / "%03d.tar"), maxsize=1 << 24, verbose=0
    ) as shards:
        for i, frames in enumerate(rows["frames"]):
            shards.write({"__key__": f"{i:03d}", "i2": audio.spans(i, [(0, frames)])[0].tobytes()})
    return stream, folder / "tars"


def crop(audio: np.ndarray) -> torch.Tensor:
    """Cut a section with two views out of a clip.

    The section is always the same, so that resumed readers can differ only in the order of clips.
    """
    begin = abs(int(audio[:8].sum())) % (len(audio) - CROP + 1)
    return torch.from_numpy(np.array(audio[begin : begin + CROP]))


def first_samples(batch: torch.Tensor) -> list[int]:
    """Return the first samples of each crop, which identify a batch."""
    return batch.reshape(len(batch), -1)[:, :4].flatten().tolist()


class WebDataset:
    """Reader of WebDataset shards. It cannot resume and starts from the beginning."""

    name = "WebDataset"
    bytes_a_clip = 2 * SECONDS * RATE

    def __init__(self, folder: Path, workers: int, state: None = None):
        import webdataset

        urls = sorted(map(str, folder.glob("*.tar")))
        data = webdataset.WebDataset(urls, shardshuffle=100, seed=0, empty_check=False).shuffle(
            64, seed=0
        )
        data = data.map(lambda item: crop(np.frombuffer(item["i2"], np.int16))).batched(
            BATCH, collation_fn=torch.stack
        )
        self.loader = webdataset.WebLoader(data.repeat(), batch_size=None, num_workers=workers)

    def batches(self) -> Iterator[torch.Tensor]:
        return iter(self.loader)

    def state(self) -> None:
        return None


class Whole:
    """Collate function that crops whole clips; a class, so that it can be sent to workers."""

    def __call__(self, items: list[dict[str, np.ndarray]]) -> torch.Tensor:
        return torch.stack([crop(item["audio"]) for item in items])


class LitData:
    """Reader of LitData chunks, which resumes from the state of the LitData loader."""

    name = "LitData, iterating"
    bytes_a_clip = 2 * SECONDS * RATE

    def __init__(self, folder: Path, workers: int, state: dict | None = None):
        from litdata import StreamingDataLoader, StreamingDataset
        from litdata.streaming.temporal import TemporalArrayLoader

        data = StreamingDataset(
            str(folder), shuffle=True, seed=0, drop_last=False, item_loader=TemporalArrayLoader()
        )
        self.loader = StreamingDataLoader(
            data, batch_size=BATCH, num_workers=workers, collate_fn=Whole()
        )
        if state is not None:
            self.loader.load_state_dict(state)

    def batches(self) -> Iterator[torch.Tensor]:
        return itertools.chain.from_iterable(iter(self.loader) for _ in itertools.count())

    def state(self) -> dict:
        return self.loader.state_dict()


class Ours:
    """Reader of semisupcon, with range requests of LitData for the batches of the sampler.

    Its state is the number of batches that were read.
    """

    name = "ours, by LitData's windows"
    bytes_a_clip = 2 * CROP

    def __init__(self, folder: Path, workers: int, state: int = 0):
        data = StreamedDataModule(
            stream=str(folder),
            target_sample_rate=RATE,
            target_length=2.7,
            views=2,
            batch_size=BATCH,
            num_workers=workers,
            val_split=0.0,
        )
        data.setup()
        self.begun = self.taken = state or 0
        self.loader = data.train_dataloader()
        self.loader.batches_done = lambda: self.taken

    def batches(self) -> Iterator[torch.Tensor]:
        while True:
            for batch in self.loader:
                self.taken += 1
                yield batch["audio"]

    def state(self) -> int:
        return self.taken


def clips_a_second(
    engine: Callable,
    folder: Path,
    workers: int,
    timed: int = TIMED,
    warm: int = WARM,
) -> float:
    """Return the clips per second of a reader. The first batches are not counted."""
    batches = engine(folder, workers).batches()
    for _ in range(warm):
        next(batches)
    started = time.perf_counter()
    for _ in range(timed):
        next(batches)
    return timed * BATCH / (time.perf_counter() - started)


def resumes(engine: Callable, folder: Path, before: int, after: int) -> str:
    """Check whether a resumed reader continues with the batches of a reader that was not stopped.

    Args:
        engine: class of the reader.
        folder: folder of its data.
        before, after: number of workers before and after the stop.

    Returns:
        "yes", "no", or "no" with the type of an exception.
    """
    undisturbed = [
        first_samples(b) for b in itertools.islice(engine(folder, before).batches(), STOP + NEXT)
    ][STOP:]
    stopped = engine(folder, before)
    batches = stopped.batches()
    for _ in range(STOP):
        next(batches)
    try:
        again = engine(folder, after, stopped.state()).batches()
        return (
            "yes"
            if [first_samples(b) for b in itertools.islice(again, NEXT)] == undisturbed
            else "no"
        )
    except Exception as error:
        return f"no ({type(error).__name__})"


def wait_before_requests(seconds: float) -> None:
    """Delay each read of LitData by ``seconds``, like a request to an object storage."""
    from litdata.streaming.window import _WindowReader

    read = _WindowReader._read

    async def late(self, *args):
        await asyncio.sleep(seconds)
        return await read(self, *args)

    _WindowReader._read = late


@quiet()
def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        help="seconds that each range request of ours waits, such as 0.03",
    )
    parser.add_argument("--tiny", action="store_true", help="does it run? a few clips, once")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(args)
    clips, rounds, timed, warm = CLIPS, options.rounds, TIMED, WARM
    if options.tiny:
        clips, rounds, timed, warm = TINY_CLIPS, 1, TINY_TIMED, TINY_WARM
    torch.set_num_threads(1)
    if options.latency:
        wait_before_requests(options.latency)
    with tempfile.TemporaryDirectory() as folder:
        stream, tars = make(Path(folder), clips)
        sides = ((WebDataset, tars), (LitData, stream), (Ours, stream))
        rates = {(engine, workers): [] for engine, _ in sides for workers in (0, 2)}
        for _ in range(rounds):
            for engine, where in sides:
                for workers in (0, 2):
                    rates[engine, workers].append(
                        clips_a_second(engine, where, workers, timed, warm)
                    )
        print(
            f"{'':<28} {'clips/s, 0 workers':>19} {'2 workers':>10} {'kB a clip':>10}  resumed "
            "exactly: 0->0, 2->2, 0->2 workers"
        )
        exact = {}
        for engine, where in sides:
            exact[engine] = [resumes(engine, where, *change) for change in ((0, 0), (2, 2), (0, 2))]
            medians = [statistics.median(rates[engine, workers]) for workers in (0, 2)]
            print(
                f"{engine.name:<28} {medians[0]:>19.0f} {medians[1]:>10.0f} "
                f"{engine.bytes_a_clip / 1e3:>10.0f}  {', '.join(exact[engine])}"
            )
    results = [
        Bar("ours_resumes_exactly", float(exact[Ours] == ["yes"] * 3), 1),
        Bar("fewer_bytes_than_whole_clips", LitData.bytes_a_clip / Ours.bytes_a_clip, 2),
    ]
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The endless iterators of the other readers leave workers for which a normal exit would wait.
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(status)
