"""Study of SemiSupCon (Guinot et al. 2024) on FSDD and GM notes.

It tests the number of labels, the share of labelled clips in a batch, the kind of labels, the
similarity of labels, and robustness. The encoder is a narrow ResNet-18 on log-mel bands at 8 kHz,
with two views of half a second; SampleCNN needs longer runs to distinguish digits. The tables of
the paper were not available, so there are no published results for comparison.
"""

from benchmarks.evidence.mfcl import LOG_MEL, SHAPE
from benchmarks.evidence.questions import RESPLIT, notes
from benchmarks.evidence.study import FEATURES, FSDD, LIGHT, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table

FRONTEND = {"class_path": "LogMel", "init_args": LOG_MEL | {"hop_length": 100, "n_mels": 32}}
ENCODER = {
    "class_path": "ResNet2d",
    "init_args": {"depth": 18, "width": 12, "out_dim": None, "frontend": FRONTEND, **SHAPE},
}
BASE = {
    **FSDD,
    "model.encoder": ENCODER,
    "data.aug_list": LIGHT,
    "data.batch_size": 32,
    "trainer.max_steps": 250,
}
POOL, DIGIT, SPEAKER = (
    {"data.ssl_task": "fsdd_digit"},
    {"data.sl_task": "fsdd_digit"},
    {"data.sl_task": "fsdd_speaker"},
)
TAGS = {"data.sl_task": "benchmarks.evidence.questions.fsdd_tags"}
TWO = {"class_path": "SharedLabels", "init_args": {"threshold": 2}}

FSDD_ASKED = Probe(("digit", "speaker"))
# Probes with few labels, and with corrupted test clips.
FEW = tuple(
    Probe(("digit",), options={"train_share": share}, note=f"{share:.0%} of labels")
    for share in (0.01, 0.1)
)
FULL = (FSDD_ASKED, *FEW)
CORRUPTED = (Probe(("digit",), options={"robustness": ["severity"]}), Probe(("speaker",)), *FEW)
SHARES = {p: f"{p} % of labels" for p in (1, 5, 10, 25, 50, 100)}
WIDELY_PROBED = (1, 5, 100)
IN_BATCH = {p: f"{p} % of the batch labelled" for p in (25, 75, 100)}


def share(p: int) -> Setting:
    """Return the semi-supervised setting with p percent of the digit labels.

    Half of each batch is labelled.
    """
    probes = CORRUPTED if p == 100 else FULL if p in WIDELY_PROBED else None
    return Setting(
        SHARES[p], "pretrain_smsl", {**BASE, **DIGIT, "data.supervised_data_p": p / 100}, probes
    )


def on_notes(name: str, recipe: str, options: dict, untrained: str | None = None) -> Setting:
    """Return a setting that pretrains on GM notes, with probes of instrument and pitch."""
    return Setting(
        name,
        recipe,
        {**BASE, "data.data_dir": "gm_notes", **options},
        (Probe(("instrument", "pitch")),),
        untrained,
    )


def of_notes(role: str, label: str, kind: str = "multiclass") -> dict:
    """Return the data options for a column of the GM notes, with the common split.

    Args:
        role: "sl" for labelled clips or "ssl" for unlabelled clips.
        label: column with the labels.
        kind: label kind.
    """
    return {f"data.{role}_task": RESPLIT, f"data.{role}_kwargs": notes(label, kind)}


PITCHES = of_notes("sl", "pitch_midi", "regression") | {"model.criterion.target": "Kernel"}
SETTINGS = (
    Setting("self-supervised", "pretrain_ssl", {**BASE, **POOL}, CORRUPTED, "untrained"),
    *(share(p) for p in SHARES),
    Setting("supervised", "pretrain_sl", {**BASE, **DIGIT}, CORRUPTED),
    *(
        Setting(name, "pretrain_smsl", {**BASE, **DIGIT, "data.intrabatch_supervised_p": p / 100})
        for p, name in IN_BATCH.items()
    ),
    Setting("speaker labels", "pretrain_smsl", {**BASE, **SPEAKER}),
    Setting("one shared tag", "pretrain_smsl", {**BASE, **TAGS}),
    Setting("two shared tags", "pretrain_smsl", {**BASE, **TAGS, "model.criterion.target": TWO}),
    Setting("overlap of tags", "pretrain_smsl", {**BASE, **TAGS, "model.criterion.target": "Dice"}),
    on_notes(
        "notes, self-supervised", "pretrain_ssl", of_notes("ssl", "instrument"), "notes, untrained"
    ),
    on_notes("notes, instrument labels", "pretrain_smsl", of_notes("sl", "instrument")),
    on_notes("notes, pitch values", "pretrain_smsl", PITCHES),
    on_notes(
        "notes, pitch values, all of the batch",
        "pretrain_smsl",
        PITCHES | {"data.intrabatch_supervised_p": 1.0},
    ),
    *baselines(*CORRUPTED),
    *baselines(Probe(("instrument", "pitch")), prefix="notes, "),
)
ASKED = (Column("digit", "digit"), Column("speaker", "speaker"))
PROBED_WITH_FEW = (
    "self-supervised",
    *(SHARES[p] for p in WIDELY_PROBED),
    "supervised",
    "untrained",
    *FEATURES,
)
ROBUST = ("self-supervised", SHARES[100], "supervised", "untrained", *FEATURES)
TABLES = (
    Table(
        "labels", ("self-supervised", *SHARES.values(), "supervised", "untrained", *FEATURES), ASKED
    ),
    # Without labels, training is self-supervised. By default, half of a batch is labelled.
    Table(
        "batch",
        ("self-supervised", IN_BATCH[25], SHARES[100], IN_BATCH[75], IN_BATCH[100], *FEATURES),
        ASKED,
    ),
    Table(
        "targets",
        (
            "one shared tag",
            "two shared tags",
            "overlap of tags",
            SHARES[100],
            "speaker labels",
            "self-supervised",
            *FEATURES,
        ),
        ASKED,
    ),
    Table(
        "notes",
        (
            "notes, self-supervised",
            "notes, instrument labels",
            "notes, pitch values",
            "notes, pitch values, all of the batch",
            "notes, untrained",
            *(f"notes, {name}" for name in FEATURES),
        ),
        (Column("instrument", "instrument"), Column("pitch, R2", "pitch", metric="r2")),
    ),
    Table(
        "few_labels",
        PROBED_WITH_FEW,
        tuple(
            Column(f"digit, {p} % of labels", "digit", f"linear, {p}% of labels") for p in (1, 10)
        )
        + ASKED[:1],
    ),
    Table(
        "robustness",
        ROBUST,
        tuple(Column(f"severity {s}", "digit", f"linear, severity {s}") for s in range(6)),
    ),
)
STUDY = Study(
    "semisupcon",
    SETTINGS,
    (FSDD_ASKED,),
    {},
    TABLES,
    ("self-supervised", "overlap of tags", "notes, pitch values"),
)
