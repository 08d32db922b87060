"""Beyond the papers: every objective on one encoder, one data set, one budget and one suite of probes.

The small SampleCNN at 8 kHz on FSDD, the light augmentations, batches of 32 and equal steps for all; each objective keeps its own views, heads and
temperature, as its recipe has them. MFCL alone needs a second encoder, of spectrograms, and is asked with both.
"""

from benchmarks.evidence.clmr import BASE, ENCODER
from benchmarks.evidence.mfcl import SPECTROGRAM
from benchmarks.evidence.semisupcon import DIGIT, POOL
from benchmarks.evidence.study import LIGHT, Probe, Setting, Study
from benchmarks.evidence.tables import Column, Table

# As it is, whatever front end and normalization a recipe gives its own.
PLAIN = ENCODER | {"init_args": ENCODER["init_args"] | {"frontend": None, "normalize": None}}
FORMATS = {"waveform": ENCODER, "spectrogram": SPECTROGRAM, "segment_samples": 4000}
MFCL = {"model.encoder": {"class_path": "MultiFormat", "init_args": FORMATS}, "data.target_length": 0.7}
FIVE = {"data.supervised_data_p": 0.05}
# Frames are 30 ms apart: sixteen in half a second.
CPC = {"model.criterion.steps": 4}
ALONE = {
    "SimCLR": ("clmr", {}),
    "SemiSupCon, no labels": ("pretrain_ssl", {}),
    "SimSiam": ("simsiam", {}),
    "MoCo": ("moco", {}),
    "BYOL": ("byol", {}),
    "CPC": ("cpc", CPC),
    "COLA": ("cola", {}),
    "MFCL": ("mfcl", MFCL),
    "augmentation prediction": ("mtslvr/predictive", {}),
    "MT-SLVR, one embedding": ("mtslvr/simple_simclr", {}),
}
LABELLED = {
    "SemiSupCon, 5 % of labels": ("pretrain_smsl", FIVE),
    "SemiSupCon, all labels": ("pretrain_smsl", {}),
    "supervised, 5 % of labels": ("supervised", {**FIVE, "data.fully_supervised": False, "data.intrabatch_supervised_p": 1.0}),
    "supervised, all labels": ("supervised", {}),
}
SHARES = (1, 10)
# With every label; with few; and carried over to notes that no encoder has heard.
PROBES = (
    Probe(("digit", "speaker", "instrument", "pitch")),
    *(Probe(("digit",), options={"train_share": share / 100}, note=f"{share} % of labels") for share in SHARES),
    Probe(("speaker",), ("knn",)),
)
SETTINGS = (
    *(
        Setting(
            name, recipe, POOL | options, untrained="untrained" if name == "SimCLR" else "untrained, MFCL's" if name == "MFCL" else None
        )
        for name, (recipe, options) in ALONE.items()
    ),
    *(Setting(name, recipe, DIGIT | options) for name, (recipe, options) in LABELLED.items()),
)
COLUMNS = (
    *(Column(f"digit, {share} %", "digit", f"linear, {share} % of labels") for share in SHARES),
    Column("digit", "digit"),
    Column("speaker", "speaker"),
    Column("speaker, kNN", "speaker", "knn"),
    Column("instrument", "instrument"),
    Column("pitch, R2", "pitch", metric="r2"),
)
TABLES = (Table("all", (*ALONE, *LABELLED, "untrained", "untrained, MFCL's"), COLUMNS, rank=True),)
STUDY = Study(
    "objectives",
    SETTINGS,
    PROBES,
    BASE | {"model.encoder": PLAIN, "data.aug_list": LIGHT},
    TABLES,
    ("CPC", "MFCL", "MT-SLVR, one embedding", "supervised, 5 % of labels"),
)
