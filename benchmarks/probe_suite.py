"""Make the probing report of the documentation: three encoders on seven tasks of real audio.

``python -m benchmarks.probe_suite --data DIR`` uses two encoders of `benchmarks.digits`, and
pretrains them if they are missing: self-supervised, and semi-supervised with all digit labels, both
on the training clips of FSDD. It probes both and an untrained encoder. It writes
``docs/probing.html``, the table in ``docs/probing.md``, and figures in ``media/``. DIR must have
the folders fsdd, esc10, fsdkaggle2018_mini, librispeech_mini and gm_notes. A second call computes
missing results only.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from benchmarks import digits
from benchmarks.recipes import REAL, ROOT, asking, named_tasks, pretrain
from semisupcon.commands.probe import main as probe
from semisupcon.plots import draw_confusion, draw_lines, draw_scatter, save_figure
from semisupcon.probing.scores.metrics import confusion
from semisupcon.probing.scores.results import Results, read_predictions
from semisupcon.probing.studies.maps import load_map

BEGIN, END = "<!-- table: python -m benchmarks.probe_suite -->", "<!-- end of table -->"
RUNS = {"self-supervised": "self-supervised-0", "semi-supervised": "semi-supervised-100-0"}


def encoder(name: str, folder: Path, data: Path, more: list[str]) -> Path:
    """Return the run folder of an encoder of `benchmarks.digits`; pretrain it if it is missing."""
    run = folder / RUNS[name]
    if not (run / "last.ckpt").exists():
        recipe, labels = digits.RUNS[name if name in digits.RUNS else f"{name} 100 %"]
        pool = ["--data.ssl_task", "fsdd_digit"] if not labels else []
        pretrain(
            recipe,
            folder,
            run.name,
            0,
            ["--data.data_dir", str(data / "fsdd"), *digits.SETTINGS, *labels, *pool, *more],
        )
    return run


def suite(folder: Path, data: Path, runs: dict[str, Path], seeds: str) -> Path:
    """Probe the encoders and return the folder of the results."""
    args = [
        "--tasks",
        f"[{','.join(named_tasks(list(REAL)))}]",
        "--methods",
        "[linear,mlp,knn]",
        "--seeds",
        seeds,
        "--out",
        str(folder / "report"),
    ]
    args += [
        "--checkpoints",
        f"[{','.join(f'{name}={run}' for name, run in runs.items())},random,mfcc,logmel]",
        *asking(list(REAL), data),
    ]
    if status := probe(args):
        raise SystemExit(status)
    return folder / "report"


def pictures(out: Path, media: Path) -> None:
    """Draw the figures of the documentation.

    They are t-SNE maps of both FSDD tasks, a confusion matrix, and the robustness on the digits.
    """
    for task in ("fsdd_digit", "fsdd_speaker"):
        for who in ("self-supervised", "semi-supervised", "random"):
            found = load_map(out / "maps" / f"{task}-{who}-embedding-tsne.json")
            figure = draw_scatter(
                np.array(found.points),
                found.labels,
                f"{who}: FSDD test clips",
                task.removeprefix("fsdd_"),
            )
            save_figure(figure, media / f"probing-{task}-{who}.png", dpi=80)
    rows = [
        r
        for r in Results(out / "results.csv").rows
        if (r.task, r.checkpoint, r.method) == ("esc10", "self-supervised", "linear")
    ]
    read = [
        read_predictions(out / f)
        for f in dict.fromkeys(r.predictions for r in rows if r.seed == rows[0].seed)
    ]
    counts = sum(confusion(targets, scores) for _, targets, scores, *_ in read)
    save_figure(
        draw_confusion(counts, read[0][3], "ESC-10, self-supervised, linear probe, 5 folds"),
        media / "probing-esc10.png",
        dpi=80,
    )
    curves: dict[str, dict[int, tuple[float, float, float]]] = {}
    for r in Results(out / "robustness.csv").rows:
        if (r.task, r.metric) == ("fsdd_digit", "accuracy") and r.method.startswith(
            "linear, severity"
        ):
            curves.setdefault(r.checkpoint, {})[int(r.detail.split("/")[1])] = (
                r.value,
                r.low,
                r.high,
            )
    if curves:
        lines = {name: [points[i] for i in sorted(points)] for name, points in curves.items()}
        figure = draw_lines(
            [str(i) for i in range(6)],
            lines,
            "FSDD digits: linear probe on corrupted test audio",
            "severity",
            "accuracy",
        )
        save_figure(figure, media / "probing-robustness.png", dpi=80)


def main(args: list[str] | None = None) -> int:
    """Make the report and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/digits"), help="of the study of digits"
    )
    parser.add_argument("--seeds", default="[0,1,2]")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of docs/ and media/")
    given, more = parser.parse_known_args(args)
    runs = {name: encoder(name, given.folder, given.data, more) for name in RUNS}
    out = suite(given.folder, given.data, runs, given.seeds)
    robust = [
        "--tasks",
        "fsdd_digit",
        "--methods",
        "linear",
        "--robustness",
        "severity",
        "--seeds",
        given.seeds,
        "--out",
        str(out),
    ]
    robust += [
        "--checkpoints",
        f"[{','.join(f'{name}={run}' for name, run in runs.items())},random,mfcc,logmel]",
    ]
    if status := probe([*robust, f"--data_dirs.fsdd_digit={given.data / 'fsdd'}"]):
        return status
    shutil.copyfile(out / "report.html", given.root / "docs" / "probing.html")
    pictures(out, given.root / "media")
    document = given.root / "docs" / "probing.md"
    if document.exists():
        before, _, rest = document.read_text().partition(BEGIN)
        document.write_text(
            f"{before}{BEGIN}\n\n{(out / 'report.md').read_text()}\n{END}{rest.partition(END)[2]}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
