"""Whatever decides which clips a batch holds, and how they are cropped, changes the fingerprint
that a resumed run is compared by."""

from types import SimpleNamespace

import pytest

from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.loader import EndlessLoader

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


def test_checkpoints_of_version_0_1_are_recognised(tmp_path, write):
    """The fingerprint, the first batch and the validation clips that version 0.1 had here."""
    lines = ["path,label,split"]
    for i in range(8):
        write(f"{i}.wav", samples=2000 + 100 * i)
        lines += [f"{i}.wav,{'ab'[i % 2]},train"] * (i % 2)
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    options = OPTIONS | {"val_split": 0.3}
    module = AudioDataModule(sl_task="csv", data_dir=str(tmp_path), **options)
    module.setup()
    loader = module.train_dataloader()
    assert loader.older() == "5453926c7f262e67"
    first = [3630154719902843445, 4141443671985206029, 4531348113632568252, 552241099753983388]
    assert next(iter(loader))["clip"].tolist() == first
    (validation,) = module.val_dataloader()
    assert validation["clip"].tolist() == [8772616315006807950, 1689387089364017199]


@pytest.mark.parametrize("stored", ["5453926c7f262e67", "2-0123", "0123456789abcdef", None])
def test_other_clips_are_told(stored, caplog):
    loader = EndlessLoader(
        SimpleNamespace(), [[0]], lambda: 0, "2-0123", older=lambda: "5453926c7f262e67"
    )
    loader.load_state_dict({"batches_done": 3, "fingerprint": stored})
    same = stored in ("5453926c7f262e67", "2-0123")
    assert ("differ from the resumed run" in caplog.text) == (not same)
