"""Find the members of WebDataset shards: tar archives whose members are grouped into samples.

Members with the same name up to the first dot after the last slash form a sample; the rest of the
name is their extension (https://github.com/webdataset/webdataset). The headers of a shard are read
once. Later, each member is read at its place in the file, so that samples can be read in any order.
Nothing is unpacked, and names of members are never used as paths.
"""

import glob
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from semisupcon.audio.contents import Range
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError
from semisupcon.paths import AUDIO_SUFFIXES

_BLOCK = tarfile.BLOCKSIZE
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS, MOST_LABEL_BYTES = 1_000_000, 1 << 20


class Member(NamedTuple):
    """Place of a member in its shard: first byte and number of bytes."""

    start: int
    size: int

    def within(self, path: str) -> Range:
        """Return the place of the member of the shard at ``path``."""
        return Range(path, self.start, self.start + self.size)


class Sample(NamedTuple):
    """A sample: number of the shard, key, and its members by extension (lower case)."""

    shard: int
    key: str
    members: dict[str, Member]


def shards_at(place: str, option: str = "data.shards") -> list[str]:
    """Return the sorted paths of shards.

    Args:
        place: folder with shards, a pattern with ``*`` and ``?``, or a name with one or more ranges
            of numbers such as ``train-{000..127}.tar``.
        option: name of the option, for messages.

    Raises:
        ConfigError: for an address or a command instead of local files, and for compressed shards.
        DatasetNotFoundError: if there are no such files.
    """
    if re.match(r"[a-z0-9]+://|pipe:", place):
        raise ConfigError(
            f"{option} '{place}' is not a local file. Shards are read from local files, in any "
            "order; download them first."
        )
    place = os.path.expanduser(place)
    if os.path.isdir(place):
        found = sorted(str(path) for path in Path(place).glob("*.tar*") if path.is_file())
        remedy = "The folder holds no .tar files; give the folder of the shards."
    elif _RANGE.search(place):
        found, remedy = _in_range(place, option), "Check the numbers of the range."
    else:
        pattern = place if os.path.exists(place) is False else glob.escape(place)
        found, remedy = sorted(glob.glob(pattern)), f"Give existing shards as {option}."
    if missing := [path for path in found if not os.path.isfile(path)]:
        raise DatasetNotFoundError("A shard", missing[0], remedy)
    if not found:
        raise DatasetNotFoundError("A shard", place, remedy)
    if packed := [path for path in found if not path.endswith(".tar")]:
        raise ConfigError(
            f"{packed[0]} is not an uncompressed .tar file, so its members cannot be read in any "
            "order; decompress the shards."
        )
    return [os.path.realpath(path) for path in found]


def _in_range(place: str, option: str) -> list[str]:
    names = [place]
    while any(_RANGE.search(name) for name in names):
        longer = []
        for name in names:
            if (match := _RANGE.search(name)) is None:
                longer.append(name)
                continue
            first, last = int(match[1]), int(match[2])
            if not first <= last < first + MOST_SHARDS // len(names):
                raise ConfigError(f"{option}: the range {match[0]} is empty or too long.")
            width = len(match[1])
            longer += [
                f"{name[: match.start()]}{number:0{width}d}{name[match.end() :]}"
                for number in range(first, last + 1)
            ]
        names = longer
    return names


def samples_in(path: str, number: int) -> list[Sample]:
    """Return the samples of a shard, in their order. Other members than files are left out.

    Args:
        path: path of the shard.
        number: number of the shard, for the samples.

    Raises:
        UserError: if the file is not a tar archive, is cut short, or has a sample with two members
            of one extension.
    """
    samples: dict[str, Sample] = {}
    try:
        size = os.path.getsize(path)
        with tarfile.open(path, "r:") as archive:
            end = 0
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # keep memory use constant
                start, end = member.offset_data, archive.offset
                if not member.isreg() or member.issparse() or not (key := _key(member.name)):
                    continue
                if start + member.size > size:
                    raise tarfile.ReadError("unexpected end of data")
                sample = samples.setdefault(key[0], Sample(number, key[0], {}))
                if key[1] in sample.members:
                    raise UserError(f"Two members of a shard are {member.name!r}.\nIn: {path}")
                sample.members[key[1]] = Member(start, member.size)
        with open(path, "rb") as file:
            file.seek(end)
            if (after := file.read(_BLOCK)) != bytes(_BLOCK):
                what = "a damaged header" if len(after) == _BLOCK else "no end mark"
                raise tarfile.ReadError(f"{what} after byte {end}")
    except (tarfile.TarError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"The shard is cut short, damaged, or no tar archive ({str(error) or 'empty file'})."
            f"\nIn: {path}\nCopy or download it again."
        ) from error
    return list(samples.values())


def _key(name: str) -> tuple[str, str] | None:
    """Return the key and the extension of a member; None for names without them."""
    folder, _, base = name.rpartition("/")
    stem, dot, extension = base.partition(".")
    if not stem or not dot or not extension:
        return None
    return f"{folder}/{stem}".lstrip("/").removeprefix("./"), extension.lower()


def audio_of(sample: Sample, extension: str | None) -> str | None:
    """Return the extension of the audio of a sample: the given one, or the only audio suffix.

    None if the sample has no audio.

    Raises:
        UserError: if several members are audio and no extension is given.
    """
    if extension is not None:
        return extension if extension in sample.members else None
    found = [e for e in sample.members if f".{e.rpartition('.')[2]}" in AUDIO_SUFFIXES]
    if len(found) > 1:
        raise UserError(
            f"The sample '{sample.key}' has several audio members: {', '.join(sorted(found))}.\n"
            "Choose one with data.audio."
        )
    return found[0] if found else None


def label_of(sample: Sample, path: str, label: str) -> Any:
    """Return the label of a sample, or None if it has none.

    Args:
        sample: the sample.
        path: path of its shard.
        label: extension of a member with text (a number is an integer), or extension and field of a
            member with JSON, such as ``json.genre``.

    Raises:
        UserError: if the member is too large, not text, or not JSON.
    """
    extension, _, field = label.lower(), "", ""
    if extension not in sample.members and "." in label:
        head, _, field = label.partition(".")
        extension = head.lower()
    if extension not in sample.members:
        return None
    member = sample.members[extension]
    try:
        if member.size > MOST_LABEL_BYTES:
            raise ValueError(f"{member.size:,} bytes")
        text = member.within(path).read().decode("utf-8").strip()
        if extension.rpartition(".")[2] == "json":
            value = json.loads(text)
            return value.get(field) if field and isinstance(value, dict) else value
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f"'{extension}' of the sample '{sample.key}' is no label "
            f"({str(error).splitlines()[0][:120]}).\nIn: {path}"
        ) from error
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text or None
