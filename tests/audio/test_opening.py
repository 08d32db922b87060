"""Each odd file of the benchmark gets one verdict: its true length and exact seeking, or one reason
not to use it."""

import numpy as np
import pytest
import soundfile as sf

from benchmarks.odd_inputs import (
    FORMATS,
    HEADERS,
    LENGTHS,
    NO_AUDIO,
    VALUES,
    mp3,
    noise,
    without_tag,
    written,
)
from semisupcon.audio import mpeg
from semisupcon.audio.decoding import AudioFile, Part, Sound
from semisupcon.audio.opening import open_audio
from semisupcon.audio.reading import probe_file, read
from semisupcon.audio.scan import examine
from semisupcon.audio.values import OPPOSITE, SILENT
from semisupcon.errors import AudioError

FILES = [
    odd
    for odd in (*VALUES, *LENGTHS, *HEADERS, *FORMATS, *NO_AUDIO)
    if not odd.name.endswith((".m4a", ".WMA", ".webm"))
]


@pytest.mark.parametrize("odd", FILES, ids=[odd.name for odd in FILES])
def test_one_verdict(odd, tmp_path):
    path = tmp_path / odd.name
    odd.make(path)
    facts = examine(str(path))
    assert bool(facts.problem) == (odd.seconds == 0), facts
    if facts.problem in (SILENT, OPPOSITE):
        assert not np.abs(read(path)).max() > 1e-4
    elif facts.problem:
        with pytest.raises(AudioError) as error:
            read(path)
        # A scan may meet another sample first.
        first, second = (
            problem.split(" at ")[0].split(" of magnitude ")[0]
            for problem in (error.value.problem, facts.problem)
        )
        assert first == second
        assert str(path) in str(error.value)
        assert str(error.value).count("\n") == 2
    elif odd.seconds:
        whole = read(path)
        assert facts.frames == len(whole) == probe_file(path).frames
        assert len(whole) / facts.sample_rate == pytest.approx(odd.seconds, abs=0.1)
        assert (
            np.abs(whole[-facts.sample_rate // 2 :]).max() > 1e-3
        )  # the end is audio, not padding
        for start in (1, len(whole) // 3, len(whole) // 2 + 777, len(whole) - 500):
            np.testing.assert_allclose(
                read(path, start, 400), whole[start : start + 400], atol=1e-6
            )


def test_an_mp3_without_tag_gives_what_the_decoder_gives(tmp_path):
    """Where libsndfile stops early, the samples up to there are its own; a known length spares the
    walk and changes nothing."""
    path = tmp_path / "a.mp3"
    path.write_bytes(without_tag(mp3()(path)))
    theirs, ours = sf.read(path, dtype="float32")[0], read(path)
    assert len(theirs) < 0.6 * len(ours)
    np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=1e-4)
    with open_audio(path, frames=len(ours)) as file:
        np.testing.assert_array_equal(file.read()[:, 0], ours)
        assert file.read(10).shape == (0, 1)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize(("channels", "mode"), [(1, "CONSTANT"), (2, "VARIABLE")])
def test_frames_are_counted_at_every_rate(tmp_path, rate, channels, mode):
    path = tmp_path / "a.mp3"
    written(path, noise(1.5, rate, channels), rate, bitrate_mode=mode, compression_level=0.4)
    tagged = path.read_bytes()
    assert probe_file(path).frames == round(1.5 * rate)
    path.write_bytes(without_tag(tagged) + b"TAG" + b"x" * 125)
    walk = mpeg.walk(path)
    assert 0 <= walk.total - round(1.5 * rate) < mpeg.TRIMMED
    assert probe_file(path).frames == walk.total == len(read(path))


def test_junk_and_tags_around_and_between_frames_are_passed_over(tmp_path):
    path = tmp_path / "a.mp3"
    frames = without_tag(mp3()(path))
    path.write_bytes(frames)
    length = len(read(path))
    id3 = b"ID3\4\0\0\0\0\1\x00" + b"\xff\xfb\x90" * 42 + b"\0\0"
    ape = b"APETAGEX" + b"\xd0\x07\0\0" + (40).to_bytes(4, "little") + bytes(16) + b"\xff" * 40
    for before, between in (
        (id3, b""),
        (bytes(5000), b""),
        (b"", id3),
        (b"", bytes(3000)),
        (id3, ape),
    ):
        path.write_bytes(before + frames + between + frames)
        assert len(read(path)) == pytest.approx(2 * length, abs=2 * 576)


def test_a_flac_of_unknown_length_is_found_by_its_last_frame(tmp_path):
    path = tmp_path / "a.flac"
    for samples in (4096, 4097, 9, 123_456):
        data = bytearray(written(path, noise(samples / 8000, channels=2), subtype="PCM_24"))
        data[21] &= 0xF0
        data[22:26] = bytes(4)
        path.write_bytes(data)
        assert probe_file(path).frames == samples == len(read(path))
    path.write_bytes(data[:-50])  # cut off as well: its last frame is lost
    assert 100_000 < len(read(path)) < 123_456


def test_a_header_may_state_ten_milliseconds_more_than_can_be_decoded(tmp_path):
    """Encoders round lengths up. What is missing beyond that is a truncated file."""
    path = tmp_path / "a.flac"
    data = bytearray(written(path, noise(1, 8000), 8000))
    total = int.from_bytes(data[22:26], "big")
    for more, whole in ((80, True), (81, False)):
        data[22:26] = (total + more).to_bytes(4, "big")
        path.write_bytes(data)
        if whole:
            assert len(read(path)) == total
        else:
            with pytest.raises(AudioError, match=f"truncated: {total} of {total + more} samples"):
                read(path)


def test_a_known_length_is_exact(tmp_path):
    """Where a scan has counted the samples, none may be missing."""
    path = tmp_path / "a.wav"
    written(path, noise(1, 8000), 8000)
    with (
        pytest.raises(AudioError, match="truncated: 8000 of 8001 samples"),
        AudioFile(path, [Part(lambda: Sound(path), 8001)]) as file,
    ):
        file.read()


def test_bytes_after_the_last_page_of_an_ogg_file_are_passed_over(tmp_path):
    path = tmp_path / "a.ogg"
    pages = written(path, noise(1, 8000), 8000)
    length = len(read(path))
    for streams in (1, 2):
        path.write_bytes(pages * streams + b"TAG" + b"x" * 125)
        assert len(read(path)) == streams * length


def test_two_frames_are_mp3_where_nothing_follows_them(tmp_path):
    """Random bytes look like one or two frames; less than a header may follow the last frame."""
    path = tmp_path / "a.mp3"
    frames = without_tag(mp3()(path))
    size = mpeg.header(frames[:4]).size
    second = mpeg.header(frames[size : size + 4]).size
    for rest, found in ((0, True), (4, True), (5, False)):
        path.write_bytes(frames[: size + second] + bytes(rest))
        assert (mpeg.walk(path) is not None) == found


def test_the_samples_beside_the_checkout(shared):
    folder = shared("awkward")
    right = {
        "loudfirst_pipe.mp3": 20,
        "vbr_noxing.mp3": 4,
        "pipe.flac": 4,
        "hdr_datalen0.wav": 4,
        "gtzan.au": 4,
    }
    for name, seconds in right.items():
        facts = examine(str(folder / name))
        assert facts.problem == ""
        assert facts.frames / facts.sample_rate == pytest.approx(seconds, abs=0.06)
    wrong = {
        "html.mp3": "web page",
        "c.m4a": "convert it: ffmpeg",
        "nan.wav": "NaN samples",
        "float_1e29.wav": "magnitude 1e+29",
    }
    for name, words in wrong.items():
        assert words in examine(str(folder / name)).problem
