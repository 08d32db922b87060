"""Measure the time and memory of a training step of each recipe at its published batch size.

The recipe gives encoder, criterion, optimizer, batch size, number of views and their length. The
clips are noise on the device, so no files are read; the precision is bf16. The time of a step
(forward pass, backward pass and optimizer) and the time of augmentation are measured with a
synchronisation of the device after each call.

Training does not synchronise after each call. Therefore the share of augmentation is measured in a
loop without synchronisation: the time of augmentation and step minus the time of the step, divided
by the former.

Run ``python -m benchmarks.published_steps --device cuda``. A recipe that needs too much memory is
reported. ``--small`` uses the small overlays, which can run on a CPU. ``--compile`` also measures
the step with ``torch.compile``.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.host_keys import augmentation
from benchmarks.quiet import quiet
from benchmarks.recipes import ROOT, markdown
from semisupcon.batch import DataFacts
from semisupcon.commands.pretrain import configured, speak_plainly
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.planned import augmented
from semisupcon.datasets.synthesis import INSTRUMENTS, TAGS
from semisupcon.frontends import fit_statistics
from semisupcon.objectives.base import Encode
from semisupcon.training.optimization import parameter_groups

RECIPES = (
    "pretrain_ssl",
    "pretrain_smsl",
    "pretrain_sl",
    "clmr",
    "cola",
    "cola_convnext",
    "mfcl",
    "simsiam",
    "moco",
    "byol",
    "cpc",
    "supervised",
)
RECIPES += (
    "mtslvr/predictive",
    "mtslvr/contrastive_simclr",
    "mtslvr/split_simclr",
    "mtslvr/series_simclr",
    "mtslvr/parallel_simclr",
)
LABELS = {
    "synthetic_tags": (tuple(TAGS), "multilabel"),
    "synthetic_instrument": (tuple(INSTRUMENTS), "multiclass"),
}
COLUMNS = {
    "recipe": "{}",
    "encoder": "{}",
    "batch": "{}",
    "plan_ms": "{:.1f}",
    "augmentation_ms": "{:.1f}",
    "step_ms": "{:.1f}",
    "training_ms": "{:.1f}",
    "share": "{:.0%}",
    "compiled_ms": "{:.1f}",
    "peak_gib": "{:.2f}",
}
HEADER = [
    "recipe",
    "encoder",
    "clips x views x seconds",
    "plan (host), ms",
    "augmentation, ms",
    "step, ms",
]
HEADER += [
    "both in a loop, ms",
    "share of augmentation",
    "compiled step, ms",
    "peak memory, GiB",
]
WARM = 3


def facts_of(data: AudioDataModule) -> DataFacts:
    """Return the facts of the synthetic data set for the criterion, without rendering it."""
    classes, kind = LABELS.get(data.sources[0] or "", ((), None))
    return DataFacts(
        classes=classes,
        kind=kind,
        operators=data.chain.operators if data.chain else (),
        parameter_names=data.chain.parameter_names if data.chain else (),
        train_targets=np.tile(np.eye(len(classes), dtype=np.float32), (20, 1)) if classes else None,
    )


@quiet()
def build(recipe: str, small: bool, folder: Path, more: Sequence[str] = ()) -> PretrainCLI:
    """Build model, data module and trainer of a recipe, without reading data.

    Args:
        recipe: name of the recipe.
        small: whether to add the small overlay.
        folder: folder of the run.
        more: further options of ``semisupcon pretrain``.
    """
    configs = [ROOT / "config" / "pretraining" / f"{recipe}.yaml"]
    configs += [ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml"] if small else []
    args = [part for config in configs for part in ("--config", str(config))]
    quiet = [
        "--trainer.accelerator",
        "cpu",
        "--trainer.precision",
        "32-true",
        "--trainer.logger",
        "false",
        "--log",
        "false",
    ]
    cli = configured(
        [
            *args,
            *quiet,
            "--trainer.enable_model_summary",
            "false",
            "--ckpt_path",
            str(folder),
            "--data.num_workers",
            "0",
            *more,
        ]
    )
    cli.model.criterion.prepare(facts_of(cli.datamodule))
    fit_statistics(cli.model, [torch.randn(1000)])
    return cli


def noise_batch(cli: PretrainCLI, device: str) -> dict[str, Tensor]:
    """Return a batch of noise with the size of the recipe, on the device.

    The share of labelled clips is that of the recipe: none, half, or all.
    """
    data, classes = cli.datamodule, len(facts_of(cli.datamodule).classes)
    clips, views, samples = (
        data.batch_size,
        data.views,
        data.samples or cli.model.encoder.segment_samples,
    )
    if data.view_options["policy"] == "gapped":
        samples = max(
            int(samples * data.view_options["crop_fraction"]), cli.model.encoder.min_samples
        )
    rows = torch.arange(clips, device=device)
    targets = (
        torch.eye(classes, device=device)[rows % classes]
        if classes
        else torch.zeros(clips, 0, device=device)
    )
    targets[round(clips * data.intrabatch_supervised_p) :] = torch.nan
    return {
        "audio": 0.1 * torch.randn(clips, views, 1, samples, device=device),
        "length": torch.full((clips, views), samples, device=device),
        "targets": targets,
        "clip": rows + 1000,
        "key": (rows[:, None] * 7919 + 12345 << 8) | torch.arange(views, device=device),
    }


def median_ms(work: Callable[[], object], repeats: int, device: str, warm: int = WARM) -> float:
    """Return the median time of a call in ms, with a synchronisation after each call.

    The first ``warm`` calls are not counted.
    """
    taken = []
    for _ in range(warm + repeats):
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken[warm:])


def looped_ms(work: Callable[[], object], repeats: int, device: str) -> float:
    """Return the mean time of a call in ms, in a loop with one synchronisation at its end."""
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(2 * repeats):
        work()
    if device != "cpu":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - began) / (2 * repeats)


def record(
    recipe: str,
    device: str,
    repeats: int,
    small: bool = False,
    compiled: bool = False,
    warm: int = WARM,
    more: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure a training step of a recipe.

    Args:
        recipe: one of `RECIPES`.
        device: cpu or cuda.
        repeats: number of timed calls.
        small: whether to use the small overlay.
        compiled: whether to also measure the step with ``torch.compile``.
        warm: number of calls before the timed calls.
        more: further options of ``semisupcon pretrain``.

    Returns:
        Dictionary with these values:

        - ``recipe``, ``encoder``, ``batch``: names, and the size of the batch;
        - ``augmentation_ms``: time of augmentation, None without augmentations;
        - ``plan_ms``: time to draw the parameters of the augmentation on the CPU, which the data
          loader does before the step;
        - ``step_ms``: time of the step;
        - ``step_loop_ms``: time of the step in a loop without synchronisation;
        - ``training_ms``: time of augmentation and step in such a loop;
        - ``share``: share of augmentation in ``training_ms``;
        - ``peak_gib``: peak memory of the device in GiB, None on a CPU;
        - ``compiled_ms``, ``compile_seconds``: time of the compiled step, and of compiling;
        - ``error``: error if the recipe needs too much memory or its loss is not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        cli = build(recipe, small, Path(folder), more)
    model, chain = cli.model.to(device).train(), cli.datamodule.chain
    model.criterion.log_values(False)  # Most training steps log no values.
    optimizer = model.make_optimizer(
        parameter_groups(model, [(n, p) for n, p in model.named_parameters() if p.requires_grad])
    )
    raw = noise_batch(cli, device)
    keys = raw["key"].cpu()
    clips, views, _, samples = raw["audio"].shape
    found: dict[str, Any] = {"recipe": recipe, "encoder": type(model.encoder).__name__}
    found["batch"] = f"{clips} x {views} x {samples / model.encoder.sample_rate:.2f}"
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()

    def step() -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model.criterion.losses(batch, encode)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        model.criterion.after_step(model.encoder)
        return loss

    try:
        found["augmentation_ms"] = None
        if chain is not None:
            chain.to(device)
            work = augmentation(chain, raw["audio"].flatten(0, 1), keys.flatten())
            found["augmentation_ms"] = median_ms(work, repeats, device, warm)
            found["plan_ms"] = median_ms(
                lambda: chain.plan(keys.flatten(), samples), repeats, "cpu", warm
            )
        batch, encode = raw if chain is None else augmented(raw, chain, False), model.encode
        found["step_ms"] = median_ms(step, repeats, device, warm)
        found["step_loop_ms"] = looped_ms(step, repeats, device)
        found["training_ms"] = (
            found["step_loop_ms"]
            if chain is None
            else looped_ms(lambda: (work(), step()), repeats, device)
        )
        found["share"] = max(0.0, 1 - found["step_loop_ms"] / found["training_ms"])
        found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if device != "cpu" else None
        if not step().isfinite():
            found["error"] = "the loss of a step is not finite"
        if compiled:
            encode, began = Encode(model.encoder, compiled=True), time.perf_counter()
            step()
            found["compile_seconds"] = time.perf_counter() - began
            found["compiled_ms"] = median_ms(step, repeats, device, warm)
    except torch.cuda.OutOfMemoryError:
        found["error"] = "does not fit"
    return found


def release(device: str) -> None:
    """Free the memory of a recipe before the next one is measured."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


def row(found: dict[str, Any]) -> list[str]:
    """Return a row of the table with the columns of `HEADER`; missing values are empty."""
    cells = [
        form.format(found[name]) if found.get(name) is not None else ""
        for name, form in COLUMNS.items()
    ]
    return [*cells[:-1], found["error"]] if found.get("error") else cells


def main(args: list[str] | None = None) -> int:
    """Measure all recipes and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--small", action="store_true", help="with the overlays")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", action="store_true", help="also the compiled step")
    parser.add_argument("--batch_size", type=int, help="clips; by default the recipe's")
    given = parser.parse_args(args)
    speak_plainly()
    more = ("--data.batch_size", str(given.batch_size)) if given.batch_size else ()
    rows: list[list[str]] = [HEADER]
    for recipe in given.only:
        found = record(recipe, given.device, given.repeats, given.small, given.compile, more=more)
        rows.append(row(found))
        print(rows[-1], flush=True)
        release(given.device)
    name = (
        torch.cuda.get_device_name()
        if given.device != "cpu"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    print(
        f"\n{name}, bf16, torch {torch.__version__}, median of {given.repeats}\n\n{markdown(rows)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
