"""One clip of the set: its labels are a function of its number, its sound of its number and the seed.

Clip *i* never depends on the others, nor on how many there are. Instrument and pitch class go round evenly (every pair of them equally
often), and 10 of 15 clips of an instrument are for training, 2 for validation and 3 for testing.
"""

import numpy as np

from semisupcon.data.synthetic.instruments import INSTRUMENTS, TRAITS, Instrument, Patch, note
from semisupcon.data.synthetic.oscillators import SAMPLE_RATE
from semisupcon.data.synthetic.rooms import Room, record, room
from semisupcon.data.synthetic.scenes import Scene, scene

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
    "slow",
    "sustained",
    "vibrato",
)
RELEASE = 0.06  # seconds in which a note that is let go fades


def split_of(index: int) -> str:
    """train, val or test; each instrument and, over 600 clips, each pitch class of an instrument is in the test split equally often."""
    turn, instrument = divmod(index, len(INSTRUMENTS))
    place = (turn + instrument) % 15
    return "test" if place in (2, 7, 12) else "val" if place in (4, 11) else "train"


def render_clip(index: int, seconds: float = 6.0) -> tuple[np.ndarray, dict]:
    """Render clip number ``index``.

    Returns:
        int16 ``[seconds * 22050]``, and a row of labels and of the settings they come from.
    """
    turn, number = divmod(index, len(INSTRUMENTS))
    name, instrument = list(INSTRUMENTS.items())[number]
    pitch_class = turn % len(PITCHES)
    rng = np.random.default_rng([SEED, index])
    score = scene(rng, pitch_class, seconds, instrument.chords)
    patch = draw_patch(rng, instrument, score)
    space = room(rng, patch.tonic)
    audio, dry_centroid = record(perform(score, instrument, patch, seconds), space, rng)
    onsets = len({n.onset for n in score.notes if 0 <= n.onset < seconds})
    brightness = float(np.log2(dry_centroid / patch.tonic))
    activity = float(np.log2(onsets / seconds))
    row = {
        "split": split_of(index),
        "instrument": name,
        "pitch": PITCHES[pitch_class],
        "brightness": round(brightness, 4),
        "activity": round(activity, 4),
        **{tag: int(tag in tags(score, patch, space, brightness, activity)) for tag in TAGS},
        "polyphonic": int(score.texture == "chords"),
        "tonic_hz": round(patch.tonic, 2),
        "mode": score.mode,
        "texture": score.texture,
        "attack": round(patch.attack, 4),
        "ring": round(patch.ring, 3),
        "reverberation": round(space.decay, 3),
        "noise_db": round(space.noise, 2),
        "level_db": round(space.level, 2),
    }
    return np.round(audio * 32767).astype(np.int16), row


def draw_patch(rng: np.random.Generator, instrument: Instrument, score: Scene) -> Patch:
    """Draw a player's settings, long enough for the longest note of the scene."""
    traits = frozenset(t for t in TRAITS if rng.uniform() < instrument.traits[t])
    seconds = max(n.duration for n in score.notes) + RELEASE + 0.01
    time = np.arange(int(seconds * SAMPLE_RATE) + 2) / SAMPLE_RATE
    rate, depth, phase = rng.uniform(4.5, 7), rng.uniform(0.015, 0.035), rng.uniform(0, 2 * np.pi)
    if "vibrato" in traits:
        time = time - depth / (2 * np.pi * rate) * (np.cos(2 * np.pi * rate * time + phase) - np.cos(phase))
    plucked = "plucked" in traits
    ring, attack, slow_attack = rng.uniform(), rng.uniform(), rng.uniform()
    return Patch(
        tonic=440 * 2 ** ((score.tonic - 69 + rng.uniform(-0.1, 0.1)) / 12),
        brightness=float(rng.uniform()),
        shape=rng.uniform(size=16),
        attack=float(0.002 * 5**attack if plucked else 0.01 * 10**slow_attack),
        ring=float(0.5 * 5**ring) if plucked else float("inf"),
        time=time,
        noise=(rng.random(len(time), dtype=np.float32) - 0.5) * np.float32(np.sqrt(12)),
        traits=traits,
    )


def perform(score: Scene, instrument: Instrument, patch: Patch, seconds: float) -> np.ndarray:
    """The dry sound ``[T]`` float32 of a scene: every pitch is rendered once and cut to the length of each of its notes."""
    release = int(RELEASE * SAMPLE_RATE)
    fade = np.linspace(1, 0, release, dtype=np.float32) ** 2
    longest: dict[int, float] = {}
    for n in score.notes:
        longest[n.semitones] = max(longest.get(n.semitones, 0), n.duration)
    sounds = {
        semitones: note(instrument, patch, patch.tonic * 2 ** (semitones / 12), int(duration * SAMPLE_RATE) + release)
        for semitones, duration in longest.items()
    }
    before = SAMPLE_RATE * 4  # room for what begins before the clip
    total = int(seconds * SAMPLE_RATE)
    out = np.zeros(before + total, dtype=np.float32)
    for n in score.notes:
        start, held = before + round(n.onset * SAMPLE_RATE), int(n.duration * SAMPLE_RATE)
        sound = sounds[n.semitones][: max(0, len(out) - start)]
        body = out[start : start + held]
        body += np.float32(n.loudness) * sound[: len(body)]
        ending = out[start + held : start + held + release]
        ending += np.float32(n.loudness) * sound[held : held + len(ending)] * fade[: len(ending)]
    return out[before:]


def tags(score: Scene, patch: Patch, space: Room, brightness: float, activity: float) -> set[str]:
    """Which of `TAGS` hold, from what was really rendered."""
    holds = {
        "bright": brightness > 3.0,
        "dark": brightness < 1.9,
        "chords": score.texture == "chords",
        "fast": activity > np.log2(4.5),
        "slow": activity < np.log2(2),
        "noisy": space.noise < 20,
        "percussive": patch.ring < 1,
        "sustained": bool(np.isinf(patch.ring)),
        "reverberant": space.wet * space.decay > 0.15,
    }
    return {tag for tag, true in holds.items() if true} | (patch.traits & set(TAGS))
