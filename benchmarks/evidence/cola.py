"""Study of COLA (Saeed et al. 2021) on FSDD.

It compares similarities, batch sizes, one or both directions of the loss, and spectrogram masks on
the positives or on both crops. The encoder is a narrow ResNet-18 on log-mel bands at 8 kHz. All
batch sizes use the same total number of clips.
"""

from benchmarks.evidence.mfcl import SPECTROGRAM
from benchmarks.evidence.study import FEATURES, FSDD, Probe, Setting, Study, baselines
from benchmarks.evidence.tables import Column, Table
from semisupcon.objectives import COLA


class MasksBoth(COLA):
    """COLA with spectrogram masks on anchors and positives."""

    def _on_positives(self, features, key):
        return self.spec_augment(features, key)


INIT = SPECTROGRAM["init_args"] | {"out_dim": None, "pool": None, "normalize": {"class_path": "L2"}}
# Crops of 0.2 s: two crops of a digit, which is about 0.4 s long, seldom have the same content.
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
    """Return the options of a batch size, with the same total number of clips for all sizes."""
    return {"data.batch_size": size, "trainer.max_steps": CLIPS // size}


SETTINGS = (
    Setting("bilinear, batch of 48", "cola", untrained="untrained"),
    Setting("cosine, batch of 48", "cola", COSINE),
    Setting("both directions", "cola", {"model.criterion.symmetric": True}),
    Setting("masks on the positive", "cola", {"model.criterion.spec_augment": MASKS}),
    Setting("masks on both", "cola", {"model.criterion": BOTH}),
    *(Setting(name, "cola", sized(size)) for size, name in BATCHES.items()),
    *baselines(),
)
ASKED = (Column("digit", "digit"), Column("speaker", "speaker"))
# Published results on Speech Commands v1 (instead of digits) and VoxCeleb (instead of speakers).
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
        (
            "bilinear, batch of 48",
            "cosine, batch of 48",
            "both directions",
            "untrained",
            *FEATURES,
        ),
        ASKED,
        PUBLISHED,
    ),
    Table(
        "batch",
        (BATCHES[16], "bilinear, batch of 48", BATCHES[96], BATCHES[192], *FEATURES),
        ASKED,
        SIZES,
    ),
    Table(
        "masks",
        ("bilinear, batch of 48", "masks on the positive", "masks on both", *FEATURES),
        ASKED,
    ),
)
STUDY = Study(
    "cola",
    SETTINGS,
    (Probe(("digit", "speaker")),),
    OPTIONS | sized(BATCH),
    TABLES,
    ("cosine, batch of 48", "masks on both"),
)
