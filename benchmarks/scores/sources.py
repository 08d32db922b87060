"""The collections of scores in the package music21, with their licences, and what is left out.

music21 states (``corpus/license.txt``) that its corpus is distributed with the permission of the
encoders, that to its knowledge every piece is out of copyright in the United States or licensed for
use, and that licences are in the files. The statements below are those of the files.
"""

import importlib.util
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from semisupcon.errors import ConfigError

PACKAGE, VERSION = "music21", "10.5.1"  # the version whose counts are in docs/scores.md
INSTALL = f"pip install {PACKAGE}=={VERSION}"
SUFFIXES = (".abc", ".mxl", ".xml")
_NONE_STATED = "The files name their transcribers and state no licence; the tunes are public domain"


@dataclass(frozen=True)
class Collection:
    """A folder of music21's corpus.

    Attributes:
        folder: name of the folder.
        title: what the pieces are.
        licence: what the files state about their licence.
        genre: genre of all pieces; "" if the rhythm field of each tune gives it.
        left_out: regular expression of file names -> reason why the files are left out.
        chunk: number of files that are parsed as one unit of work.
    """

    folder: str
    title: str
    licence: str
    genre: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    chunk: int = 1


COLLECTIONS = {
    "oneills": Collection(
        "oneills1850",
        "O'Neill's Music of Ireland (1903)",
        f"{_NONE_STATED} (published 1903).",
    ),
    "aird": Collection(
        "airdsAirs",
        "Aird's Selection of Scotch, English, Irish and Foreign Airs (from 1778)",
        f"{_NONE_STATED} (transcribed by Jack Campin, 2009).",
    ),
    "ryan": Collection(
        "ryansMammoth",
        "Ryan's Mammoth Collection (1883)",
        f"{_NONE_STATED} (published 1883).",
        chunk=50,
    ),
    "bach": Collection(
        "bach",
        "Chorales of J. S. Bach",
        "Most files carry 'PDF (c) 2003 or 2004 Margaret Greentree' (www.jsbchorales.net), many with "
        "'used by permission'; they state no licence for others. The music is public domain.",
        genre="chorale",
        left_out={
            r".*\.krn": "all rights reserved",
            r"bwv846\.mxl": "not a chorale",
        },
        chunk=25,
    ),
    "monteverdi": Collection(
        "monteverdi",
        "Madrigals of Claudio Monteverdi",
        "The files state no licence. The music is public domain.",
        genre="madrigal",
        left_out={r"madrigal\.5\.[45]\.mxl": "copyright 2003 of the publisher Ut Orpheus"},
        chunk=5,
    ),
    "haydn": Collection(
        "haydn",
        "String quartets of Joseph Haydn",
        "The files state no licence. The music is public domain.",
        genre="quartet",
        chunk=3,
    ),
    "mozart": Collection(
        "mozart",
        "String quartets of W. A. Mozart",
        "The files state no licence. The music is public domain.",
        genre="quartet",
        left_out={r"k545/.*": "not a quartet"},
        chunk=3,
    ),
    "trecento": Collection(
        "trecento",
        "Italian polyphony of the fourteenth century",
        "The files state no licence. The music is public domain; most files name the volumes of the "
        "edition PMFC (1956 to 1991), whose editorial work may be protected in some countries.",
        genre="trecento",
        left_out={
            r"PMFC_0[14]-.*|PMFC_06_(8|10)-.*|PMFC_13_0[12]-Kyrie.*\.mxl": "copyright notice",
        },
        chunk=5,
    ),
}
# Folders of the corpus that are not read, with the reason.
NOT_READ = {
    "palestrina": "all rights reserved by the encoder",
    "essenFolksong": "non-commercial use only, and an unclear legal status",
    "leadSheet": "a song in copyright",
    "josquin": "GPL, eight pieces",
    "nottingham-dataset, miscFolk": "no rhythm field or key for most tunes; overlap with the others",
    "beethoven": "49 s of processor time a piece",
    "all others": "fewer than eight pieces each, or no music",
}


def corpus_folder() -> Path:
    """Return the folder of music21's corpus.

    Raises:
        ConfigError: if music21, or its corpus, is not installed. The message has the pip command.
    """
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise ConfigError(f"The scores are those of {PACKAGE}, which is not installed.\n{INSTALL}")
    folder = Path(places[0]) / "corpus"
    if not (folder / COLLECTIONS["bach"].folder).is_dir():
        raise ConfigError(
            f"The installed {PACKAGE} has no corpus: {folder}.\n"
            f"Install it from its wheel: {INSTALL} --force-reinstall"
        )
    return folder


def corpus_version() -> str:
    """Return the version of music21; "none" if it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "none"


def files_of(name: str, corpus: Path) -> tuple[list[str], dict[str, str]]:
    """List the files of a collection.

    Returns:
        The files that are read, relative to the corpus and sorted, and the files that are left out
        with the reason.
    """
    collection = COLLECTIONS[name]
    folder, read, left_out = corpus / collection.folder, [], {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        reasons = [why for what, why in collection.left_out.items() if re.fullmatch(what, inside)]
        file = path.relative_to(corpus).as_posix()
        if reasons:
            left_out[file] = reasons[0]
        elif path.suffix in SUFFIXES and path.is_file():
            read.append(file)
    return read, left_out


def units(names: list[str], corpus: Path) -> dict[str, list[str]]:
    """Return the units of work of some collections: name of the unit -> its files."""
    found = {}
    for name in names:
        files, _ = files_of(name, corpus)
        chunk = COLLECTIONS[name].chunk
        for start in range(0, len(files), chunk):
            found[f"{name}-{start // chunk:03d}"] = files[start : start + chunk]
    return found
