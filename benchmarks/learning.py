"""Does every objective learn? Pretrain each on the embedded set for at most two minutes on two cores, and probe it beside the untrained encoder.

Prints objective, encoder, and the linear probe of the instruments (10 classes) before and after, with the margin that is asked for. The margins
are modest: these are 400 clips and a few hundred steps. Each row is kept in a CSV as it is made, so that a stopped study goes on.
"""

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

from benchmarks.recipes import markdown, pretrain, probe

LIGHT = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]"]
QUIET = ["--draw_every", "0", "--trainer.enable_progress_bar", "false"]
TASK = "synthetic_instrument"
# Objective: recipe, what differs for the study, points above the untrained encoder.
STUDIES = {
    "SemiSupCon": ("pretrain_smsl", [*LIGHT, "--model.criterion.target", "Dice"], 5),
    "SimCLR (CLMR)": ("clmr", LIGHT, 5),
    "SimSiam": ("simsiam", LIGHT, 0),
    "MoCo": ("moco", LIGHT, 0),
    "BYOL": ("byol", LIGHT, 0),
    "CPC": ("cpc", [], 0),
    "COLA": ("cola", [], 5),
    "MFCL": ("mfcl", [], 5),
    "AugmentationPrediction": ("mtslvr/predictive", [], 0),
    "MT-SLVR, parallel, SimCLR": ("mtslvr/parallel_simclr", [], 5),
    "Supervised": ("supervised", [], 10),
}


def main(args: list[str] | None = None) -> int:
    """Run the study; with ``--check`` the exit status says whether every margin is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/learning"))
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    given, more = parser.parse_known_args(args)
    file = given.folder / "results.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["objective"])
    for objective in given.only:
        if objective in set(done["objective"]):
            continue
        recipe, options, margin = STUDIES[objective]
        started = time.perf_counter()
        run = pretrain(recipe, given.folder, recipe.replace("/", "-"), given.seed, [*options, *QUIET, *more])
        seconds = time.perf_counter() - started
        results = probe([TASK], {"trained": run}, given.folder / f"probe-{run.name}", given.seed)
        accuracy = results[results["metric"] == "accuracy"].set_index("checkpoint")["value"]
        row = {
            "objective": objective,
            "recipe": recipe,
            "seconds": round(seconds),
            "random": accuracy["random"],
            "trained": accuracy["trained"],
            "margin": margin,
        }
        done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
        given.folder.mkdir(parents=True, exist_ok=True)
        done.to_csv(file, index=False)
    gains = 100 * (done["trained"] - done["random"])
    rows = [
        [r.objective, r.recipe, f"{r.seconds:.0f} s", f"{100 * r.random:.1f}", f"{100 * r.trained:.1f}", f"{gain:+.1f}", f"{r.margin:+.0f}"]
        for r, gain in zip(done.itertuples(), gains, strict=True)
    ]
    print(markdown([["objective", "recipe", "training", "random", "trained", "gain", "asked for"], *rows]))
    for r, gain in zip(done.itertuples(), gains, strict=True):
        print(f"RESULT learning/{r.objective.replace(' ', '_')} {gain:.1f} {r.margin}")
    missed = done["objective"][gains <= done["margin"]].tolist()
    return int(bool(given.check and missed))


if __name__ == "__main__":
    sys.exit(main())
