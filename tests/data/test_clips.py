"""What a view holds are the samples of the file that its crop says, resampled to the exact length,
and short clips are made long enough."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisupcon.audio.reading import probe_file, read, read_spans
from semisupcon.data.clips import Clips
from semisupcon.datasets import LabelledClips
from semisupcon.errors import AudioError, ConfigError
from semisupcon.random import make_keys


def table_of(paths):
    info = [probe_file(p) for p in paths]
    rows = pd.DataFrame(
        {
            "path": [str(p) for p in paths],
            "name": [p.name for p in paths],
            "source": "unlabelled",
            "split": "train",
            "clip": np.arange(len(paths)) + 100,
            "frames": [i.frames for i in info],
            "sample_rate": [i.sample_rate for i in info],
        }
    )
    return LabelledClips(
        rows, np.full((len(paths), 2), np.nan, np.float32), ("a", "b"), "multilabel"
    )


def items_of(n, seed=0):
    keys = make_keys(seed, torch.zeros(n, dtype=torch.long), torch.arange(n) + 100, 1)[:, 0]
    return list(zip(range(n), keys.tolist(), strict=True))


def test_adjacent_views_are_one_stretch_of_the_file(write):
    path = write("a.wav", samples=5000, subtype="FLOAT")
    whole = read(path)
    batch = Clips(table_of([path]), 8000, 600, views=3)[items_of(1)[0]]
    stretch = batch["audio"].flatten().numpy()
    places = [
        s for s in range(len(whole) - 1800 + 1) if np.array_equal(whole[s : s + 1800], stretch)
    ]
    assert len(places) == 1


def test_independent_views_are_stretches_of_the_file(write):
    path = write("a.flac", samples=5000)
    whole = read(path)
    batch = Clips(table_of([path]), 8000, 600, views=4, policy="independent")[items_of(1)[0]]
    starts = [
        next(s for s in range(len(whole)) if np.array_equal(whole[s : s + 600], view))
        for view in batch["audio"][:, 0].numpy()
    ]
    assert len(set(starts)) == 4


def test_a_batch_is_its_items(write):
    paths = [
        write(f"{i}.wav", samples=700 + 400 * i, sample_rate=rate)
        for i, rate in enumerate((8000, 16000, 44100, 8000))
    ]
    clips = Clips(table_of(paths), 8000, 500)
    batch = clips.__getitems__(items_of(4))
    for i, item in enumerate(items_of(4)):
        one = clips[item]
        for name, value in one.items():
            torch.testing.assert_close(value, batch[name][i], rtol=0, atol=0, equal_nan=True)
    assert batch["clip"].tolist() == [100, 101, 102, 103]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    samples=st.integers(100, 30_000),
    own_rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000]),
    sample_rate=st.sampled_from([8000, 16000, 22050]),
    length=st.integers(50, 12_000),
    views=st.integers(1, 4),
    policy=st.sampled_from(["adjacent", "independent"]),
    short=st.sampled_from(["circular", "zero"]),
)
def test_the_length_is_exact_for_any_file(
    write, samples, own_rate, sample_rate, length, views, policy, short
):
    path = write("a.wav", samples=samples, sample_rate=own_rate)
    batch = Clips(table_of([path]), sample_rate, length, views, policy, short)[
        items_of(1, samples)[0]
    ]
    assert batch["audio"].shape == (views, 1, length)
    assert torch.isfinite(batch["audio"]).all()
    available = max(1, min(length, samples * sample_rate // own_rate))
    assert (batch["length"] == (length if short == "circular" else available)).all()


def test_short_clips_repeat_from_their_beginning_or_end_in_silence(write):
    path = write("a.wav", samples=100, subtype="FLOAT")
    whole = read(path)
    circular = Clips(table_of([path]), 8000, 250)[items_of(1)[0]]
    np.testing.assert_array_equal(
        circular["audio"][0, 0], np.concatenate([whole, whole, whole[:50]])
    )
    assert circular["length"].tolist() == [250, 250]
    zero = Clips(table_of([path]), 8000, 250, short_clips="zero")[items_of(1)[0]]
    np.testing.assert_array_equal(zero["audio"][0, 0], np.concatenate([whole, np.zeros(150)]))
    assert zero["length"].tolist() == [100, 100]


def test_short_clips_are_refused_by_name(write):
    paths = [write("long.wav", samples=400), write("short.wav", samples=399)]
    with pytest.raises(
        AudioError,
        match=r"(?s)1 of 2 clips are shorter than a view of 0.05 s.*short\.wav \(0\.05 s\)",
    ):
        Clips(table_of(paths), 8000, 400, short_clips="refuse")
    Clips(table_of(paths[:1]), 8000, 400, short_clips="refuse")


def test_a_clip_of_exactly_the_needed_length(write):
    path = write("a.wav", samples=1200, subtype="FLOAT")
    for policy in ("adjacent", "independent"):
        batch = Clips(table_of([path]), 8000, 1200, policy=policy, short_clips="refuse")[
            items_of(1)[0]
        ]
        np.testing.assert_array_equal(batch["audio"][1, 0], read(path))
    joint = Clips(table_of([path]), 8000, 600)[items_of(1)[0]]["audio"]
    np.testing.assert_array_equal(joint.flatten(), read(path))


def test_whole_clips_are_padded_to_the_longest_and_to_what_the_encoder_needs(write):
    paths = [
        write("a.wav", samples=100, subtype="FLOAT"),
        write("b.wav", samples=300, subtype="FLOAT"),
    ]
    batch = Clips(table_of(paths), 8000, None, policy="whole").__getitems__(items_of(2))
    assert batch["audio"].shape == (2, 2, 1, 300)
    assert batch["length"].tolist() == [[100, 100], [300, 300]]
    np.testing.assert_array_equal(
        batch["audio"][0, 0, 0], np.concatenate([read(paths[0]), np.zeros(200)])
    )
    assert (
        Clips(table_of(paths), 8000, None, policy="whole", min_samples=512)
        .__getitems__(items_of(2))["audio"]
        .shape[-1]
        == 512
    )


def test_whole_clips_of_a_given_length_are_filled_to_it(write):
    paths = [
        write("a.wav", samples=100, subtype="FLOAT"),
        write("b.wav", samples=300, subtype="FLOAT"),
    ]
    batch = Clips(table_of(paths), 8000, 250, policy="whole").__getitems__(items_of(2))
    assert batch["audio"].shape == (2, 2, 1, 250)
    assert (batch["length"] == 250).all()
    sound = read(paths[0])
    np.testing.assert_array_equal(
        batch["audio"][0, 1, 0], np.concatenate([sound, sound, sound[:50]])
    )
    assert torch.equal(batch["audio"][:, 0], batch["audio"][:, 1])
    zero = Clips(table_of(paths), 8000, 250, policy="whole", short_clips="zero").__getitems__(
        items_of(2)
    )
    np.testing.assert_array_equal(zero["audio"][0, 0, 0], np.concatenate([sound, np.zeros(150)]))
    assert zero["length"].tolist() == [[100, 100], [250, 250]]
    with pytest.raises(AudioError, match=r"a\.wav"):
        Clips(table_of(paths), 8000, 250, policy="whole", short_clips="refuse")


@pytest.mark.parametrize("views", [1, 2, 3])
def test_parts_follow_each_other_and_cover_the_clip(write, views):
    path = write("a.wav", samples=100, subtype="FLOAT")
    batch = Clips(table_of([path]), 8000, None, views, policy="parts")[items_of(1)[0]]
    part = 100 // views
    assert batch["length"].tolist() == [part] * views
    np.testing.assert_array_equal(batch["audio"].flatten(), read(path)[: part * views])
    tiny = table_of([path]).assign(frames=1)
    assert (
        Clips(tiny, 8000, None, views, policy="parts")[items_of(1)[0]]["length"].tolist()
        == [1] * views
    )


def test_gapped_crops_have_a_share_of_each_clip(write):
    paths = [write("a.wav", samples=1000), write("b.wav", samples=3000, sample_rate=16000)]
    batch = Clips(table_of(paths), 8000, None, policy="gapped", crop_fraction=0.4).__getitems__(
        items_of(2)
    )
    assert batch["length"].tolist() == [[400, 400], [600, 600]]
    limited = Clips(table_of(paths), 8000, 500, policy="gapped", crop_fraction=0.4).__getitems__(
        items_of(2)
    )
    assert limited["length"].tolist() == [[200, 200], [200, 200]]


def test_another_pass_cuts_elsewhere_and_the_same_key_the_same(write):
    clips = Clips(table_of([write("a.wav", samples=9000)]), 8000, 500)
    first, again, other = (
        clips[items_of(1)[0]],
        clips[items_of(1)[0]],
        clips[items_of(1, seed=1)[0]],
    )
    assert torch.equal(first["audio"], again["audio"])
    assert not torch.equal(first["audio"], other["audio"])


def test_a_file_that_fails_once_is_read_again_and_then_given_up(write, monkeypatch):
    path = write("a.wav", samples=600)
    clips = Clips(table_of([path]), 8000, 300)
    clips.audio.patience = 0.0
    calls = []

    def stumbles(*args):
        calls.append(args)
        if len(calls) == 1:
            raise AudioError("input/output error")
        return read_spans(*args)

    monkeypatch.setattr("semisupcon.data.clips.read_spans", stumbles)
    assert clips[items_of(1)[0]]["audio"].shape == (2, 1, 300)
    monkeypatch.undo()
    path.write_text("no audio any more")
    with pytest.raises(AudioError, match=r"a\.wav"):
        clips[items_of(1)[0]]


def test_settings_that_do_not_go_together(write):
    table = table_of([write("a.wav")])
    with pytest.raises(ConfigError, match="short_clips must be one of circular, zero, refuse"):
        Clips(table, 8000, 100, short_clips="mirror")
    with pytest.raises(ConfigError, match="needs the length of a view"):
        Clips(table, 8000, None)
