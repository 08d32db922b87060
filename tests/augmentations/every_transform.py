"""One of every transform, by name, for tests that hold for all."""

from importlib.util import find_spec

from semisupcon.augmentations.delay import Delay
from semisupcon.augmentations.effects import MP3, BitCrush, Chorus, Compression, Distortion
from semisupcon.augmentations.filters import BandPass, BandStop, HighPass, LowPass
from semisupcon.augmentations.frequency import FrequencyShift, TimeStretch
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.mixing import Mix
from semisupcon.augmentations.noise import AddColoredNoise, AddNoise
from semisupcon.augmentations.pitch import PitchShift
from semisupcon.augmentations.reverb import Reverb
from semisupcon.augmentations.timing import Fade, Reverse, SpliceOut, TimeMask, TimeShift

SAMPLE_RATE = 16000

EVERY = {
    "gain": lambda p: Gain(-20, -1, p=p),
    "polarity": lambda p: PolarityInversion(p=p),
    "colored noise": lambda p: AddColoredNoise(SAMPLE_RATE, p=p),
    "noise": lambda p: AddNoise(0.1, 0.5, p=p),
    "low pass": lambda p: LowPass(SAMPLE_RATE, p=p),
    "high pass": lambda p: HighPass(SAMPLE_RATE, p=p),
    "band pass": lambda p: BandPass(SAMPLE_RATE, p=p),
    "band stop": lambda p: BandStop(SAMPLE_RATE, p=p),
    "delay": lambda p: Delay(SAMPLE_RATE, 5, 50, p=p),
    "pitch shift": lambda p: PitchShift(SAMPLE_RATE, -15, 15, "published", p=p),
    "continuous pitch shift": lambda p: PitchShift(SAMPLE_RATE, -7, 7, p=p),
    "time stretch": lambda p: TimeStretch(p=p),
    "frequency shift": lambda p: FrequencyShift(SAMPLE_RATE, 50, 100, p=p),
    "fade": lambda p: Fade(p=p),
    "time mask": lambda p: TimeMask(p=p),
    "noise mask": lambda p: TimeMask(fill="noise", p=p),
    "time shift": lambda p: TimeShift(0.1, 0.4, p=p),
    "reverse": lambda p: Reverse(p=p),
    "splice out": lambda p: SpliceOut(SAMPLE_RATE, p=p),
    "reverb": lambda p: Reverb(SAMPLE_RATE, p=p),
    "chorus": lambda p: Chorus(SAMPLE_RATE, p=p),
    "distortion": lambda p: Distortion(p=p),
    "bit crush": lambda p: BitCrush(p=p),
    "mix": lambda p: Mix(p=p),
}
if find_spec("pedalboard") is not None:
    EVERY |= {
        "compression": lambda p: Compression(SAMPLE_RATE, p=p),
        "mp3": lambda p: MP3(SAMPLE_RATE, p=p),
    }
