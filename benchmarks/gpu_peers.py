"""Parts of `benchmarks.gpu` that are timed: published steps, comparisons with libraries, clips a
second.

Each part is a function from `Setting` to a dictionary of plain values. A comparison that fails, or
whose library is not installed, says so in its own entry; the others stay.
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
COMPILE_SECONDS = 40  # a recipe is not compiled when less time is left


class Setting(NamedTuple):
    """What a part needs to know.

    Attributes:
        device: cpu or cuda.
        tiny: the smallest size at which everything runs.
        folder: for files; removed at the end.
        until: of `time.monotonic`, when timed parts should be done.
        end: of `time.monotonic`, when everything should be done.
        compile_all: compile every recipe.
        train_seconds: of the part `train`.
        only_recipes: of the part `steps`; None is all.
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
        """Timed calls of which the median counts."""
        return 2 if self.tiny else 5

    @property
    def warm(self) -> int:
        """Calls before the timed ones."""
        return 1 if self.tiny else published_steps.WARM


def say(error: BaseException) -> str:
    """The kind of an error and the end of its text."""
    return f"{type(error).__name__}: {str(error)[-1500:]}"


def steps(setting: Setting) -> dict[str, Any]:
    """Every recipe's published step, see `published_steps.record`; what there was no time for is
    named."""
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
    """Median milliseconds of each side, taking turns after warm calls, and the errors of sides that
    fail."""
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
    """SemiSupCon's chain in semisupcon, in torch-audiomentations on the batch, and as published."""
    from benchmarks import augment
    from benchmarks import augment_published as published
    from semisupcon.augmentations import build_chain

    rate, clips, workers = (22050, 4, 2) if setting.tiny else (22050, augment.CLIPS, 16)
    audio, keys = augment.batch(rate, clips, setting.device)
    on_host, _ = augment.batch(rate, clips)
    theirs = published.semisupcon(rate).to(setting.device)
    ours = augment.Ours(build_chain(augment.SIX, 2, rate).to(setting.device), audio, keys)
    # The loader's processes start first, and are idle when the others are timed.
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
    """SemiSupCon's loss as a log-softmax over the whole ``[N, N]`` matrix."""
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    weights = torch.maximum(same_clip(clips, clips), shared_labels(tags, tags)).masked_fill(own, 0)
    z = nn.functional.normalize(z, dim=1)
    scores = (z @ z.T / 0.1).masked_fill(own, float("-inf")).log_softmax(dim=1)
    return -((weights * scores.masked_fill(own, 0)).sum(1) / weights.sum(1)).mean()


def losses(setting: Setting) -> list[dict[str, Any]]:
    """Forward and backward of the contrastive loss, time and peak memory over the inputs, a row a
    size."""
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
    """Ours beside libraries: augmentation, and the contrastive loss."""
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
    """Clips a second of SampleCNN through ``Trainer.fit``: the step alone, and with packed
    audio."""
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
