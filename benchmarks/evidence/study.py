"""A study: settings by seeds, what each is asked, and the tables that are made of the answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.evidence.tables import Table

# What every run has in common: nothing is drawn, validated or waited for. The last weights are
# probed, so no choice is made on the way.
COMMON = {
    "draw_every": 0,
    "monitor": None,
    "trainer.limit_val_batches": 0,
    "trainer.enable_progress_bar": False,
}
# A small training set and one segment length at 8 kHz, FSDD's own rate; half a second holds most
# digits.
FSDD = {"data.data_dir": "fsdd", "data.target_sample_rate": 8000, "data.target_length": 0.5}
LIGHT = ["gain", "polarity_inversion", "add_colored_noise"]
QUICK_RUN = {"trainer.max_steps": 4, "trainer.log_every_n_steps": 2, "data.batch_size": 16}
QUICK_PROBE = {"resamples": 20, "training.max_epochs": 3, "episodes": 200}


@dataclass(frozen=True)
class Probe:
    """Some questions by some methods, of some parts of an encoder.

    Attributes:
        questions: of `QUESTIONS`.
        methods, representations: as ``probe.py`` names them.
        options: further options of ``probe.py``.
        note: what the methods' names are followed by in the CSV, so that a table can tell two
            probes apart.
    """

    questions: tuple[str, ...]
    methods: tuple[str, ...] = ("linear",)
    representations: tuple[str, ...] = ("embedding",)
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Setting:
    """One way to pretrain.

    Attributes:
        name: what tables call it.
        recipe: of ``config/pretraining``, made small by its overlay.
        options: of ``pretrain.py``, on top of those of the study; ``data.data_dir`` is relative to
            the folder of all data sets.
        probes: None takes the study's.
        untrained: what tables call an untrained encoder of this shape, probed beside it; None
            probes none.
        seeds: the only ones that it is run with; None for all.
    """

    name: str
    recipe: str
    options: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[Probe, ...] | None = None
    untrained: str | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Study:
    """Settings by seeds, and what is made of them.

    Attributes:
        name: of the CSV.
        settings: in the order in which they are run.
        probes: of every setting that has none of its own.
        options: of ``pretrain.py``, for every setting.
        tables: of the page.
        quick: names of the settings that ``--quick`` tries.
        pictures: draws from the folder of the study's runs into ``media/``.
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
    """A setting with everything resolved, and a seed."""

    study: str
    setting: Setting
    seed: int
    folder: Path
    data: Path

    @property
    def name(self) -> str:
        """The name of its run."""
        return "".join(c if c.isalnum() else "-" for c in f"{self.setting.name} {self.seed}")


def cells(
    study: Study,
    seeds: Sequence[int],
    folder: Path,
    data: Path,
    only: Sequence[str] = (),
    quick: bool = False,
) -> list[Cell]:
    """All cells of a study, seed by seed: a study that is stopped has every setting with fewer
    seeds.

    Raises:
        SystemExit: when ``only`` names no setting.
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
