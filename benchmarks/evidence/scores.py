"""Study of SemiSupCon (Guinot et al. 2024) on rendered scores (docs/scores.md).

It asks what the labels of one question, the instrument families, do to this question and to three
others: key, density of notes, and genre. The number of labels, the share of labelled clips in a
batch, and pitch shift as an augmentation vary. The encoder is a narrow ResNet-18 on log-mel bands
of 3 s. ``scores`` in the folder of all data sets is the folder that ``python -m benchmarks.scores
build`` has built.
"""

from benchmarks.evidence.study import FEATURES, LIGHT, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table

SHAPE = {"sample_rate": 22050, "segment_samples": 66150}
FRONTEND = {
    "class_path": "LogMel",
    "init_args": {"sample_rate": 22050, "n_fft": 1024, "hop_length": 512, "n_mels": 64},
}
ENCODER = {
    "class_path": "ResNet2d",
    "init_args": {"depth": 18, "width": 12, "out_dim": None, "frontend": FRONTEND, **SHAPE},
}
OPTIONS = {
    "data.data_dir": "scores",
    "data.target_sample_rate": 22050,
    "data.target_length": 3.0,
    "data.aug_list": LIGHT,
    "data.batch_size": 32,
    "model.encoder": ENCODER,
    "trainer.max_steps": 1000,
}
SELF, TAGS = {"data.ssl_task": "scores_tags"}, {"data.sl_task": "scores_tags"}
SHIFTED = {"data.aug_list": [*LIGHT, "pitch_shift"]}
SHARES = {p: f"{p} % of tags" for p in (1, 10, 100)}
IN_BATCH = {p: f"{p} % of the batch labelled" for p in (25, 75, 100)}


def tagged(name: str, share: int = 100, in_batch: int = 50) -> Setting:
    """Return a semi-supervised setting with shares of labels and of each batch, in percent."""
    options = {
        "data.supervised_data_p": share / 100,
        "data.intrabatch_supervised_p": in_batch / 100,
    }
    return Setting(name, "pretrain_smsl", TAGS | options)


SETTINGS = (
    Setting("self-supervised", "pretrain_ssl", SELF, untrained="untrained"),
    Setting("self-supervised, pitch shift", "pretrain_ssl", SELF | SHIFTED),
    *(tagged(name, share=p) for p, name in SHARES.items()),
    *(tagged(name, in_batch=p) for p, name in IN_BATCH.items()),
    Setting("supervised", "pretrain_sl", TAGS),
    *baselines(),
)
ASKED = (
    Column("tags, ROC-AUC", "score tags", metric="roc_auc"),
    Column("key", "score key"),
    Column("density, R2", "score density", metric="r2"),
    Column("genre", "score genre"),
)
ENDS = ("untrained", *FEATURES)
TABLES = (
    Table(
        "labels",
        ("self-supervised", *SHARES.values(), "supervised", *ENDS),
        ASKED,
    ),
    Table("batch", ("self-supervised", IN_BATCH[25], SHARES[100], *list(IN_BATCH.values())[1:]), ASKED),
    Table("shift", ("self-supervised", "self-supervised, pitch shift", *ENDS), ASKED),
)  # fmt: skip
STUDY = Study(
    "scores",
    SETTINGS,
    (Probe(("score tags", "score key", "score density", "score genre")),),
    OPTIONS,
    TABLES,
    ("self-supervised", "10 % of tags", "mfcc"),
)
