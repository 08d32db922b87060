"""The command that lets one listen to a configuration."""

import numpy as np
import pytest
import soundfile

from semisupcon.__main__ import main
from semisupcon.commands.hear import spectrogram_db

CONFIG = """
data:
  class_path: AudioDataModule
  init_args:
    aug_list: [polarity_inversion, gain]
    severity_modifier: 4
    target_sample_rate: 8000
"""


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16000) * 0.1), 16000)
    return path


def hear(*arguments):
    return main(["hear", *map(str, arguments)])


def test_writes_original_views_and_picture(clip, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    out = tmp_path / "out"
    assert hear(clip, "--config", config, "--views", 3, "--seconds", 0.5, "--out", out) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        ".hear.json",
        "original.wav",
        "spectrograms.png",
        "view_1.wav",
        "view_2.wav",
        "view_3.wav",
    ]
    original, rate = soundfile.read(out / "original.wav")
    assert rate == 8000
    assert len(original) == 4000
    told = capsys.readouterr().out
    for i in range(1, 4):
        view, _ = soundfile.read(out / f"view_{i}.wav")
        story = next(line for line in told.splitlines() if f"view_{i}" in line)
        factor = view[100:] / np.where(original[100:] == 0, 1, original[100:])
        gain = float(story.split("gain_db ")[1].split(")")[0]) if "gain_db" in story else 0.0
        sign = -1 if "polarity_inversion" in story else 1
        assert np.median(factor) == pytest.approx(sign * 10 ** (gain / 20), rel=1e-3)


def test_a_later_configuration_and_the_command_line_override(clip, tmp_path, capsys):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(CONFIG)
    second.write_text("data: {init_args: {aug_list: [reverb]}}")
    hear(clip, "--config", first, "--config", second, "--severity", 5, "--out", tmp_path / "out")
    assert "reverb (reverberance 100" in capsys.readouterr().out
    hear(
        clip,
        "--aug_list",
        "reverse",
        "--severity",
        5,
        "--sample_rate",
        16000,
        "--views",
        1,
        "--out",
        tmp_path / "reversed",
    )
    view, rate = soundfile.read(tmp_path / "reversed" / "view_1.wav")
    original, _ = soundfile.read(tmp_path / "reversed" / "original.wav")
    assert rate == 16000
    assert np.array_equal(view, original[::-1])


def test_is_repeatable_and_a_pass_is_another(clip, tmp_path):
    def view(*options):
        hear(
            clip,
            "--aug_list",
            "add_colored_noise",
            "--severity",
            5,
            "--views",
            1,
            "--out",
            tmp_path / "out",
            *options,
        )
        return soundfile.read(tmp_path / "out" / "view_1.wav")[0]

    assert np.array_equal(view(), view())
    assert any(not np.array_equal(view("--pass", n), view()) for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--aug_list", "gian"], "Did you mean 'gain'"),
        ([], "nothing to hear"),
        (["--config", "missing.yaml"], "cannot be read"),
        (["--aug_list", "gain", "--start", "99"], "ends after 1.00 s"),
        (["--aug_list", "gain", "--views", "0"], "--views must lie between"),
    ],
)
def test_mistakes_are_said_without_a_traceback(options, message, clip, tmp_path, capsys):
    assert hear(clip, *options, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_scale_sine_is_zero_decibels(tone):
    assert spectrogram_db(tone(1000, 16000, 16000)[0, 0]).max() == pytest.approx(0, abs=0.1)
