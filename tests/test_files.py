"""Files appear whole or not at all, and there is one cache folder and one list of audio
suffixes."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from semisupcon import files, paths
from semisupcon.audio import listing
from semisupcon.datasets import synthesis
from semisupcon.datasets.parsing import finding
from semisupcon.errors import UserError
from semisupcon.files import (
    atomic_open,
    atomic_path,
    disk_errors,
    leftovers,
    sweep,
    write_csv,
    write_text,
)
from semisupcon.paths import cache_folder

ROOT = Path(__file__).resolve().parents[1]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- whole or not at all ---


def test_the_partial_file_lies_beside_its_place_under_one_spelling(tmp_path):
    with atomic_path(tmp_path / "new" / "a.csv") as partial:
        assert partial == tmp_path / "new" / f".a.csv.{os.getpid()}-{files._TOKEN}.partial"
        partial.write_text("1")
        assert names(tmp_path / "new") == [partial.name]
    assert names(tmp_path / "new") == ["a.csv"]
    assert (tmp_path / "new" / "a.csv").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_middle_leaves_the_old_file_and_no_partial(tmp_path, error):
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def write():
        with atomic_open(file) as content:
            content.write("half")
            content.flush()
            raise error

    with pytest.raises(error):
        write()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_killed_process_leaves_the_old_file_and_a_partial_that_is_swept(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "old")
    script = """
        import os, signal, sys
        from semisupcon.files import atomic_open
        with atomic_open(sys.argv[1]) as content:
            content.write("half")
            content.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(script, file).returncode == -signal.SIGKILL
    assert file.read_text() == "old"
    assert len(names(tmp_path)) == 2
    sweep(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_file_and_folder_are_synced_around_the_renaming(tmp_path, monkeypatch):
    calls = []

    def fsync(descriptor, original=os.fsync):
        calls.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        original(descriptor)

    def replace(source, target, original=os.replace):
        calls.append("renamed")
        original(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_text(tmp_path / "a.txt", "1")
    partial = f".a.txt.{os.getpid()}-{files._TOKEN}.partial"
    assert calls == [partial, "renamed", tmp_path.name]
    calls.clear()
    write_text(tmp_path / "new" / "sub" / "a.txt", "1")  # The names of new folders are on disk too.
    assert calls == [tmp_path.name, "new", partial, "renamed", "sub"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    def fsync(descriptor, original=os.fsync):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "a.txt", "1")
    assert names(tmp_path) == ["a.txt"]


# --- disks that cannot be written to ---


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_error_of_the_disk_is_a_sentence_with_path_and_reason(
    tmp_path, monkeypatch, call, number
):
    file = tmp_path / "a.txt"
    write_text(file, "old")
    monkeypatch.setattr(
        os, call, lambda *_: (_ for _ in ()).throw(OSError(number, os.strerror(number)))
    )
    with pytest.raises(UserError) as error:
        write_text(file, "new")
    said = f"{file} cannot be written: {os.strerror(number)}."
    room = r" It needs (at least )?0\.0 kB, \d+\.\d MB are free\." if number == errno.ENOSPC else ""
    assert re.fullmatch(re.escape(said) + room, str(error.value))
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


WRITERS = {
    "text": "with atomic_open(path) as file: file.write('a' * 1_000_000)",
    "bytes": "with atomic_open(path, 'wb') as file: file.write(bytes(1_000_000))",
    "csv": "write_csv(path, ['a'], ([i] for i in range(300_000)))",
    "numpy": "with atomic_open(path, 'wb') as file: np.save(file, np.zeros(1_000_000))",
    "torch": "import torch\nwith atomic_open(path, 'wb') as file: torch.save({'a': torch.randn(1_000_000)}, file)",
    "parquet": "with atomic_path(path) as partial: pd.DataFrame({'a': np.random.randn(1_000_000)}).to_parquet(partial)",
    "wav": "import soundfile\nwith atomic_path(path) as partial: soundfile.write(partial, np.zeros(1_000_000), 8000, format='WAV')",
    "safetensors": (
        "import torch; from safetensors.torch import save\n"
        "with atomic_open(path, 'wb') as file: file.write(save({'a': torch.randn(1_000_000)}))"
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_whatever_library_writes(tmp_path, writer):
    """A file-size limit stands in for the full disk; it holds for the child process only."""
    file = tmp_path / "a.bin"
    write_text(file, "old")
    script = """
        import resource, signal, sys
        import numpy as np, pandas as pd
        from semisupcon.errors import UserError
        from semisupcon.files import atomic_open, atomic_path, write_csv
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        path, code = sys.argv[1:]
        try:
            exec(code)
        except UserError as error:
            print(error)
    """
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = run(script, file, WRITERS[writer])
    said = re.escape(f"{file} cannot be written: {os.strerror(errno.EFBIG)}.")
    assert re.fullmatch(
        said + r" It needs (at least )?\d+\.\d [kM]B, \d+\.\d MB are free\.\n", done.stdout
    ), done.stderr
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.bin"]


def test_a_file_in_the_place_of_the_folder(tmp_path):
    write_text(tmp_path / "a", "")
    with pytest.raises(
        UserError, match=r"a/b.txt cannot be written: (Not a directory|File exists)\."
    ):
        write_text(tmp_path / "a" / "b.txt", "")
    with pytest.raises(UserError, match="cannot be written: Is a directory"):
        write_text(tmp_path, "")


def test_errors_of_other_causes_stay_what_they_are(tmp_path):
    for error in (
        KeyError("a"),
        FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/b"),
        UserError("mine"),
    ):
        with pytest.raises(type(error)) as raised, atomic_path(tmp_path / "a"):
            raise error
        assert raised.value is error
    with pytest.raises(ZeroDivisionError), disk_errors(tmp_path / "a"):
        _ = 1 / 0
    assert names(tmp_path) == []


# --- leftovers ---


def test_leftovers_of_this_version_and_of_the_first_are_swept_and_nothing_else(tmp_path):
    left = [
        ".last.ckpt.99.partial",
        ".model.safetensors.partial",
        ".partial-matrix.png",
        "metrics.partial",
        "audio-00000.partial",
    ]
    left += [
        "packed.json.12.tmp",
        "plan.json.12.tmp",
        "clips.parquet.12.tmp",
        "targets.npy.12.tmp",
        "audio-00001.pcm.json.12.tmp",
    ]
    kept = [
        "last.ckpt",
        "mine.partial",
        "mine.12.tmp",
        ".hidden",
        "audio-00000.pcm",
        "packed.json",
        "partial-matrix.png",
    ]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    assert [path.name for path in leftovers(tmp_path)] == sorted(left)
    sweep(tmp_path)
    assert names(tmp_path) == sorted(kept)
    assert leftovers(tmp_path / "absent") == []


# --- one of each ---


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("~/mine", "~/xdg", "HOME/mine"),
        ("/data/mine", None, "/data/mine"),
        (None, "~/xdg", "HOME/xdg/semisupcon"),
        (None, "/xdg", "/xdg/semisupcon"),
        ("", "", "HOME/.cache/semisupcon"),
        (None, None, "HOME/.cache/semisupcon"),
    ],
)
def test_there_is_one_cache_folder(monkeypatch, own, shared, expected):
    monkeypatch.setenv("HOME", "/home/of/someone")
    for name, value in (("SEMISUPCON_CACHE", own), ("XDG_CACHE_HOME", shared)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(
            name, value
        )
    assert cache_folder() == Path(expected.replace("HOME", "/home/of/someone"))
    assert synthesis.synthetic_folder() == cache_folder() / synthesis.VERSION


def test_there_is_one_list_of_audio_suffixes():
    assert listing.AUDIO_SUFFIXES is finding.AUDIO_SUFFIXES is paths.AUDIO_SUFFIXES


def test_tables_are_written_with_safe_cells(tmp_path):
    write_csv(
        tmp_path / "a.csv", ("name", "=value"), [("=1+1", 0.5), ("-3", np.float64(2)), (None, True)]
    )
    assert (tmp_path / "a.csv").read_bytes() == b"name,'=value\r\n'=1+1,0.5\r\n-3,2.0\r\n,True\r\n"


def test_files_need_no_torch():
    done = run(
        "import sys, semisupcon.files, semisupcon.paths\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert done.returncode == 0


def run(script, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(
        command, check=False, timeout=120, cwd=ROOT, capture_output=True, text=True
    )
