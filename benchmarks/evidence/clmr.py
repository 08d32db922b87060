"""Study of CLMR (Spijkervet and Burgoyne 2021) on FSDD.

It compares each augmentation alone with the whole chain, linear with MLP probes, and different
numbers of labels. The encoder is a small SampleCNN at 8 kHz; the paper uses SampleCNN on 2.7 s of
music at 22 kHz. The temperature of 0.5 and the 512-64 projector are those of the paper.
"""

from benchmarks.evidence.mfcl import SHAPE
from benchmarks.evidence.study import FEATURES, FSDD, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table

ENCODER = {
    "class_path": "SampleCNNSmall",
    "init_args": {"widths": [32, 32, 64, 128, 128], "stem": 9, **SHAPE},
}
BASE = {**FSDD, "model.encoder": ENCODER, "data.batch_size": 32, "trainer.max_steps": 250}
NOTHING = dict.fromkeys(("polarity", "noise", "gain", "filters", "delay", "pitch", "reverb"), 0.0)
SHARES = (1, 10, 100)


def chain(**probabilities: float) -> dict:
    """Return options for the published chain with other probabilities."""
    init = {"sample_rate": 8000} | probabilities
    return {
        "data.aug_list": [
            {"class_path": "semisupcon.augmentations.published.CLMRChain", "init_args": init}
        ]
    }


def semitones(most: float) -> dict:
    """Return options for pitch shifts of at most ``most`` semitones, without other augmentations.

    Published shifts have up to 7 semitones, which changes formants by half of their frequency.
    """
    init = {"sample_rate": 8000, "min_semitones": -most, "max_semitones": most}
    return {"data.aug_list": [{"class_path": "PitchShift", "init_args": init}]}


def probe(share: int) -> Probe:
    """Return the linear and the MLP probe with ``share`` percent of the labels."""
    options = {} if share == 100 else {"train_share": share / 100}
    return Probe(
        ("digit",),
        ("linear", "mlp"),
        options=options,
        note="" if share == 100 else f"{share} % of labels",
    )


FEW = tuple(map(probe, SHARES))
NEARLY, LEVEL = "pitch alone, one semitone", "whole chain but for pitch"
ALONE = tuple(f"{name} alone" for name in NOTHING)
SETTINGS = (
    Setting("crops alone", "clmr", {"data.aug_list": []}, FEW, "untrained"),
    *(
        Setting(name, "clmr", chain(**NOTHING | {operator: 1.0}))
        for name, operator in zip(ALONE, NOTHING, strict=True)
    ),
    Setting(NEARLY, "clmr", semitones(1)),
    Setting("whole chain", "clmr", {"data.aug_list": ["clmr"]}, FEW),
    Setting(LEVEL, "clmr", chain(pitch=0.0)),
    Setting(
        "supervised",
        "supervised",
        {"data.ssl_task": None, "data.sl_task": "fsdd_digit", "data.aug_list": []},
        FEW,
    ),
    *baselines(*FEW),
)
ENDS = ("crops alone", "whole chain", "supervised", "untrained", *FEATURES)


def few(share: int, method: str) -> Column:
    """Return the column of a probe with ``share`` percent of the labels."""
    return Column(
        f"{method}, {share} %",
        "digit",
        method if share == 100 else f"{method}, {share} % of labels",
    )


# Average precision over 50 tags. With 1 % of the labels, the paper fine-tunes the encoder.
PUBLISHED = {
    "CLMR (MagnaTagATune, average precision)": ("33.1", "", "35.6", "", "", "36.0"),
    "supervised SampleCNN (the same)": ("", "", "34.4", "", "", ""),
}
TABLES = (
    Table(
        "augmentations",
        ("crops alone", *ALONE, NEARLY, "whole chain", LEVEL, "untrained", *FEATURES),
        (Column("digit", "digit"), Column("digit, MLP", "digit", "mlp")),
    ),
    Table(
        "few_labels",
        ENDS,
        tuple(few(share, method) for method in ("linear", "mlp") for share in SHARES),
        PUBLISHED,
    ),
)
STUDY = Study(
    "clmr",
    SETTINGS,
    (probe(100),),
    BASE | {"data.ssl_task": "fsdd_digit"},
    TABLES,
    ("whole chain", "reverb alone"),
)
