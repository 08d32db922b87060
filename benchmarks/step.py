"""Measure the share of data loading and augmentation in the time of a training step.

Three versions of a training run with ``Trainer.fit`` are measured in turn, and their median times
are compared:

1. semisupcon: `AudioDataModule` with a packed data set, no workers, and augmentation of the batch;
2. the step alone: the same step on one batch in memory;
3. the published way: two loader workers, which decode a whole wav file per clip, resample an
   excerpt, and augment it with torch-audiomentations.

Batches have 16 clips with two views of 2.7 s at 22,050 Hz, from 40 clips of 30 s at 44,100 Hz, with
the six augmentations of SemiSupCon. The encoders are SampleCNN, and a small ResNet (1.3 M
parameters) on log-mel frames of 10 ms, for which the share of data and augmentation is largest. Run
``python -m benchmarks.step --check``; ``--profile`` prints the time of each part of a step.
"""

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as L
import soundfile
import torch
import torchaudio
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from benchmarks import augment_published as published
from benchmarks.bars import Bar, all_met
from benchmarks.quiet import quiet
from semisupcon.audio.pcm import to_float
from semisupcon.augmentations.severity import PARAMETRIC
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.encoders import Encoder, ResNet2d, SampleCNN
from semisupcon.frontends import LogMel
from semisupcon.memory import keep_freed_memory
from semisupcon.objectives import SemiSupCon
from semisupcon.training.objective import Objective

CLIPS, BATCH, VIEWS, RATE, SAMPLES, FILE_RATE, FILE_SECONDS = 40, 16, 2, 22050, 59535, 44100, 30
ROUNDS, WARM = 5, 3
TINY_CLIPS, TINY_SECONDS, TINY_BATCH = 4, 6, 2


def sample_cnn() -> Encoder:
    return SampleCNN(RATE, SAMPLES)


def log_mel_resnet() -> Encoder:
    frontend = LogMel(
        sample_rate=RATE,
        n_fft=1024,
        win_length=551,
        hop_length=220,
        n_mels=64,
        f_min=60.0,
        f_max=7800.0,
    )
    return ResNet2d(
        depth=18, width=22, sample_rate=RATE, segment_samples=SAMPLES, frontend=frontend
    )


class PublishedClips(Dataset):
    """Dataset that loads and augments clips as the published code of SemiSupCon.

    For each clip, it reads the whole file, resamples a random excerpt, cuts it into views, and
    augments them.
    """

    def __init__(self, files: list[Path]):
        self.files, self.augment = files, published.semisupcon(RATE)

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        audio, rate = soundfile.read(self.files[index % len(self.files)], dtype="float32")
        needed = int(np.ceil(VIEWS * SAMPLES * rate / RATE))
        begin = random.randint(0, len(audio) - needed)
        excerpt = torchaudio.functional.resample(
            torch.from_numpy(audio[begin : begin + needed]), rate, RATE
        )
        views = self.augment(excerpt[: VIEWS * SAMPLES].reshape(VIEWS, 1, SAMPLES))
        return {
            "audio": views,
            "length": torch.full((VIEWS,), SAMPLES),
            "targets": torch.zeros(0),
            "clip": torch.tensor(index % len(self.files)),
            "key": torch.arange(VIEWS) + 256 * index,
        }


class Same:
    """Data loader that yields the same batch again and again, to measure the step alone."""

    def __init__(self, batch: dict[str, Tensor]):
        self.batch = batch

    def __len__(self) -> int:
        return 1 << 20

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield self.batch


class Clock(L.Callback):
    """Callback that records the time at the end of each step.

    On a GPU, it synchronises only at the start and the end of the measured steps.
    """

    def __init__(self, steps: int):
        self.times: list[float] = []
        self.ends = (WARM, WARM + steps)

    def on_train_batch_end(self, trainer: L.Trainer, *_) -> None:
        if trainer.strategy.root_device.type == "cuda" and len(self.times) + 1 in self.ends:
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def seconds_a_step(
    model: Objective, data: AudioDataModule | Iterable, steps: int, accelerator: str, precision: str
) -> float:
    """Return the mean seconds per training step, with data loading and augmentation.

    The first steps are not counted.
    """
    clock = Clock(steps)
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        max_steps=WARM + steps,
        max_epochs=-1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )
    trainer.fit(
        model,
        **(
            {"datamodule": data}
            if isinstance(data, AudioDataModule)
            else {"train_dataloaders": data}
        ),
    )
    return (clock.times[-1] - clock.times[WARM - 1]) / steps


def make_files(
    folder: Path, clips: int = CLIPS, seconds: float = FILE_SECONDS, rate: int = FILE_RATE
) -> list[Path]:
    """Write clips of noisy tones with rising pitch, and return their paths."""
    rng, t = np.random.default_rng(0), np.arange(int(rate * seconds)) / rate
    folder.mkdir()
    files = [folder / f"{i:03d}.wav" for i in range(clips)]
    for i, path in enumerate(files):
        audio = 0.3 * np.sin(2 * np.pi * (110 + 20 * i + 5 * t) * t) + 0.1 * rng.standard_normal(
            len(t)
        )
        soundfile.write(path, audio, rate, subtype="PCM_16")
    return files


def packed_noise(folder: Path, files: list[Path]) -> str:
    """Pack the files, and return the folder of the packed data set."""
    sources = {
        "sl_task": None,
        "ssl_task": None,
        "data_dir": str(files[0].parent),
        "sl_kwargs": None,
        "ssl_kwargs": None,
    }
    pack(gather(**sources), sources, RATE, folder / "packed")
    return str(folder / "packed")


def data_module(
    encoder: Encoder, packed: str, batch_size: int, workers: int = 0, resident: bool = False
) -> AudioDataModule:
    """Return a data module of packed clips with the six augmentations of SemiSupCon.

    It is not set up, because the trainer determines the device of resident clips.
    """
    options = {"batch_size": batch_size, "num_workers": workers, "device_resident": resident}
    data = AudioDataModule(packed=packed, aug_list=list(PARAMETRIC), **options)
    data.bind(encoder, VIEWS)
    return data


def one_batch(data: AudioDataModule) -> dict[str, Tensor]:
    """Return an augmented batch of training clips."""
    batch = next(iter(data.train_dataloader()))
    return data.augmented({**batch, "audio": to_float(batch["audio"])})


def profile(model: Objective, data: AudioDataModule, steps: int = 5) -> None:
    """Print the time in ms of each part of a training step of semisupcon."""
    epochs = (data.train_dataloader() for _ in itertools.count())
    loader, parts = (
        itertools.chain.from_iterable(epochs),
        {"wait for data": [], "augment": [], "forward": [], "backward": []},
    )
    for _ in range(steps + 1):
        times = [time.perf_counter()]
        batch = next(loader)
        times.append(time.perf_counter())
        audio, *_ = data.chain(to_float(batch["audio"]).flatten(0, 1), batch["key"].flatten())
        batch = {**batch, "audio": audio.unflatten(0, batch["key"].shape)}
        times.append(time.perf_counter())
        loss = model.criterion.losses(batch, model.encode)["loss"]
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        for name, begin, end in zip(parts, times, times[1:], strict=False):
            parts[name].append(end - begin)
    print(
        "        "
        + ", ".join(
            f"{name} {1e3 * statistics.median(taken[1:]):.0f} ms" for name, taken in parts.items()
        ),
        flush=True,
    )


@quiet()
def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--only", choices=["sample_cnn", "log_mel_resnet"], help="one encoder (on the CPU)"
    )
    parser.add_argument(
        "--profile", action="store_true", help="also say what a step of ours is made of"
    )
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="cuda: SampleCNN at 96 x 2 in bf16"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="of the published way; 16 on a machine of 16 cores"
    )
    parser.add_argument("--tiny", action="store_true", help="does it run? a few short clips, once")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(args)
    on_gpu = options.device == "cuda"
    if not on_gpu:
        keep_freed_memory()  # as ``semisupcon pretrain`` does
    accelerator, precision, batch_size = (
        ("gpu", "bf16-mixed", 96) if on_gpu else ("cpu", "32-true", BATCH)
    )
    # For each case: encoder, minimum share of the step alone in the time of a training step, steps
    # per round, and minimum speed relative to the published way (None: not measured).
    cases = {
        "sample_cnn": (sample_cnn, 0.9, 2, None),
        "log_mel_resnet": (log_mel_resnet, 0.7, 8, 2.5),
    }
    if on_gpu:
        cases = {"sample_cnn_bf16": (sample_cnn, 0.9, 50, 1.0)}
    clips, seconds, rounds, most = CLIPS, FILE_SECONDS, options.rounds, 50
    if options.tiny:
        clips, seconds, rounds, most, batch_size = TINY_CLIPS, TINY_SECONDS, 1, 2, TINY_BATCH
    cases = {name: case for name, case in cases.items() if options.only in (None, name)}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder) / "clips", clips, seconds)
        packed = packed_noise(Path(folder), files)
        loader = DataLoader(
            PublishedClips(files),
            batch_size,
            num_workers=options.workers,
            prefetch_factor=1,
            collate_fn=default_collate,
        )
        for name, (make, share_bar, steps, published_bar) in cases.items():
            model = Objective(make(), SemiSupCon())
            first = data_module(model.encoder, packed, batch_size)
            first.setup()
            batch = one_batch(first)
            batch = {key: value.cuda() if on_gpu else value for key, value in batch.items()}
            data = data_module(model.encoder, packed, batch_size, resident=on_gpu)
            sides: dict[str, Same | AudioDataModule | DataLoader] = {
                "the step alone": Same(batch),
                "with data": data,
            }
            if published_bar is not None:
                sides["published"] = loader
            taken = {side: [] for side in sides}
            for _ in range(rounds):
                for side, feed in sides.items():
                    few = min(most, max(2, steps // 2) if side == "published" else steps)
                    taken[side].append(seconds_a_step(model, feed, few, accelerator, precision))
            medians = {side: statistics.median(seconds) for side, seconds in taken.items()}
            parameters = sum(p.numel() for p in model.encoder.parameters()) / 1e6
            for side, seconds in medians.items():
                print(
                    f"{name} ({parameters:.2f} M)  {side:<15} {1e3 * seconds:>8.1f} ms  "
                    f"{batch_size / seconds:>7.1f} clips/s",
                    flush=True,
                )
            if options.profile and not on_gpu:
                profile(model, first, min(most, 5))
            alone = statistics.median(
                a / b for a, b in zip(taken["the step alone"], taken["with data"], strict=True)
            )
            results.append(Bar(f"{name}_share_of_the_step_alone", alone, share_bar))
            if published_bar is not None:
                results.append(
                    Bar(
                        f"{name}_times_the_published",
                        medians["published"] / medians["with data"],
                        published_bar,
                    )
                )
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
