"""COLA on FSDD (Saeed et al. 2021): which similarity, how large a batch, one direction or both,
masks on the positive or on both.

A narrow ResNet-18 on log-mel bands of half-second crops at 8 kHz. Batches of different sizes see
the same number of clips.
"""

from benchmarks.evidence.mfcl import SPECTROGRAM
from benchmarks.evidence.study import FSDD, Probe, Setting, Study
from benchmarks.evidence.tables import Column, Table
from semisupcon.objectives import COLA


class MasksBoth(COLA):
    """COLA with its spectrogram masks on anchors too."""

    def _on_positives(self, features, key):
        return self.spec_augment(features, key)


INIT = SPECTROGRAM["init_args"] | {"out_dim": None, "pool": None, "normalize": {"class_path": "L2"}}
# Crops of a fifth of a second: two of them seldom show the same part of a digit of four.
OPTIONS = {
    **FSDD,
    "data.ssl_task": "fsdd_digit",
    "data.target_length": 0.2,
    "model.encoder": SPECTROGRAM | {"init_args": INIT},
}
CLIPS, BATCH = 256 * 48, 48
BATCHES = {size: f"batch of {size}" for size in (16, 96, 192)}
LINEAR = {"class_path": "LinearHead", "init_args": {"out_dim": 128}}
HEAD = {"class_path": "COLAHead", "init_args": {"out_dim": 128}}
BILINEAR = {"class_path": "Bilinear", "init_args": {"dim": 128, "initial_scale": 0.05}}
MASKS = {
    "class_path": "semisupcon.augmentations.spectrogram.SpecAugment",
    "init_args": {"max_bands": 8, "max_frames": 6, "masks": 1},
}
BOTH = {"class_path": "benchmarks.evidence.cola.MasksBoth"}
BOTH["init_args"] = {"projector": HEAD, "similarity": BILINEAR, "spec_augment": MASKS}
COSINE = {"model.criterion.projector": LINEAR, "model.criterion.similarity": "Cosine"}


def sized(size: int) -> dict:
    """A batch size, and the steps in which it sees as many clips as every other."""
    return {"data.batch_size": size, "trainer.max_steps": CLIPS // size}


SETTINGS = (
    Setting("bilinear, batch of 48", "cola", untrained="untrained"),
    Setting("cosine, batch of 48", "cola", COSINE),
    Setting("both directions", "cola", {"model.criterion.symmetric": True}),
    Setting("masks on the positive", "cola", {"model.criterion.spec_augment": MASKS}),
    Setting("masks on both", "cola", {"model.criterion": BOTH}),
    *(Setting(name, "cola", sized(size)) for size, name in BATCHES.items()),
)
ASKED = (Column("digit", "digit"), Column("speaker", "speaker"))
# Speech Commands v1 stands for our digits, VoxCeleb for our speakers.
PUBLISHED = {
    "bilinear, batch of 1,024 (Speech Commands v1, 11 classes; VoxCeleb, 1,251)": ("71.7", "29.9"),
    "cosine, batch of 1,024 (the same)": ("64.5", "15.2"),
    "untrained (the same)": ("62.9", "0.0"),
}
SIZES = {
    "batch of 256 (Speech Commands v1, 11 classes; VoxCeleb, 1,251)": ("66.9", "17.6"),
    "batch of 512": ("69.4", "21.6"),
    "batch of 1,024": ("71.7", "29.9"),
    "batch of 2,048": ("72.9", "22.8"),
}
TABLES = (
    Table(
        "similarity",
        ("bilinear, batch of 48", "cosine, batch of 48", "both directions", "untrained"),
        ASKED,
        PUBLISHED,
    ),
    Table("batch", (BATCHES[16], "bilinear, batch of 48", BATCHES[96], BATCHES[192]), ASKED, SIZES),
    Table("masks", ("bilinear, batch of 48", "masks on the positive", "masks on both"), ASKED),
)
STUDY = Study(
    "cola",
    SETTINGS,
    (Probe(("digit", "speaker")),),
    OPTIONS | sized(BATCH),
    TABLES,
    ("cosine, batch of 48", "masks on both"),
)
