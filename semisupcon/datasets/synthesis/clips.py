"""Render one clip of the synthetic set.

The number of a clip determines its instrument and pitch class. All other draws depend on this
number and the seed. A clip does not depend on the other clips or on the number of clips. All pairs
of instruments and pitch classes are equally frequent. Of each 15 clips of an instrument, 10 are
training, 2 validation and 3 test.
"""

import numpy as np

from semisupcon.datasets.synthesis.instruments import Patch
from semisupcon.datasets.synthesis.oscillators import SAMPLE_RATE
from semisupcon.datasets.synthesis.players import INSTRUMENTS, Instrument, draw_patch, note
from semisupcon.datasets.synthesis.rooms import Room, draw_room, record
from semisupcon.datasets.synthesis.scenes import Scene, draw_scene

SEED = 1
PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TAGS = (
    "bright",
    "breathy",
    "chords",
    "dark",
    "ensemble",
    "fast",
    "hollow",
    "metallic",
    "noisy",
    "percussive",
    "reverberant",
    "sweeping",
    "swelling",
    "vibrato",
)
RELEASE = 0.06  # seconds of fade-out after the end of a note


def split_of(index: int) -> str:
    """Return the split (train, val or test) of the clip with number ``index``.

    In the test split, instruments are equally frequent. In 600 clips, this also holds for the pitch
    classes of each instrument.
    """
    turn, instrument = divmod(index, len(INSTRUMENTS))
    place = (turn + instrument) % 15
    return "test" if place in (2, 7, 12) else "val" if place in (4, 11) else "train"


def render_clip(index: int, seconds: float = 6.0) -> tuple[np.ndarray, dict]:
    """Render the clip with number ``index``.

    Returns:
        The audio, int16 ``[seconds * 22050]``, and a row with the labels and the settings that
        determine them.
    """
    turn, number = divmod(index, len(INSTRUMENTS))
    name, instrument = list(INSTRUMENTS.items())[number]
    pitch_class = turn % len(PITCHES)
    rng = np.random.default_rng([SEED, index])
    scene = draw_scene(rng, pitch_class, seconds, instrument.chords)
    tonic = 440 * 2 ** ((scene.tonic - 69 + rng.uniform(-0.1, 0.1)) / 12)
    patch = draw_patch(rng, instrument, tonic, max(n.duration for n in scene.notes) + RELEASE)
    room = draw_room(rng, tonic)
    audio, centroid = record(perform(scene, instrument, patch, seconds), room, rng)
    brightness = float(np.log2(centroid / tonic))
    activity = float(
        np.log2(len({n.onset for n in scene.notes if 0 <= n.onset < seconds}) / seconds),
    )
    holds = tags(scene, patch, room, brightness, activity)
    row = {
        "split": split_of(index),
        "instrument": name,
        "pitch": PITCHES[pitch_class],
        "brightness": round(brightness, 4),
        "activity": round(activity, 4),
        **{tag: int(tag in holds) for tag in TAGS},
        "polyphonic": int(scene.texture == "chords"),
        "texture": scene.texture,
        "mode": scene.mode,
        "tonic_hz": round(tonic, 2),
        "attack_s": round(patch.attack, 4),
        "ring_s": round(patch.ring, 3),
        "reverberation_s": round(room.decay, 3),
        "noise_db": round(-room.noise, 2),
        "level_db": round(room.level, 2),
    }
    return np.round(audio * 32767).astype(np.int16), row


def perform(scene: Scene, instrument: Instrument, patch: Patch, seconds: float) -> np.ndarray:
    """Render a scene without room and recording; return the audio, float32 ``[T]``.

    Every pitch is rendered once, and cut to the length of each note with this pitch.
    """
    release = int(RELEASE * SAMPLE_RATE)
    fade = np.linspace(1, 0, release, dtype=np.float32) ** 2
    longest: dict[int, float] = {}
    for n in scene.notes:
        longest[n.semitones] = max(longest.get(n.semitones, 0), n.duration)
    sounds = {
        semitones: note(
            instrument,
            patch,
            patch.tonic * 2 ** (semitones / 12),
            int(duration * SAMPLE_RATE) + release,
        )
        for semitones, duration in longest.items()
    }
    # The first note may begin before the clip.
    before = -min(0, int(scene.notes[0].onset * SAMPLE_RATE) - 1)
    out = np.zeros(before + int(seconds * SAMPLE_RATE), dtype=np.float32)
    for n in scene.notes:
        start, held = before + round(n.onset * SAMPLE_RATE), int(n.duration * SAMPLE_RATE)
        sound = np.float32(n.loudness) * sounds[n.semitones][: held + release]
        sound[held:] *= fade
        place = out[start : start + len(sound)]
        place += sound[: len(place)]
    return out[before:]


def tags(scene: Scene, patch: Patch, room: Room, brightness: float, activity: float) -> set[str]:
    """Return the tags among `TAGS` that describe a rendered clip."""
    holds = {
        "bright": brightness > 3.2,
        "dark": brightness < 1.4,
        "chords": scene.texture == "chords",
        "fast": activity > np.log2(4.8),
        "noisy": room.noise < 20,
        "percussive": patch.ring < 0.8,
        "reverberant": room.wet * room.decay > 0.15,
    }
    return {tag for tag, true in holds.items() if true} | (patch.traits & set(TAGS))
