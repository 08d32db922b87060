"""Study of MFCL (Wang and van den Oord 2021) on FSDD, after the AudioMNIST exercise of MFCL.

It tests two input formats at once, augmentations, and crop lengths, with probes of digits and
speakers. The encoders are narrow, at 8 kHz: a small SampleCNN for waveforms and a ResNet-18 for
spectrograms. (The dilated CNN of the exercise is three times as expensive.) As published, there is
no projector, the temperature is 0.1, and the crops have 45 % of a clip and do not overlap.

The published time masks have less than a millisecond. This study uses gain, polarity inversion and
coloured noise to augment waveforms, and frequency masks to augment spectrograms.
"""

from pathlib import Path

import numpy as np

from benchmarks.evidence.questions import SPEAKERS, WITHOUT
from benchmarks.evidence.study import FEATURES, FSDD, LIGHT, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table
from benchmarks.recipes import ROOT
from semisupcon.plots import draw_scatter, save_figure
from semisupcon.probing.studies.maps import load_map

LOG_MEL = {
    "sample_rate": 8000,
    "n_fft": 256,
    "win_length": 200,
    "hop_length": 80,
    "padding": None,
    "n_mels": 40,
    "f_min": 0.0,
}
LOG_MEL |= {"f_max": 4000.0, "power": 2.0, "offset": 1e-6, "floor": 1e-6, "ceiling": 1e4}
FRONTEND = {"class_path": "LogMel", "init_args": LOG_MEL}
SHAPE = {"sample_rate": 8000, "segment_samples": 4000}
WAVEFORM = {
    "class_path": "SampleCNNSmall",
    "init_args": {"widths": [32, 32, 64, 128, 128], "stem": 9, **SHAPE},
}
SPECTROGRAM = {
    "class_path": "ResNet2d",
    "init_args": {"depth": 18, "width": 16, "out_dim": None, "frontend": FRONTEND, **SHAPE},
}


def both(waveform: dict, spectrogram: dict) -> dict:
    """Return the configuration of an encoder for both formats."""
    return {
        "class_path": "MultiFormat",
        "init_args": {"waveform": waveform, "spectrogram": spectrogram, "segment_samples": 4000},
    }


def wider(encoder: dict, **changed) -> dict:
    """Return the configuration of an encoder with changed arguments, such as its widths."""
    return encoder | {"init_args": encoder["init_args"] | changed}


MASKS = {
    "class_path": "semisupcon.augmentations.spectrogram.SpecAugment",
    "init_args": {"max_bands": 8, "max_frames": 0, "masks": 1, "fill": "mean"},
}

# A crop is a share of a clip, of which at most 0.7 s are used; 97 % of the clips are shorter.
# Probes use segments of 0.7 s.
CROPS = {
    "model.encoder": both(WAVEFORM, SPECTROGRAM),
    "data.ssl_task": "fsdd_digit",
    "data.target_length": 0.7,
    "data.crop_fraction": 0.45,
}
NOISY, MASKED = {"data.aug_list": LIGHT}, {"model.criterion.spec_augment": MASKS}
LABELS = {"data.sl_task": "fsdd_digit", "data.aug_list": LIGHT}
ALL = ("waveform", "spectrogram", "embedding")
NEIGHBOURS = {"neighbours": [3, 5, 10, 20, 50]}
SELF = (Probe(("digit",), representations=ALL), Probe(("speaker",), ("knn",), ALL, NEIGHBOURS))
SUPERVISED = (Probe(("digit",)), Probe(("speaker",), ("knn",), options=NEIGHBOURS))
# Probes of the setting whose t-SNE maps are drawn for the results page.
MAPPED = (
    *SELF,
    Probe(("digit", "speaker"), ("knn",), options={"projection": "tsne"}, note="mapped"),
)
CROP_LENGTHS = {
    "crops of 30 %": {"data.crop_fraction": 0.3},
    "crops of 60 %, overlapping": {"data.crop_fraction": 0.6, "data.crop_overlap": True},
}
WIDE = "both augmented, twice as wide and as long"
TWICE = both(wider(WAVEFORM, widths=[32, 64, 128, 256, 256]), wider(SPECTROGRAM, width=32))
AUGMENTED = ("no augmentation", "waveform augmented", "spectrogram augmented", "both augmented")
BEST = {**CROPS, **NOISY, **MASKED, "model.encoder": TWICE, "trainer.max_steps": 600}
LEFT_OUT = {name: f"twice as wide and as long, without {name}" for name in SPEAKERS}


def left_out(speaker: str) -> Setting:
    """Return the best setting, pretrained without a speaker, whose clips are the test clips.

    The six speakers replace seeds.
    """
    pool = {"data.ssl_task": WITHOUT, "data.ssl_kwargs": {"speaker": speaker}}
    probes = (Probe((f"digit of {speaker}",), representations=ALL),)
    return Setting(LEFT_OUT[speaker], "mfcl", BEST | pool, probes, seeds=(0,))


def pictures(runs: Path) -> None:
    """Draw t-SNE maps of the test clips of one run, coloured by digit and by speaker."""
    for task in ("digit", "speaker"):
        file = (
            runs
            / "both-augmented--twice-as-wide-and-as-long-0"
            / "probe-2"
            / "maps"
            / f"{task}-trained-embedding-tsne.json"
        )
        if file.exists():  # The file is missing if the runs are on another machine.
            found = load_map(file)
            figure = draw_scatter(
                np.array(found.points), found.labels, "MFCL, both formats: FSDD test clips", task
            )
            save_figure(figure, ROOT / "media" / f"evidence-mfcl-{task}.png", dpi=70)


SETTINGS = (
    Setting(
        "supervised, 1-D",
        "supervised",
        {**LABELS, "model.encoder": WAVEFORM},
        SUPERVISED,
        "untrained, 1-D",
    ),
    Setting(
        "supervised, 2-D",
        "supervised",
        {**LABELS, "model.encoder": SPECTROGRAM},
        SUPERVISED,
        "untrained, 2-D",
    ),
    Setting("no augmentation", "mfcl", CROPS, untrained="untrained, both"),
    Setting("waveform augmented", "mfcl", {**CROPS, **NOISY}),
    Setting("spectrogram augmented", "mfcl", {**CROPS, **MASKED}),
    Setting("both augmented", "mfcl", {**CROPS, **NOISY, **MASKED}),
    Setting(WIDE, "mfcl", BEST, MAPPED),
    *(Setting(name, "mfcl", {**CROPS, **crop}) for name, crop in CROP_LENGTHS.items()),
    *(left_out(speaker) for speaker in SPEAKERS),
    *baselines(Probe(("digit",)), Probe(("speaker",), ("knn",), options=NEIGHBOURS)),
)
PARTS = {"waveform": "1-D", "spectrogram": "2-D", "embedding": "both"}
DIGITS = tuple(
    Column(f"digit, {name}", "digit", representation=part) for part, name in PARTS.items()
)
TABLES = (
    Table(
        "supervised",
        ("supervised, 1-D", "supervised, 2-D", "untrained, 1-D", "untrained, 2-D", *FEATURES),
        (Column("digit", "digit"), Column("speaker, kNN", "speaker", "knn")),
        {
            "1-D (10 digits, chance 10 %; 20 speakers, 5 %)": ("98.4", "86.2"),
            "2-D (the same)": ("99.2", "19.3"),
        },
    ),
    Table(
        "digits",
        (*AUGMENTED, WIDE, *CROP_LENGTHS, "untrained, both", *FEATURES),
        DIGITS,
        {"spectrogram augmented, the best (10 digits, chance 10 %)": ("", "92.7", "")},
    ),
    Table(
        "speakers",
        (*AUGMENTED, WIDE, *CROP_LENGTHS, "untrained, both", *FEATURES),
        tuple(Column(f"speaker, {name}", "speaker", "knn", part) for part, name in PARTS.items()),
        {"no augmentation (20 speakers, chance 5 %)": ("82.5", "21.9", "")},
    ),
    Table("unheard", tuple(LEFT_OUT.values()), DIGITS, mean="mean over speakers"),
)
STUDY = Study(
    "mfcl",
    SETTINGS,
    SELF,
    {**FSDD, "data.batch_size": 48, "trainer.max_steps": 300, "model.optimizer.init_args.lr": 3e-3},
    TABLES,
    ("supervised, 2-D", "both augmented"),
    pictures,
)
