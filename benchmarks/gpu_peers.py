"""Parts of `benchmarks.gpu` whose time is measured: steps, comparisons with libraries, throughput.

Each part is a function that maps a `Setting` to a dictionary of plain values. If a comparison
fails, or its library is not installed, its entry has an error; the other entries are not affected.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import published_steps
from semisupcon.losses.pairs import same_clip, shared_labels

COMPILED = ("pretrain_smsl", "mtslvr/split_simclr")
TINY_STEPS = ("pretrain_smsl", "mtslvr/split_simclr")
COMPILE_SECONDS = 40  # minimum time left to measure a recipe with torch.compile


class Setting(NamedTuple):
    """Settings of all parts.

    Attributes:
        device: cpu or cuda.
        tiny: whether to use the smallest sizes.
        folder: folder for files, which is removed at the end.
        until: time (`time.monotonic`) at which the timed parts should end.
        end: time (`time.monotonic`) at which all parts should end.
        compile_all: whether to measure every recipe with ``torch.compile``.
        train_seconds: length of the part `train` in seconds.
        only_recipes: recipes of the part `steps`; None for all.
    """

    device: str
    tiny: bool
    folder: Path
    until: float
    end: float
    compile_all: bool = False
    train_seconds: float = 60
    only_recipes: tuple[str, ...] | None = None

    @property
    def repeats(self) -> int:
        """Number of timed calls; the result is their median."""
        return 2 if self.tiny else 5

    @property
    def warm(self) -> int:
        """Number of calls before the timed calls."""
        return 1 if self.tiny else published_steps.WARM


def say(error: BaseException) -> str:
    """Return the type of an exception and the end of its message."""
    return f"{type(error).__name__}: {str(error)[-1500:]}"


def steps(setting: Setting) -> dict[str, Any]:
    """Measure a training step of each recipe at its published size.

    The result also names the recipes for which no time was left.
    """
    recipes = setting.only_recipes or (TINY_STEPS if setting.tiny else published_steps.RECIPES)
    rows, left_out = [], []
    for recipe in recipes:
        left = setting.until - time.monotonic()
        if left < 0:
            left_out.append(recipe)
            continue
        wanted = setting.compile_all or recipe in (recipes[:1] if setting.tiny else COMPILED)
        compiled = wanted and left > (0 if setting.tiny else COMPILE_SECONDS)
        began = time.perf_counter()
        try:
            size = {"small": setting.tiny, "compiled": compiled, "warm": setting.warm}
            size["more"] = ("--data.batch_size", "4") if setting.tiny else ()
            found = published_steps.record(recipe, setting.device, setting.repeats, **size)
        except Exception as error:
            found = {"recipe": recipe, "error": say(error)}
        rows.append(found | {"seconds": time.perf_counter() - began})
        print("  " + " | ".join(published_steps.row(found)), flush=True)
        published_steps.release(setting.device)
    failed = [row["recipe"] for row in rows if row.get("error")]
    error = f"failed: {', '.join(failed)}" if failed else None
    return {"rows": rows, "left_out": left_out, "error": error}


def interleaved(
    sides: dict[str, Callable[[], object]], setting: Setting
) -> tuple[dict[str, float], dict[str, str]]:
    """Measure functions in turn.

    Returns the median time of each function in milliseconds, and the errors of functions that fail,
    both by name.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    errors: dict[str, str] = {}
    for turn in range(setting.warm + setting.repeats):
        for name, work in sides.items():
            if name in errors:
                continue
            began = time.perf_counter()
            try:
                work()
                if setting.device != "cpu":
                    torch.cuda.synchronize()
            except ImportError as error:
                errors[name] = f"not installed: {error.name}"
            except Exception as error:
                errors[name] = say(error)
            if turn >= setting.warm:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {n: statistics.median(v) for n, v in taken.items() if n not in errors}, errors


def chains(setting: Setting) -> dict[str, Any]:
    """Compare three versions of SemiSupCon's augmentation chain.

    The versions are that of semisupcon, that of torch-audiomentations on the whole batch, and the
    published one (clip by clip in loader workers).
    """
    from benchmarks import augment
    from benchmarks import augment_published as published
    from semisupcon.augmentations import build_chain

    rate, clips, workers = (22050, 4, 2) if setting.tiny else (22050, augment.CLIPS, 16)
    audio, keys = augment.batch(rate, clips, setting.device)
    on_host, _ = augment.batch(rate, clips)
    theirs = published.semisupcon(rate).to(setting.device)
    ours = augment.Ours(build_chain(augment.SIX, 2, rate).to(setting.device), audio, keys)
    # Measure the loader workers first, so that they are idle during the other measurements.
    published_way = augment.in_workers(on_host, published.semisupcon(rate), workers)
    in_workers = f"clip by clip, {workers} workers"
    ms, errors = interleaved({in_workers: published_way}, setting)
    both = {"ours": ours, "torch-audiomentations": lambda: theirs(audio.flatten(0, 1).clone())}
    more, more_errors = interleaved(both, setting)
    ms, errors = ms | more, errors | more_errors
    views = clips * augment.VIEWS
    times = {name: ms[name] / ms["ours"] for name in ms if name != "ours" and "ours" in ms}
    return {"views": views, "ms": ms, "errors": errors, "times_ours": times, "workers": in_workers}


def dense(z: Tensor, tags: Tensor, classes: Tensor, clips: Tensor) -> Tensor:
    """Compute SemiSupCon's loss as a log-softmax over the whole ``[N, N]`` matrix."""
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    weights = torch.maximum(same_clip(clips, clips), shared_labels(tags, tags)).masked_fill(own, 0)
    z = nn.functional.normalize(z, dim=1)
    scores = (z @ z.T / 0.1).masked_fill(own, float("-inf")).log_softmax(dim=1)
    return -((weights * scores.masked_fill(own, 0)).sum(1) / weights.sum(1)).mean()


def losses(setting: Setting) -> list[dict[str, Any]]:
    """Measure forward and backward pass of the contrastive loss in several implementations.

    Returns one row per size, with times and peak memory (without the inputs).
    """
    from benchmarks import loss

    cases = (
        loss.OURS
        | {"dense log-softmax": dense, "compiled": torch.compile(dense, dynamic=False)}
        | loss.PEERS
    )
    rows = []
    for n in (64, 128) if setting.tiny else (4096, 16384):
        given = loss.inputs(n, setting.device)

        def once(case: Callable[..., Tensor], given: dict[str, Tensor] = given) -> None:
            given["z"].grad = None
            case(**given).backward()

        sides = {name: lambda case=case: once(case) for name, case in cases.items()}
        ms, errors = interleaved(sides, setting)
        peaks: dict[str, float] = {}
        for name in ms if setting.device != "cpu" else ():
            given["z"].grad = None
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            sides[name]()
            peaks[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
        rows.append({"n": n, "ms": ms, "peak_mib": peaks, "errors": errors})
        published_steps.release(setting.device)
    return rows


def peers(setting: Setting) -> dict[str, Any]:
    """Compare augmentation and contrastive loss with other libraries."""
    found: dict[str, Any] = {}
    for name, part in (("chains", chains), ("losses", losses)):
        try:
            found[name] = part(setting)
        except ImportError as error:
            found[name] = {"errors": {"all": f"not installed: {error.name}"}}
        except Exception as error:
            found[name] = {"errors": {"all": say(error)}}
    said = [found["chains"]["errors"]]
    said += (
        [row["errors"] for row in found["losses"]]
        if isinstance(found["losses"], list)
        else [found["losses"]["errors"]]
    )
    failed = [
        f"{n}: {e}"
        for errors in said
        for n, e in errors.items()
        if not e.startswith("not installed")
    ]
    return found | {"error": "; ".join(failed) or None}


def end_to_end(setting: Setting) -> dict[str, Any]:
    """Measure the clips per second of SampleCNN in ``Trainer.fit``.

    Training on packed audio is compared with training on one batch in memory (the step alone).
    """
    from benchmarks import step
    from semisupcon.encoders import SampleCNNSmall
    from semisupcon.objectives import SemiSupCon
    from semisupcon.training.objective import Objective

    on_gpu, tiny = setting.device == "cuda", setting.tiny
    accelerator, precision = ("gpu", "bf16-mixed") if on_gpu else ("cpu", "32-true")
    clips, batch_size, count, rounds = (12, 4, 2, 1) if tiny else (128, 96, 30, 3)
    files = step.make_files(setting.folder / "noise", clips, 6 if tiny else 10, step.RATE)
    packed = step.packed_noise(setting.folder, files)
    small = {"sample_rate": step.RATE, "segment_samples": step.SAMPLES, "widths": [8, 8, 8, 8, 8]}
    model = Objective(SampleCNNSmall(**small) if tiny else step.sample_cnn(), SemiSupCon())
    prepared = step.data_module(model.encoder, packed, batch_size)
    prepared.setup()
    batch = {key: value.to(setting.device) for key, value in step.one_batch(prepared).items()}
    sides: dict[str, Any] = {
        "the step alone": step.Same(batch),
        "resident": step.data_module(model.encoder, packed, batch_size, resident=True),
        "workers": step.data_module(model.encoder, packed, batch_size, workers=1 if tiny else 8),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, feed in sides.items():
            taken[name].append(step.seconds_a_step(model, feed, count, accelerator, precision))
    alone = taken["the step alone"]
    return {
        "batch": f"{batch_size} x {step.VIEWS} x {step.SAMPLES / step.RATE:.2f}",
        "precision": precision,
        "clips_a_second": {name: batch_size / statistics.median(s) for name, s in taken.items()},
        "ms": {name: 1e3 * statistics.median(s) for name, s in taken.items()},
        "share": {
            name: statistics.median(a / b for a, b in zip(alone, taken[name], strict=True))
            for name in ("resident", "workers")
        },
    }
