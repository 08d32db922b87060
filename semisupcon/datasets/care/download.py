"""Download official archives of data sets, verify their published checksums and unpack them."""

import hashlib
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from semisupcon.datasets import TASKS, find_task
from semisupcon.datasets.card import Archive, card_of
from semisupcon.errors import ConfigError, UserError
from semisupcon.files import write_text
from semisupcon.locks import folder_lock
from semisupcon.outputs import check_writable_folder

TIMEOUT = 60
CHUNK = 1 << 20


def download_task(
    task: str,
    folder: Path,
    confirmed: bool,
    say: Callable[[str], None] = print,
    overwrite: bool = False,
) -> int:
    """List the archives of a task; if confirmed, also download and unpack them.

    Args:
        task: name of a task.
        folder: folder to unpack into.
        confirmed: whether to download. False only lists the archives.
        say: function that prints a message.
        overwrite: whether to replace existing files in the folder by files of an archive.

    Raises:
        ConfigError: if the task has no official archives. The message names the tasks that have
            some.
        UserError: if the download fails or has a wrong checksum.
    """
    card = card_of(find_task(task))
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"--data_dir {folder} is a file, not a folder. Give the folder to unpack into.",
        )
    if not card.archives:
        others = ", ".join(name for name in sorted(TASKS) if card_of(find_task(name)).archives)
        where = f" Download it from {card.source}." if card.source else ""
        raise ConfigError(
            f"'{task}' has no official archive with a published checksum.{where}\nTasks with one: "
            f"{others}",
        )
    say(f"{task}, licence: {card.licence} ({card.source})")
    for archive in card.archives:
        say(f"  {archive.url}  {archive.bytes / 1e9:.2f} GB")
    if not confirmed:
        say(f"Nothing was downloaded; add --yes to download this into {folder}.")
        return 0
    is_new = not folder.exists()
    check_writable_folder(folder, "Give a folder that can be written to with --data_dir.")
    try:
        with folder_lock(folder, "download", "give another --data_dir"):
            for archive in card.archives:
                fetch(archive, folder, say, overwrite)
    finally:
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # the folder is empty
    return 0


def fetch(
    archive: Archive,
    folder: Path,
    say: Callable[[str], None] = print,
    overwrite: bool = False,
) -> None:
    """Download an archive, verify its checksum, unpack it into ``folder`` and delete it.

    An archive that is already unpacked is skipped.

    Raises:
        UserError: if the disk is too small, the server fails, or size or checksum differ. A partial
            download is kept for resuming; one with a wrong checksum is deleted. Also raised if a
            file of the archive exists in the folder already, unless ``overwrite`` is set or an
            earlier unpacking was interrupted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = urlsplit(archive.url).path.rsplit("/", 1)[-1]
    done, part = folder / f".{name}.unpacked", folder / f"{name}.part"
    if done.exists() and done.read_text() == archive.checksum:
        say(f"{name} is already unpacked here.")
        return
    have = part.stat().st_size if part.exists() else 0
    needed = 2 * archive.bytes - have
    if (free := shutil.disk_usage(folder).free) < needed:
        raise UserError(
            f"{name} needs about {needed / 1e9:.1f} GB to fetch and unpack; {free / 1e9:.1f} GB "
            f"are free.\nIn: {folder}\nMake room."
        )
    if have < archive.bytes:
        _receive(archive, part, have)
    _verify(archive, part)
    begun = folder / f".{name}.unpacking"
    _unpack(part, folder, overwrite or begun.exists(), begun)
    write_text(done, archive.checksum)
    part.unlink()
    begun.unlink(missing_ok=True)
    say(f"{name} is unpacked in {folder}.")


def _receive(archive: Archive, part: Path, have: int) -> None:
    if urlsplit(archive.url).scheme not in ("http", "https"):
        raise UserError(f"Only http and https are supported, not {archive.url}.")
    request = urllib.request.Request(
        archive.url,
        headers={"Range": f"bytes={have}-"} if have else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            # A server that does not support ranges sends the whole file, with status 200.
            resumed = response.status == 206
            bar = tqdm(
                total=archive.bytes,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=None,
                file=sys.stderr,
            )
            with part.open("ab" if resumed else "wb") as file, bar:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"Download failed: {reason}.\nFrom: {archive.url}\nRun the command again to resume "
            f"({part}).",
        ) from None
    if part.stat().st_size < archive.bytes:
        raise UserError(
            f"Download stopped after {part.stat().st_size} of {archive.bytes} bytes.\nFrom: "
            f"{archive.url}\nRun the command again to resume."
        )


def _verify(archive: Archive, part: Path) -> None:
    algorithm, _, expected = archive.checksum.partition(":")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        part.unlink()
        raise UserError(
            f"The download is not the official archive: its {algorithm} is {found}, not "
            f"{expected}.\n"
            f"From: {archive.url}\nIt was removed; run the command again."
        )


def _unpack(part: Path, folder: Path, overwrite: bool, begun: Path) -> None:
    is_zip = begun.name.endswith(".zip.unpacking")
    try:
        with zipfile.ZipFile(part) if is_zip else tarfile.open(part) as archive:
            if isinstance(archive, zipfile.ZipFile):
                names = [member.filename for member in archive.infolist() if not member.is_dir()]
            else:
                names = [member.name for member in archive.getmembers() if not member.isdir()]
            if not overwrite and (there := [name for name in names if (folder / name).is_file()]):
                raise UserError(
                    f"{len(there)} of {len(names)} files of the archive already exist, the first: "
                    f"{there[0]}; nothing was unpacked.\n"
                    f"In: {folder}\nGive another --data_dir, or --overwrite to replace them (the "
                    f"archive is kept in {part.name})."
                )
            write_text(begun, "")
            if isinstance(archive, zipfile.ZipFile):
                # This method removes "..", drives and leading slashes from names.
                archive.extractall(folder)
            else:
                archive.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, OSError) as error:
        raise UserError(
            f"The archive cannot be unpacked: {error}.\nIn: {part}\nCheck free space and write "
            "permission.",
        ) from None
