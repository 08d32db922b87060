"""The same fifteen clips as WebDataset shards, a Hugging Face folder, and data sets of torch."""

import io
import tarfile

import numpy as np
import soundfile
import torch
from torch.utils.data import Dataset, IterableDataset

CLIPS, RATE = 15, 8000


def samples(number: int) -> np.ndarray:
    """A noisy tone of 0.7 s, as 16-bit files hold it."""
    rate = rate_of(number)
    time = np.arange(round(0.7 * rate)) / rate
    noise = np.random.default_rng(number).normal(size=len(time))
    tone = 0.3 * np.sin(2 * np.pi * 40 * (5 + number % 5) * time) + 0.05 * noise
    return (np.round(tone * 32767) / 32768).astype(np.float32)


def rate_of(number: int) -> int:
    return 16000 if number == 4 else RATE


def encoded(number: int, form: str = "FLAC") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples(number), rate_of(number), format=form, subtype="PCM_16")
    return out.getvalue()


def write_shard(path, members) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def write_shards(folder) -> None:
    """Three shards of five samples: audio, class number, and JSON."""
    folder.mkdir()
    for shard in range(3):
        members = []
        for n in range(shard * 5, shard * 5 + 5):
            members += [
                (f"{n:04d}.flac", encoded(n)),
                (f"{n:04d}.cls", str(n % 3).encode()),
                (f"{n:04d}.json", b'{"tags": ["t%d"], "level": %.2f}' % (n % 2, n / 10)),
            ]
        write_shard(folder / f"part-{shard:03d}.tar", members)


def write_folder(folder) -> None:
    """A data set with the columns audio, label (ClassLabel), tags and artist."""
    import datasets

    rows = {
        "audio": [{"bytes": encoded(n), "path": f"{n}.flac"} for n in range(CLIPS)],
        "label": [n % 3 for n in range(CLIPS)],
        "tags": [[f"t{n % 2}"] for n in range(CLIPS)],
        "artist": [f"a{n // 3}" for n in range(CLIPS)],
    }
    made = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio())
    made.cast_column("label", datasets.ClassLabel(names=["x", "y", "z"])).save_to_disk(folder)


class Tones(Dataset):
    """Items (waveform [1, T], sample rate, label), as of torchaudio."""

    def __init__(self, count: int = CLIPS, bad: str = ""):
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        audio = torch.from_numpy(samples(number))[None]
        if number == 7 and self.bad == "nan":
            audio[0, 5] = np.nan
        if number == 7 and self.bad == "raises":
            raise OSError("the disk is gone")
        if self.bad == "shape":
            audio = audio[0].reshape(-1, 2)
        if self.bad == "dtype":
            audio = audio > 0
        return audio, rate_of(number), f"c{number % 3}"


class Stream(IterableDataset):
    """The same items as mappings, one after the other."""

    def __init__(self, count: int = CLIPS, bad: int = -1):
        self.count, self.bad = count, bad

    def __iter__(self):
        for number in range(self.count):
            audio = samples(number)
            if number == self.bad:
                audio[3] = np.inf
            yield {"audio": audio, "sample_rate": rate_of(number)}


class Sized(Stream):
    def __len__(self):
        return self.count


def no_dataset():
    return 3
