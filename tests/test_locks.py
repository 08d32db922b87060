"""One writer at a time: the second process is refused and told who writes, a killed one keeps
nobody out, and nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from semisupcon import locks
from semisupcon.__main__ import main
from semisupcon.audio.scan import scan
from semisupcon.datasets.care import download
from semisupcon.errors import UserError
from semisupcon.locks import file_lock, folder_lock
from semisupcon.probing.embeddings.cache import EmbeddingCache

ROOT = Path(__file__).resolve().parents[1]
HOLDER = """
    import sys, time
    from semisupcon import locks
    with getattr(locks, sys.argv[1])(sys.argv[2], "test", "-"):
        print("held", flush=True)
        time.sleep(60)
"""


@contextmanager
def held(kind, place):
    """Another process that holds the lock; killed at the end."""
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), kind, str(place)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["folder_lock", "file_lock"])
def test_a_second_process_is_told_and_a_killed_one_keeps_nobody_out(tmp_path, kind):
    place, lock = tmp_path / "new" / "a", getattr(locks, kind)
    with held(kind, place) as process:
        told = rf"{place} is in use by another test: process {process.pid} on {socket.gethostname()}, since \d{{4}}-\d\d-\d\d .*"
        with (
            pytest.raises(UserError, match=told + r"\nWait until it has ended, or give another\."),
            lock(place, "test", "give another"),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with lock(place, "test", "-"):
            pass
    assert not list(tmp_path.rglob("*lock"))


def test_threads_and_the_same_work_again(tmp_path):
    with folder_lock(tmp_path, "a", "-"), ThreadPoolExecutor(1) as pool:

        def take():
            with folder_lock(tmp_path, "a", "-"):
                pass

        with pytest.raises(UserError, match=f"process {os.getpid()} on"):
            pool.submit(take).result()
        take()  # a part of the work that holds it
        with pytest.raises(UserError, match="is in use"):
            pool.submit(take).result()
    take()
    assert list(tmp_path.iterdir()) == []


def test_waiting(tmp_path):
    with ExitStack() as stack:
        begun, done = threading.Event(), []

        def hold():
            with file_lock(tmp_path / "a", "a", "-"):
                begun.set()
                time.sleep(0.2)
                done.append(1)

        thread = threading.Thread(target=hold)
        thread.start()
        stack.callback(thread.join)
        begun.wait()
        with file_lock(tmp_path / "a", "a", "-", wait=10):
            assert done


def test_folders_are_removed_only_when_they_were_made_and_are_empty(tmp_path):
    with folder_lock(tmp_path / "a" / "b", "a", "-"):
        pass
    assert list(tmp_path.iterdir()) == []
    with folder_lock(tmp_path / "a" / "b", "a", "-"):
        (tmp_path / "a" / "b" / "file").touch()
    with folder_lock(tmp_path / "a", "a", "-"):
        pass
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "b", "file"]
    with (
        pytest.raises(UserError, match=r"file cannot be written: (File exists|Not a directory)"),
        folder_lock(tmp_path / "a/b/file", "a", "-"),
    ):
        pass


def test_a_lock_file_that_was_removed_keeps_nobody_out_and_is_not_taken_for_ours(tmp_path):
    with folder_lock(tmp_path, "a", "-"):
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").write_text("of another process")
    assert (tmp_path / ".lock").read_text() == "of another process"


def test_file_systems_without_locks_go_by_the_text(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "fcntl", None)
    with held("folder_lock", tmp_path) as process:
        with (
            pytest.raises(UserError, match=f"process {process.pid} on"),
            folder_lock(tmp_path, "a", "-"),
        ):
            pass
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        with folder_lock(tmp_path, "a", "-"):
            assert "has no locks: process" in caplog.text


# --- through the commands ---


def test_a_second_embed_probe_pack_and_download_are_refused(digits, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download, "fetch", None)
    pack = [
        "pack",
        "--data.sl_task",
        "fsdd_digit",
        "--data.data_dir",
        str(digits),
        "--data.target_sample_rate",
        "8000",
    ]
    commands = {
        "e.npy": ["embed", str(digits), "--checkpoint", "none", "--out"],
        "probe": ["probe", "--tasks", "synthetic_pitch", "--checkpoints", "none", "--out"],
        "packed": [*pack, "--out"],
        "index": ["index", str(digits), "--checkpoint", "none", "--out"],
        "map.html": ["explore", "none.npy", "--out"],
        "speech": ["data", "download", "speech_commands", "--yes", "--data_dir"],
    }
    named = {"speech": "download"}
    for name, command in commands.items():
        kind = "file_lock" if "." in name else "folder_lock"
        with held(kind, tmp_path / name) as process:
            before = sorted(path.name for path in tmp_path.rglob("*"))
            assert main([*command, str(tmp_path / name)]) == 2
            said = capsys.readouterr().err
            assert f"{tmp_path / name} is in use by another {named.get(name, command[0])}" in said
            assert f"process {process.pid} on" in said
            assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_two_processes_fill_one_cache(tmp_path, monkeypatch):
    """Embeddings and scans: both have all of theirs, whoever wrote last."""
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "cache"))
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", np.full(800, 0.1 * (i + 1)), 8000)
    children = []
    for part in range(2):
        if not (pid := os.fork()):
            try:
                cache = EmbeddingCache(tmp_path / "cache" / "embeddings", "f" * 32)
                for i in range(40):
                    cache.add(
                        [f"{part}-{i}", f"both-{i}"], [np.full((2, 3), i), np.full((1, 3), i)]
                    )
                facts = scan([str(tmp_path / f"{i}.wav") for i in range(part, 6)])
                os._exit(0 if (facts["problem"] == "").all() else 1)
            except BaseException:
                os._exit(2)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    cache = EmbeddingCache(tmp_path / "cache" / "embeddings", "f" * 32)
    names = [f"{part}-{i}" for part in ("0", "1", "both") for i in range(40)]
    assert cache.missing(names) == []
    assert np.array_equal(cache.get(names).mean()[:, 0], np.tile(np.arange(40), 3))
    assert not list((tmp_path / "cache").rglob("*.partial"))
