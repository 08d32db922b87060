"""Compare all objectives with the same encoder, data set, number of steps, and probes.

The encoder is the narrow ResNet-18 of the SemiSupCon study, on FSDD at 8 kHz, with light
augmentations and batches of 32. Views, heads, temperature and learning rate are those of the recipe
and the small overlay of each objective.

Three objectives need another encoder: MT-SLVR adds adapters and two parts, MFCL adds an encoder of
waveforms, and CPC uses an encoder of waveforms, because it needs more frames. They are compared
with untrained encoders of the same architecture.
"""

from benchmarks.evidence.mfcl import WAVEFORM, both, wider
from benchmarks.evidence.semisupcon import BASE, DIGIT, ENCODER, POOL
from benchmarks.evidence.study import FEATURES, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table

# The encoder of all objectives. Its normalization and pooling are the defaults, not those of a
# recipe.
PLAIN = wider(ENCODER, normalize=None, pool=None)
ADAPTED = {
    "class_path": "AdapterResNet2d",
    "init_args": PLAIN["init_args"] | {"kind": "parallel", "num_splits": 2, "out_dim": 96},
}
WAVES = wider(WAVEFORM, widths=[32, 32, 64, 128, 96])
MFCL = {"model.encoder": both(WAVES, PLAIN), "data.target_length": 0.7}
PADDED = {"data.short_clips": "zero"}
FIVE = {"data.supervised_data_p": 0.05}
# A frame has 30 ms, so half a second has sixteen frames.
CPC = {"model.encoder": WAVES, "model.criterion.steps": 4}
# Short crops, since two crops of half a second would both contain most of the digit.
SHORT = {"data.target_length": 0.2}
ALONE = {
    "SimCLR": ("clmr", {}),
    "SemiSupCon, no labels": ("pretrain_ssl", {}),
    "SimSiam": ("simsiam", {"model.criterion.predictor.init_args.hidden": 64}),
    "MoCo": ("moco", {"model.criterion.temperature": 0.2}),
    "BYOL": ("byol", {"model.optimizer.init_args.lr": 3e-3}),
    "SemiSupCon, no labels, COLA's crops": ("pretrain_ssl", SHORT),
    "COLA": ("cola", SHORT),
    "augmentation prediction": ("mtslvr/predictive", PADDED),
    "MT-SLVR, parallel, SimCLR": ("mtslvr/parallel_simclr", PADDED | {"model.encoder": ADAPTED}),
    "MFCL": ("mfcl", MFCL),
    "CPC": ("cpc", CPC),
}
UNTRAINED = {
    "SimCLR": "untrained",
    "MT-SLVR, parallel, SimCLR": "untrained, MT-SLVR's",
    "MFCL": "untrained, MFCL's",
    "CPC": "untrained, CPC's",
}
LABELLED = {
    "SemiSupCon, 5 % of labels": ("pretrain_smsl", FIVE),
    "SemiSupCon, all labels": ("pretrain_smsl", {}),
    "supervised, 5 % of labels": (
        "supervised",
        {**FIVE, "data.fully_supervised": False, "data.intrabatch_supervised_p": 1.0},
    ),
    "supervised, all labels": ("supervised", {}),
}
SHARES = (1, 10)
# Probes with all labels, with few labels, and of notes, which are not in the pretraining data.
PROBES = (
    Probe(("digit", "speaker", "instrument", "pitch")),
    *(
        Probe(("digit",), options={"train_share": share / 100}, note=f"{share} % of labels")
        for share in SHARES
    ),
    Probe(("speaker",), ("knn",)),
)
SETTINGS = (
    *(
        Setting(name, recipe, POOL | options, untrained=UNTRAINED.get(name))
        for name, (recipe, options) in ALONE.items()
    ),
    *(Setting(name, recipe, DIGIT | options) for name, (recipe, options) in LABELLED.items()),
    *baselines(),
)
COLUMNS = (
    *(Column(f"digit, {share} %", "digit", f"linear, {share} % of labels") for share in SHARES),
    Column("digit", "digit"),
    Column("speaker", "speaker"),
    Column("speaker, kNN", "speaker", "knn"),
    Column("instrument", "instrument"),
    Column("pitch, R2", "pitch", metric="r2"),
)
ROWS = (*ALONE, *LABELLED, *UNTRAINED.values(), *FEATURES)
TABLES = (Table("all", ROWS, COLUMNS, rank=True),)
STUDY = Study(
    "objectives",
    SETTINGS,
    PROBES,
    BASE | {"model.encoder": PLAIN},
    TABLES,
    ("CPC", "MFCL", "MT-SLVR, parallel, SimCLR", "supervised, 5 % of labels"),
)
