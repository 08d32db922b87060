"""Files with values that no audio has, damaged files and odd ones among good clips: each command
names the bad ones and uses the others."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.odd_files import good_clips, runs
from benchmarks.odd_inputs import ALL
from semisupcon import load_encoder

BAD = (
    "nan.wav",
    "huge.wav",
    "int16_scale.wav",
    "int16_lossy.ogg",
    "page.mp3",
    "rate_1.wav",
    "cut.wav",
    "cut_mpeg.mp3",
)
BAD += ("one_sample.wav", "link.wav")
SILENT = "opposite.wav"
GOOD = {
    "untagged.mp3": 4.1,
    "pipe.flac": 4,
    "died.wav": 4,
    "a.au": 4,
    "chained.ogg": 8,
    "a\uefe9.wav": 4,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Status and words of the five commands on one folder, after each other, and where they
    wrote."""
    place = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMISUPCON_CACHE", str(place / "cache"))
        good_clips(place / "audio")
        for odd in ALL:
            if odd.name in (*BAD, SILENT, *GOOD):
                odd.make(place / "audio" / "low" / odd.name)
        found = {"pretrain": runs(place / "audio", place, place)["pretrain"]()}
        (run,) = (place / "runs").iterdir()
        for name, start in list(runs(place / "audio", place, run).items())[1:]:
            found[name] = start()
    return found, place, run


@pytest.mark.parametrize("command", ["pretrain", "pack", "embed", "probe", "data check"])
def test_every_command_names_the_bad_files_and_no_good_one(ran, command):
    status, text = ran[0][command]
    assert status == 0 or command == "data check", text
    assert "Traceback" not in text
    if command == "data check":
        text = text[text.index("Unreadable:") : text.index("Clipped:")]
    told = "".join(
        line
        for line in text.splitlines(keepends=True)
        if re.search(r"cannot be used|eft out|could not|Unreadable|^  ", line)
    )
    for name in BAD:
        # A probe's line lists five.
        assert name in told or command == "probe", f"{name} is not named:\n{text}"
    assert sum(name in told for name in BAD) >= 5
    for name in GOOD:
        assert name not in told


def test_what_was_trained_is_finite_and_tells_clips_apart(ran):
    _, place, run = ran
    encoder = load_encoder(run)
    assert all(torch.isfinite(value).all() for value in encoder.state_dict().values())
    rows = encoder.embed(sorted((place / "audio" / "high").glob("*.wav")))
    assert np.isfinite(rows).all()
    assert len(np.unique(rows.round(6), axis=0)) == 10


def test_files_of_odd_length_are_packed_and_embedded_whole(ran):
    _, place, _ = ran
    packed = pd.read_parquet(place / "packed" / "clips.parquet").assign(
        file=lambda t: t["name"].str.split("/").str[-1]
    )
    seconds = (packed["frames"] / packed["sample_rate"]).set_axis(packed["file"])
    assert len(packed) == 20 + len(GOOD)
    embedded = pd.read_csv(place / "e.csv")["file"].str.split("/").str[-1].value_counts()
    for name, length in GOOD.items():
        assert seconds[name] == pytest.approx(length, abs=0.1)
        assert embedded[name] in (round(length), round(length) + 1)
    assert not {*BAD} & {*packed["file"], *embedded.index}
    assert SILENT not in set(packed["file"])
    assert np.isfinite(np.load(place / "e.npy")).all()
