"""The classes of a study: settings, probes, and tables of the results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.evidence.tables import Table

# Options of all runs: no figures, validation, or progress bar. The last checkpoint is probed, so no
# checkpoint is selected.
COMMON = {
    "draw_every": 0,
    "monitor": None,
    "trainer.limit_val_batches": 0,
    "trainer.enable_progress_bar": False,
}
# Options of studies on FSDD, at its sample rate of 8 kHz. Most digits are shorter than half a
# second.
FSDD = {"data.data_dir": "fsdd", "data.target_sample_rate": 8000, "data.target_length": 0.5}
LIGHT = ["gain", "polarity_inversion", "add_colored_noise"]
# Audio features that stand beside the encoders in the tables.
FEATURES = ("mfcc", "logmel")
QUICK_RUN = {"trainer.max_steps": 4, "trainer.log_every_n_steps": 2, "data.batch_size": 16}
QUICK_PROBE = {"resamples": 20, "training.max_epochs": 3, "episodes": 200}


@dataclass(frozen=True)
class Probe:
    """Probes of several tasks, methods and representations.

    Attributes:
        questions: tasks, keys of `QUESTIONS`.
        methods, representations: names as in ``semisupcon probe``.
        options: further options of ``semisupcon probe``.
        note: text that is added to the names of the methods in the CSV file, to distinguish probes.
    """

    questions: tuple[str, ...]
    methods: tuple[str, ...] = ("linear",)
    representations: tuple[str, ...] = ("embedding",)
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Setting:
    """A setting of pretraining.

    Attributes:
        name: name in the tables.
        recipe: name of a recipe in ``config/pretraining``; its small overlay is added.
        options: options of ``semisupcon pretrain`` in addition to those of the study.
            ``data.data_dir`` is relative to the folder of all data sets.
        probes: probes of the setting; None for the probes of the study.
        untrained: name of an untrained encoder with the same architecture, which is also probed;
            None for no such encoder.
        seeds: seeds of the setting; None for all seeds of the study.
        baseline: name of a baseline of ``semisupcon probe`` that is probed in place of a pretrained
            encoder; there is no recipe then.
    """

    name: str
    recipe: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[Probe, ...] | None = None
    untrained: str | None = None
    seeds: tuple[int, ...] | None = None
    baseline: str = ""


def baselines(*probes: Probe, prefix: str = "") -> tuple[Setting, ...]:
    """Return the settings that probe audio features, which need no training.

    Args:
        probes: probes of the settings; none for the probes of the study.
        prefix: beginning of the names of the settings.
    """
    return tuple(
        Setting(f"{prefix}{name}", probes=probes or None, baseline=name) for name in FEATURES
    )


@dataclass(frozen=True)
class Study:
    """A study with several settings, each run with several seeds.

    Attributes:
        name: name of the study and of its CSV file.
        settings: settings, in the order in which they are run.
        probes: probes of the settings that do not define probes.
        options: options of ``semisupcon pretrain`` for all settings.
        tables: tables of the page.
        quick: names of the settings that ``--quick`` runs.
        pictures: function that draws figures into ``media/`` from the folder of the runs.
    """

    name: str
    settings: tuple[Setting, ...]
    probes: tuple[Probe, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    quick: tuple[str, ...] = ()
    pictures: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Cell:
    """A setting with all its options and probes, and a seed."""

    study: str
    setting: Setting
    seed: int
    folder: Path
    data: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return "".join(c if c.isalnum() else "-" for c in f"{self.setting.name} {self.seed}")


def cells(
    study: Study,
    seeds: Sequence[int],
    folder: Path,
    data: Path,
    only: Sequence[str] = (),
    quick: bool = False,
) -> list[Cell]:
    """Return all cells of a study, seed by seed.

    If a study is stopped, it has all settings with fewer seeds.

    Args:
        study: the study.
        seeds: seeds of the runs.
        folder: folder of the runs.
        data: folder of all data sets.
        only: names of settings to run; empty for all.
        quick: whether to run few steps of the settings in ``study.quick``.

    Raises:
        SystemExit: if ``only`` has the name of an unknown setting.
    """
    names = [setting.name for setting in study.settings]
    if unknown := set(only) - set(names):
        raise SystemExit(
            f"error: {study.name} has no setting {', '.join(sorted(unknown))}.\nIt has: "
            f"{', '.join(names)}"
        )
    chosen = only or (study.quick if quick else names)
    wholes = []
    for setting in (s for s in study.settings if s.name in chosen):
        options = (
            COMMON | dict(study.options) | dict(setting.options) | (QUICK_RUN if quick else {})
        )
        probes = study.probes if setting.probes is None else setting.probes
        if quick:
            probes = tuple(
                replace(
                    p,
                    options=QUICK_PROBE
                    | {k: v for k, v in p.options.items() if k not in QUICK_PROBE},
                )
                for p in probes
            )
        wholes.append(replace(setting, options=options, probes=probes))
    return [
        Cell(study.name, setting, seed, folder, data)
        for seed in seeds
        for setting in wholes
        if setting.seeds is None or seed in setting.seeds
    ]
