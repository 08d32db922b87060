"""Render arrangements with a soundfont (tinysoundfont) in a room of random size."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from benchmarks.scores.arranging import (
    DRUM_CHANNEL,
    PROGRAMS,
    SECONDS,
    SOUND,
    Arrangement,
    Event,
    generator,
)
from semisupcon.errors import ConfigError

RATE = 22050
VOICES = 128
GAIN_DB = -9.0  # of the synthesizer; the level of the clip is set afterwards
DECAY_SECONDS = (0.2, 1.8)  # until the reverberation has fallen by 60 dB
WET = (0.0, 0.4)
RMS_DB = (-26.0, -18.0)
PEAK = 0.98
SYNTH, FONT_PACKAGE, FONT = "tinysoundfont", "pretty_midi", "TimGM6mb.sf2"
# Both packages require others that this project does not need, hence --no-deps.
INSTALL_SYNTH = f"pip install --no-deps {SYNTH}"
INSTALL_FONT = f"pip install --no-deps {FONT_PACKAGE}"
# Licences of known soundfonts by the names of their files.
FONT_LICENCES = {
    "TimGM6mb": "GPL-2, by Tim Brechbill; in the package pretty_midi",
    "FluidR3Mono_GM": "MIT, by Frank Wen, Michael Cowgill and others",
    "FluidR3_GM": "MIT, by Frank Wen",
}


def check_synthesizer() -> None:
    """Check that tinysoundfont is installed; raise a ConfigError with the pip command if not."""
    if importlib.util.find_spec(SYNTH) is None:
        raise ConfigError(
            f"The clips are rendered by {SYNTH}, which is not installed.\n{INSTALL_SYNTH}"
        )


def packaged_font() -> Path:
    """Return TimGM6mb, the soundfont in the package pretty_midi.

    Raises:
        ConfigError: if the package, or its soundfont, is missing. The message has the pip command.
    """
    spec = importlib.util.find_spec(FONT_PACKAGE)
    for place in list(spec.submodule_search_locations or []) if spec else []:
        if (file := Path(place) / FONT).is_file():
            return file
    raise ConfigError(
        f"The soundfont {FONT} is in the package {FONT_PACKAGE}, which is not installed.\n"
        f"{INSTALL_FONT}, or give --soundfont FILE."
    )


def check_fonts(fonts: list[Path]) -> dict[str, str]:
    """Check the soundfonts; return their names (file names without suffix) and SHA-256 checksums.

    Raises:
        ConfigError: for a missing file, or two files of the same name.
    """
    found: dict[str, str] = {}
    for font in fonts:
        if not font.is_file():
            raise ConfigError(f"--soundfont {font} is not a file.")
        if font.stem in found:
            raise ConfigError(f"--soundfont: two files are called {font.stem}.")
        found[font.stem] = hashlib.sha256(font.read_bytes()).hexdigest()
    return found


class Player:
    """Synthesizers of one or several soundfonts.

    Args:
        fonts: paths of General MIDI soundfonts (sf2, sf3).

    Raises:
        ConfigError: if a file is not a soundfont, or has not all instruments.
    """

    def __init__(self, fonts: list[Path]):
        self.synths = [_loaded(font) for font in fonts]
        self.names = [font.stem for font in fonts]

    def render(self, arrangement: Arrangement, seed: int, number: int) -> tuple[np.ndarray, str]:
        """Render a clip.

        Returns:
            Audio ``[SECONDS * RATE]`` float32 in [-0.98, 0.98], and the name of the soundfont. Both
            depend on the arguments and the soundfonts only, not on the clips rendered before.
        """
        rng = generator(seed, SOUND, number)
        which = int(rng.integers(len(self.synths)))
        synth, font = self.synths[which]
        for channel, program in arrangement.programs.items():
            synth.program_select(channel, font, 0, program)
        synth.program_select(DRUM_CHANNEL, font, 128, 0)
        dry = _played(synth, arrangement.events)
        synth.sounds_off()
        synth.generate_simple(RATE)  # end the release of all voices before the next clip
        decay = int(rng.uniform(*DECAY_SECONDS) * RATE)
        room = rng.standard_normal(decay) * 10 ** (-3 * np.arange(decay) / decay)
        wet = fftconvolve(dry, room / np.linalg.norm(room))[: len(dry)]
        mix = dry + rng.uniform(*WET) * wet
        mix *= 10 ** (rng.uniform(*RMS_DB) / 20) / max(float(np.sqrt(np.mean(mix**2))), 1e-6)
        mix *= min(1.0, PEAK / max(float(np.abs(mix).max()), 1e-6))
        return mix.astype(np.float32), self.names[which]


def _loaded(font: Path) -> tuple[Any, int]:
    """Load a soundfont into a synthesizer of its own; check that it has all instruments."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=RATE, gain=GAIN_DB)
    try:
        number = synth.sfload(str(font), max_voices=VOICES)
    except Exception as error:  # the binding raises RuntimeError for any file it cannot read
        raise ConfigError(f"--soundfont {font} cannot be read as a soundfont: {error}") from error
    needed = [(0, program) for programs, *_ in PROGRAMS.values() for program in programs]
    for bank, program in [*needed, (128, 0)]:
        if synth.sfpreset_name(number, bank, program) is None:
            raise ConfigError(
                f"--soundfont {font} has no preset {program} in bank {bank}: it is not a complete "
                "General MIDI soundfont."
            )
    return synth, number


def _played(synth: Any, events: list[Event]) -> np.ndarray:
    """Play events; return mono audio ``[SECONDS * RATE]`` float64."""
    end = SECONDS * RATE
    blocks, now = [], 0
    for event in [*events, Event(SECONDS, 0, 0, 0, 0)]:
        if (ahead := min(round(event.second * RATE), end) - now) > 0:
            stereo = np.frombuffer(synth.generate_simple(ahead), np.float32).reshape(-1, 2)
            blocks.append(stereo.mean(axis=1, dtype=np.float64))
            now += ahead
        if now >= end:
            break
        if event.on:
            synth.noteon(event.channel, event.pitch, event.velocity)
        else:
            synth.noteoff(event.channel, event.pitch)
    return np.concatenate(blocks)
