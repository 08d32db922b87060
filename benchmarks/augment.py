"""Compare the speed of augmentation chains of semisupcon and of published libraries.

The speed is measured in views per second. semisupcon augments a whole batch at once. The libraries
augment clip by clip in two loader workers; the chain of SemiSupCon also augments a whole batch.
Batches have 96 clips with two views of 2.7 s. The compared functions are called in turn in one
process, five times each, and the medians are compared.

    python -m benchmarks.augment --check            # the chains
    python -m benchmarks.augment --table            # each transform separately
    python -m benchmarks.augment --profile          # time per operator of semisupcon
    python -m benchmarks.augment --device cuda      # chains on a GPU, and their share of the time
                                                    # of a training step of SampleCNN
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch_audiomentations as ta
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks import augment_published as published
from benchmarks.bars import Bar, all_met
from benchmarks.host_keys import augmentation
from semisupcon.augmentations import Chain, build_chain
from semisupcon.augmentations.filters import BandPass, BandStop, HighPass, LowPass
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.noise import AddColoredNoise
from semisupcon.augmentations.pitch import PitchShift
from semisupcon.augmentations.severity import CORRUPTIONS, PARAMETRIC
from semisupcon.augmentations.timing import Reverse, SpliceOut, TimeShift
from semisupcon.random import make_keys

SIX = list(PARAMETRIC)
CLIPS, VIEWS, SECONDS, REPEATS, TABLE_CLIPS = 96, 2, 2.7, 5, 16


class PerClip(Dataset):
    """Dataset of clips ``[V, 1, T]`` that augments each clip in the loader worker."""

    def __init__(self, audio: Tensor, augment: Callable[[Tensor], Tensor]):
        self.audio, self.augment = audio, augment

    def __len__(self) -> int:
        return len(self.audio)

    def __getitem__(self, index: int) -> Tensor:
        return self.augment(self.audio[index])


def in_workers(
    audio: Tensor, augment: Callable[[Tensor], Tensor], workers: int = 2
) -> Callable[[], None]:
    """Return a function that augments all clips once in loader workers.

    The workers are started by the first call and keep running.
    """
    clips = max(1, min(8, len(audio) // workers))
    loader = DataLoader(
        PerClip(audio, augment), batch_size=clips, num_workers=workers, persistent_workers=True
    )

    def run() -> None:
        for _ in loader:
            pass

    return run


def interleaved(
    sides: dict[str, Callable[[], object]], repeats: int, device: str = "cpu"
) -> dict[str, float]:
    """Return the median time in seconds of each function, by name.

    The functions are called in turn. The first call of each is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def batch(sample_rate: int, clips: int = CLIPS, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Return noise ``[clips, V, 1, T]`` on the device, and keys ``[clips, V]`` on the CPU.

    The content of the audio does not affect the time.
    """
    audio = (
        torch.randn(
            clips, VIEWS, 1, int(SECONDS * sample_rate), generator=torch.Generator().manual_seed(0)
        )
        * 0.1
    )
    keys = make_keys(
        0, torch.zeros(clips, dtype=torch.int64), torch.arange(clips) * 7919 + 1, VIEWS
    )
    return audio.to(device), keys


class Ours:
    """Function that applies a chain of semisupcon to a whole batch.

    Each call uses the random parameters of another pass. On a GPU, the parameters are drawn before,
    as a data loader does.
    """

    passes = 4

    def __init__(self, chain: Chain, audio: Tensor, keys: Tensor):
        rows, keys = audio.flatten(0, 1), keys.flatten()
        self.works = itertools.cycle(
            [augmentation(chain, rows, keys + (turn << 8)) for turn in range(1, self.passes + 1)]
        )

    def __call__(self) -> None:
        next(self.works)()


def chains(repeats: int, clips: int) -> list[Bar]:
    """Compare the chains of SemiSupCon, CLMR and MT-SLVR with semisupcon.

    Returns the ratio of the speeds for each comparison, with its limit.
    """
    results = []
    for name, sample_rate in (("semisupcon", 22050), ("clmr", 22050), ("mtslvr", 16000)):
        audio, keys = batch(sample_rate, clips)
        sides = {
            "ours": Ours(
                build_chain(SIX if name == "semisupcon" else [name], 2, sample_rate), audio, keys
            )
        }
        if name == "semisupcon":
            theirs = published.semisupcon(sample_rate)
            sides["per clip, 2 workers"] = in_workers(audio, theirs)
            sides["on the batch"] = lambda theirs=theirs, rows=audio.flatten(0, 1): theirs(
                rows.clone()
            )
        elif name == "clmr":
            chain = published.clmr(sample_rate, audio.shape[-1])
            sides["per clip, 2 workers"] = in_workers(
                audio, lambda x, chain=chain: torch.stack([chain(view) for view in x])
            )
        else:
            sides["per clip, 2 workers"] = in_workers(audio, published.mtslvr(sample_rate))
        seconds = interleaved(sides, repeats)
        views = clips * VIEWS
        for side, value in seconds.items():
            print(
                f"{name:12} {side:22} {views / value:8.1f} views/s   ({value:.2f} s for {views} "
                "views)",
                flush=True,
            )
        results.append(
            Bar(
                f"{name}_over_workers",
                seconds["per clip, 2 workers"] / seconds["ours"],
                8 if name == "semisupcon" else 1,
            )
        )
        if name == "semisupcon":
            results.append(Bar(f"{name}_over_batch", seconds["on the batch"] / seconds["ours"], 3))
    return results


def table(repeats: int, clips: int = TABLE_CLIPS) -> None:
    """Print the milliseconds per view of each transform, and of torch-audiomentations.

    Both run on the same batch, with two views of each clip at 22,050 Hz.
    """
    rate = 22050
    audio, keys = batch(rate, clips)
    audio, keys = audio.flatten(0, 1), keys.flatten()
    theirs = {"p": 1.0, "sample_rate": rate, "output_type": "tensor"}
    pairs = {
        "gain": (Gain(), ta.Gain(-15, 5, **theirs)),
        "polarity inversion": (PolarityInversion(), ta.PolarityInversion(**theirs)),
        "coloured noise": (AddColoredNoise(rate), ta.AddColoredNoise(**theirs)),
        "low-pass": (LowPass(rate), ta.LowPassFilter(150, 7500, **theirs)),
        "high-pass": (HighPass(rate), ta.HighPassFilter(200, 2400, **theirs)),
        "band-pass": (BandPass(rate), ta.BandPassFilter(**theirs)),
        "band-stop": (BandStop(rate), ta.BandStopFilter(**theirs)),
        "pitch shift, 14 ratios": (
            PitchShift(rate, ratios="published"),
            ta.PitchShift(-4, 4, **theirs),
        ),
        "pitch shift, continuous": (PitchShift(rate), None),
        "delay": (PARAMETRIC["delay"](1.0, rate), published.Delay(rate, 1.0)),
        "time shift": (TimeShift(), ta.Shift(**theirs)),
        "splice-out": (SpliceOut(rate), ta.SpliceOut(8, 100, **theirs)),
        "reverse": (Reverse(), ta.TimeInversion(**theirs)),
        **{
            name: (make(rate), None)
            for name, make in CORRUPTIONS.items()
            if name not in ("splice_out", "reverse")
        },
        **{
            f"{t.name} (MT-SLVR)": (t, None)
            for t in build_chain(["mtslvr"], 2, 16000).transforms
            if t.name in ("fade", "time_mask")
        },
    }
    print(
        f"| {'transform':24} | {'semisupcon, ms':>15} | {'torch-audiomentations':>21} | ratio "
        "|\n|---|---|---|---|"
    )
    for name, (ours, other) in pairs.items():
        ours.p = 1.0
        sides = {"ours": lambda ours=ours: ours(audio, keys)}
        if other is not None:
            other.p = 1.0
            sides["theirs"] = lambda other=other: other(audio.clone())
        ms = {side: 1000 * s / len(audio) for side, s in interleaved(sides, repeats).items()}
        beside = (
            f"{ms['theirs']:21.2f} | {ms['theirs'] / ms['ours']:5.1f}"
            if other is not None
            else f"{'':21} | {'':5}"
        )
        print(f"| {name:24} | {ms['ours']:15.2f} | {beside} |", flush=True)


def profile(clips: int, repeats: int = REPEATS) -> None:
    """Print the seconds per operator of SemiSupCon's chain, and the most expensive operations."""
    audio, keys = batch(22050, clips)
    chain = build_chain(SIX, 2, 22050)
    ours = Ours(chain, audio, keys)
    whole = interleaved({"chain": ours}, repeats)["chain"]
    print(f"chain {whole:.3f} s")
    for transform in chain.transforms:
        one = Ours(Chain([transform], p=chain.p), audio, keys)
        print(
            f"  {transform.name:20} {interleaved({'one': one}, repeats)['one']:.3f} s (each with a "
            "copy of the batch)"
        )
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as record:
        ours()
    print(
        record.key_averages().table(
            sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=30
        )
    )


def on_device(device: str, repeats: int, clips: int) -> list[Bar]:
    """Compare SemiSupCon's chain of semisupcon with that of torch-audiomentations on a GPU.

    Also measure the share of augmentation in the time of a training step of SampleCNN.
    """
    from semisupcon.encoders import SampleCNN

    audio, keys = batch(22050, clips, device)
    theirs = published.semisupcon(22050).to(device)
    encoder = SampleCNN().to(device)
    head = nn.Linear(encoder.embedding_dim, 128).to(device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        head(encoder(audio.flatten(0, 1))).square().mean().backward()
        optimizer.step()

    sides = {
        "ours": Ours(build_chain(SIX, 2, 22050).to(device), audio, keys),
        "on the batch": lambda: theirs(audio.flatten(0, 1).clone()),
        "step": step,
    }
    seconds = interleaved(sides, repeats, device)
    for side, value in seconds.items():
        print(f"{device:12} {side:22} {value * 1000:8.1f} ms for {clips * VIEWS} views", flush=True)
    share = seconds["ours"] / (seconds["ours"] + seconds["step"])
    return [
        Bar("gpu_over_batch", seconds["on the batch"] / seconds["ours"], 3),
        Bar("gpu_share_of_step", share, 0.15, "<="),
    ]


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--clips", type=int, help=f"{CLIPS} by default, {TABLE_CLIPS} with --table")
    parser.add_argument("--tiny", action="store_true", help="does it run? two clips, once")
    options = parser.parse_args(args)
    clips, repeats = (2, 1) if options.tiny else (options.clips or CLIPS, options.repeats)
    if options.table:
        table(repeats, clips if options.tiny or options.clips else TABLE_CLIPS)
    if options.profile:
        profile(clips, repeats)
    if options.table or options.profile:
        return 0
    print(
        f"{torch.get_num_threads()} threads, {clips} clips x {VIEWS} views of {SECONDS} s, median "
        f"of {repeats}"
    )
    compare = (
        chains(repeats, clips)
        if options.device == "cpu"
        else on_device(options.device, repeats, clips)
    )
    met = all_met(compare)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
