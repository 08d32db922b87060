"""What a training step of each recipe takes at its published batch size: milliseconds, steps a second, and peak memory of the device.

Encoder, criterion, optimizer, batch, views and length of the YAML, in bf16; clips are noise that lies on the device, so that nothing is read. The
step is forward, backward and optimizer; augmentation of the same batch stands beside it. Run
``python -m benchmarks.published_steps --device cuda``; a recipe that does not fit says so. ``--small`` takes the overlays, which a CPU can do.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.recipes import ROOT, markdown
from semisupcon.commands.pretrain import PretrainCLI, configured, speak_plainly
from semisupcon.frontends import fit_statistics
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
RECIPES += ("mtslvr/predictive", "mtslvr/contrastive_simclr", "mtslvr/split_simclr", "mtslvr/series_simclr", "mtslvr/parallel_simclr")
HEADER = ["recipe", "encoder", "clips x views x seconds", "augmentation, ms", "step, ms", "steps a second", "peak memory, GiB"]
WARM = 3


def build(recipe: str, small: bool, folder: Path) -> PretrainCLI:
    """The recipe on the embedded set, set up but not trained."""
    configs = [ROOT / "config" / "pretraining" / f"{recipe}.yaml"]
    configs += [ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml"] if small else []
    args = [part for config in configs for part in ("--config", str(config))]
    quiet = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.logger", "false", "--log", "false"]
    cli = configured([*args, *quiet, "--trainer.enable_model_summary", "false", "--ckpt_path", str(folder), "--data.num_workers", "0"])
    cli.datamodule.setup()
    cli.model.criterion.prepare(cli.datamodule.facts)
    fit_statistics(cli.model, [torch.randn(1000)])
    return cli


def noise_batch(cli: PretrainCLI, device: str) -> dict[str, Tensor]:
    """A batch of the recipe's size on the device; half of it labelled where the recipe has labels, all of it where it is fully supervised."""
    data, classes = cli.datamodule, len(cli.datamodule.facts.classes)
    clips, views, samples = data.batch_size, data.views, data.samples or cli.model.encoder.segment_samples
    if data.view_options["policy"] == "gapped":
        samples = max(int(samples * data.view_options["crop_fraction"]), cli.model.encoder.min_samples)
    rows = torch.arange(clips, device=device)
    targets = torch.eye(classes, device=device)[rows % classes] if classes else torch.zeros(clips, 0, device=device)
    targets[round(clips * data.intrabatch_supervised_p) :] = torch.nan
    return {
        "audio": 0.1 * torch.randn(clips, views, 1, samples, device=device),
        "length": torch.full((clips, views), samples, device=device),
        "targets": targets,
        "clip": rows + 1000,
        "key": (rows[:, None] * 7919 + 12345 << 8) | torch.arange(views, device=device),
    }


def augmented(cli: PretrainCLI, batch: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    """The batch after the recipe's augmentations, if it has any."""
    if cli.datamodule.chain is None:
        return batch
    shape = batch["key"].shape
    audio, applied, parameters = cli.datamodule.chain.to(device)(batch["audio"].flatten(0, 1), batch["key"].flatten())
    parts = {"audio": audio, "applied": applied, "parameters": parameters}
    return batch | {name: part.unflatten(0, shape) for name, part in parts.items()}


def median_ms(work: Callable[[], object], repeats: int, device: str) -> float:
    """Of calls after the first few."""
    taken = []
    for _ in range(WARM + repeats):
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken[WARM:])


def measure(recipe: str, small: bool, device: str, repeats: int) -> list[object]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        cli = build(recipe, small, Path(folder))
    model = cli.model.to(device).train()
    optimizer = model.make_optimizer(parameter_groups(model, [(n, p) for n, p in model.named_parameters() if p.requires_grad]))
    raw = noise_batch(cli, device)
    clips, views, _, samples = raw["audio"].shape
    row = [recipe, type(model.encoder).__name__, f"{clips} x {views} x {samples / model.encoder.sample_rate:.2f}"]
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()

    def step() -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model.criterion.losses(batch, model.encode)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        model.criterion.after_step(model.encoder)
        return loss

    try:
        chain = median_ms(lambda: augmented(cli, raw, device), repeats, device) if cli.datamodule.chain else 0.0
        batch = augmented(cli, raw, device)
        ms = median_ms(step, repeats, device)
        if not step().isfinite():
            raise SystemExit(f"{recipe}: the loss of a step is not finite")
    except torch.cuda.OutOfMemoryError:
        return [*row, "", "does not fit", "", ""]
    peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if device != "cpu" else ""
    return [*row, f"{chain:.1f}", f"{ms:.1f}", f"{1e3 / ms:.2f}", peak]


def main(args: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--small", action="store_true", help="with the overlays")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args(args)
    speak_plainly()
    rows = [HEADER]
    for recipe in given.only:
        rows.append(measure(recipe, given.small, given.device, given.repeats))
        print(rows[-1], flush=True)
        gc.collect()
        if given.device != "cpu":
            torch.cuda.empty_cache()
    name = torch.cuda.get_device_name() if given.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{name}, bf16, torch {torch.__version__}, median of {given.repeats}\n\n{markdown(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
