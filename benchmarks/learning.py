"""Does every objective learn? Pretrain each on the embedded set for at most two minutes on two cores, and probe it beside its untrained encoder.

Prints objective, encoder, and two linear probes before and after: the instruments (10 classes, accuracy) and the tags (14, ROC-AUC); with the gain
that is asked for, of one of them and of the mean over the seeds: about half of what was found, for 120 test clips give or take 4.5 points of
accuracy. Each row is kept in a CSV as it is made, so that a stopped study goes on.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.bars import Bar, all_met
from benchmarks.recipes import markdown, pretrain, probe

LOG_MEL = {"sample_rate": 22050, "n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 64, "f_min": 0.0, "f_max": 11025.0}
LOG_MEL |= {"padding": None, "power": 2.0, "offset": 1e-6, "floor": 1e-6, "ceiling": 1e4}
RESNET = {"depth": 18, "width": 12, "out_dim": None, "sample_rate": 22050, "segment_samples": 13230}
RESNET |= {"frontend": {"class_path": "LogMel", "init_args": LOG_MEL}}
QUIET = ["--draw_every", "0", "--trainer.enable_progress_bar", "false", "--trainer.limit_val_batches", "0", "--monitor", "null"]
# Views of 0.6 s and light augmentation teach a small encoder most in a minute.
SHORT = ("--data.target_length", "0.6")
LIGHT = (*SHORT, "--data.aug_list", "[gain, polarity_inversion, add_colored_noise]")
SPECTROGRAM = {"class_path": "ResNet2d", "init_args": RESNET}
WAVEFORM = {"widths": [32, 32, 64, 128, 96], "sample_rate": 22050, "segment_samples": 13230}
FORMATS = {"waveform": {"class_path": "SampleCNNSmall", "init_args": WAVEFORM}, "spectrogram": SPECTROGRAM, "segment_samples": 13230}
MEL = (*LIGHT, "--model.encoder", json.dumps(SPECTROGRAM))
BOTH = (*LIGHT, "--model.encoder", json.dumps({"class_path": "MultiFormat", "init_args": FORMATS}), "--data.target_sample_rate", "22050")
BOTH += ("--data.crop_fraction", "0.1", "--model.optimizer.init_args.lr", "3e-3")
OWN_RATE = ("--data.target_sample_rate", "22050", "--model.encoder.init_args.sample_rate", "22050")
PROBES = {"instruments": ("synthetic_instrument", "accuracy"), "tags": ("synthetic_tags", "roc_auc")}
STATES = ("random", "trained")
COLUMNS = ["objective", "encoder", "recipe", "seed", "steps", "seconds", *(f"{probe} {state}" for probe in PROBES for state in STATES)]


class Learning(NamedTuple):
    """An objective of the study: its recipe, its encoder in words, how long, by how many points it must beat the untrained one, options, at what."""

    recipe: str
    encoder: str
    steps: int
    gain: float
    options: tuple[str, ...] = ()
    asked: str = "instruments"


STUDIES = {
    "SemiSupCon": Learning("pretrain_smsl", "ResNet-18, log-mel", 300, 8, (*MEL, "--model.criterion.target", "Dice")),
    "SimCLR (CLMR)": Learning("clmr", "ResNet-18, log-mel", 300, 8, MEL),
    "SimSiam": Learning("simsiam", "ResNet-18, log-mel", 600, 8, MEL),
    "MoCo": Learning("moco", "ResNet-18, log-mel", 300, 5, MEL),
    "BYOL": Learning("byol", "ResNet-18, log-mel", 350, 8, MEL),
    "CPC": Learning("cpc", "SampleCNN", 200, 3, OWN_RATE, "tags"),
    "COLA": Learning("cola", "ResNet-18, log-mel", 200, 8),
    "MFCL": Learning("mfcl", "SampleCNN and ResNet-18, log-mel", 700, 5, BOTH),
    "AugmentationPrediction": Learning("mtslvr/predictive", "ResNet-18, three-channel mel", 200, 5, SHORT),
    "MT-SLVR, parallel, SimCLR": Learning("mtslvr/parallel_simclr", "adapter ResNet-18, three-channel mel", 150, 5, SHORT),
    "Supervised": Learning("supervised", "ResNet-18, log-mel", 300, 20, MEL),
}


def measure(objective: str, seed: int, folder: Path, more: list[str]) -> dict:
    """Pretrain and probe; a row of `COLUMNS`."""
    study = STUDIES[objective]
    name = f"{study.recipe.replace('/', '-')}-{seed}"
    began = time.perf_counter()
    run = pretrain(study.recipe, folder, name, seed, [*study.options, "--trainer.max_steps", str(study.steps), *QUIET, *more])
    seconds = time.perf_counter() - began
    tasks = [task for task, _ in PROBES.values()]
    results = probe(tasks, {"trained": run}, folder / f"probe-{name}", seed, ["--projection", "none"])
    values = results.set_index(["task", "metric", "checkpoint"])["value"]
    found = [objective, study.encoder, study.recipe, seed, study.steps, round(seconds)]
    found += [values[task, metric, state] for task, metric in PROBES.values() for state in STATES]
    return dict(zip(COLUMNS, found, strict=True))


def main(args: list[str] | None = None) -> int:
    """Run the study; with ``--check`` the exit status says whether every gain is what it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/learning"))
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--check", action="store_true")
    given, more = parser.parse_known_args(args)
    file = given.folder / "results.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    for objective, seed in ((o, s) for s in given.seeds for o in given.only):
        if ((done["objective"] == objective) & (done["seed"] == seed)).any():
            continue
        done = pd.concat([done, pd.DataFrame([measure(objective, seed, given.folder, more)])], ignore_index=True)
        given.folder.mkdir(parents=True, exist_ok=True)
        done.to_csv(file, index=False)
    probes = [heading for name in PROBES for heading in (name, "gain", "by seed")]
    lines, bars = [["objective", "encoder", "steps", "training", *probes, "asked for"]], []
    for objective in given.only:
        rows = done[(done["objective"] == objective) & done["seed"].isin(given.seeds)].sort_values("seed")
        study = STUDIES[objective]
        lines.append([objective, study.encoder, study.steps, f"{rows['seconds'].mean():.0f} s"])
        for name in PROBES:
            before, after = (100 * rows[f"{name} {state}"] for state in STATES)
            gains = after - before
            lines[-1] += [f"{before.mean():.1f} to {after.mean():.1f}", f"{gains.mean():+.1f}", ", ".join(f"{g:+.1f}" for g in gains)]
            if name == study.asked:
                bars.append(Bar(f"learning/{objective.replace(' ', '_')}", gains.mean(), study.gain))
        lines[-1].append(f"{study.gain:+g} ({study.asked})")
    print(markdown(lines))
    return int(not all_met(bars) and given.check)


if __name__ == "__main__":
    sys.exit(main())
