"""Whatever decides which clips a batch holds, and how they are cropped, changes the fingerprint
that a resumed run is compared by."""

import pytest

from semisupcon.data.datamodule import AudioDataModule

OPTIONS = {
    "batch_size": 4,
    "num_workers": 0,
    "target_length": 0.1,
    "target_sample_rate": 8000,
    "val_split": 0.2,
}
CHANGES = [
    {"batch_size": 5},
    {"target_length": 0.11},
    {"views": 3},
    {"short_clips": "zero"},
    {"view_policy": "independent"},
    {"val_split": 0.4},
]


@pytest.fixture
def folder(write, tmp_path):
    for i in range(12):
        write(f"{i}.wav", samples=2000)
    return tmp_path


def fingerprint(folder, **changed) -> str:
    module = AudioDataModule(data_dir=str(folder), **OPTIONS | changed)
    module.setup()
    return module._fingerprint()


def test_the_fingerprint_is_of_all_that_decides(folder, write):
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    assert fingerprint(folder, num_workers=1) == before
    prints = [fingerprint(folder, **change) for change in CHANGES]
    assert len({before, *prints}) == 1 + len(CHANGES), [
        c for c, p in zip(CHANGES, prints, strict=True) if p == before
    ]
    # Without a split to draw, the seed decides order and crops alone.
    assert fingerprint(folder, val_split=0.0) != fingerprint(folder, val_split=0.0, seed=1)
    write("0.wav", samples=2001)
    assert fingerprint(folder) != before
