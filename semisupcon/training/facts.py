"""Collect the facts of data, packages and code that a run stores and sends to its loggers."""

import subprocess
from pathlib import Path
from typing import Any

from semisupcon.data.datamodule import AudioDataModule
from semisupcon.files import write_text
from semisupcon.versions import versions_of

PACKAGES = (
    "torch",
    "torchaudio",
    "pytorch-lightning",
    "jsonargparse",
    "numpy",
    "pandas",
    "soundfile",
    "soxr",
    "timm",
    "torchmetrics",
    "torchaudio-augmentations",
    "wandb",
    "tensorboard",
    "safetensors",
    "scikit-learn",
)
DIFF, MOST_DIFF = "code.diff", 1 << 20  # bytes


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages among `PACKAGES`."""
    return versions_of(PACKAGES)


def data_figures(data: AudioDataModule) -> dict[str, Any]:
    """Return the size of the data: clips and hours by split and source, classes, label kind.

    Args:
        data: data module after ``setup``.
    """
    drawn = data.drawn
    if drawn is None:
        return {}
    hours = drawn.table["frames"] / drawn.table["sample_rate"] / 3600
    figures: dict[str, Any] = {}
    for split in ("train", "val"):
        for source in ("labelled", "unlabelled"):
            rows = drawn.rows(split, source=source)
            figures[f"{split}_{source}_clips"] = len(rows)
            figures[f"{split}_{source}_hours"] = round(float(hours.iloc[rows].sum()), 4)
    return figures | {"classes": len(drawn.classes), "label_kind": drawn.kind}


def write_diff(folder: Path) -> bool:
    """Write the uncommitted changes of the code to ``code.diff`` in a run folder.

    Returns whether the file was written. It is not written without changes, or if they are larger
    than 1 MiB.
    """
    try:
        done = subprocess.run(
            ("git", "diff", "HEAD", "--", "."),
            capture_output=True,
            timeout=10,
            cwd=Path(__file__).resolve().parents[2],
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    if done.returncode or not done.stdout or len(done.stdout) > MOST_DIFF:
        return False
    write_text(folder / DIFF, done.stdout.decode(errors="replace"))
    return True
