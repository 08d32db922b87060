"""Fetching from a server on this machine: only on request, resumed, checked, unpacked, and nothing
left behind."""

import hashlib
import io
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from semisupcon.__main__ import main
from semisupcon.datasets import TASKS, find_task
from semisupcon.datasets.card import Archive
from semisupcon.datasets.care.download import fetch
from semisupcon.errors import UserError


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; ``ranges`` says whether it can resume, ``stops_after`` breaks answers
    off."""

    files, ranges, stops_after, asked = {}, True, None, []

    def do_GET(self):
        content = self.files.get(self.path)
        if content is None:
            return self.send_error(404)
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(
            content[start : len(content) if self.stops_after is None else start + self.stops_after]
        )

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"files": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.address = f"http://127.0.0.1:{httpd.server_port}"
        yield handler
        httpd.shutdown()
        thread.join()


def tar(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def offer(server):
    def put(name, content, checksum=None):
        server.files[f"/{name}"] = content
        return Archive(
            f"{server.address}/{name}",
            len(content),
            checksum or f"sha256:{hashlib.sha256(content).hexdigest()}",
        )

    return put


def test_an_archive_is_fetched_checked_unpacked_and_not_fetched_again(offer, server, tmp_path):
    archive, said = offer("set.tar.gz", tar(words__yes=b"x" * 5000)), []
    fetch(archive, tmp_path / "new", said.append)
    assert (tmp_path / "new/words/yes").read_bytes() == b"x" * 5000
    assert not list((tmp_path / "new").glob("*.part"))
    fetch(archive, tmp_path / "new", said.append)
    assert server.asked == [None]
    assert "already unpacked" in said[-1]


def test_a_zip_is_unpacked_and_stays_inside_its_folder(offer, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a/b.txt", "b")
        archive.writestr("../outside.txt", "c")
    md5 = f"md5:{hashlib.md5(buffer.getvalue(), usedforsecurity=False).hexdigest()}"
    fetch(offer("set.zip", buffer.getvalue(), md5), tmp_path / "in", lambda _: None)
    assert (tmp_path / "in/a/b.txt").read_text() == "b"
    assert not (tmp_path / "outside.txt").exists()


def test_a_tar_that_reaches_outside_is_refused(offer, tmp_path):
    with pytest.raises(UserError, match="cannot be unpacked"):
        fetch(offer("set.tar.gz", tar(**{"..__outside": b"c"})), tmp_path / "in", lambda _: None)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_broke_off(offer, server, tmp_path, ranges):
    server.ranges = ranges
    content = tar(a=bytes(range(256)) * 200)
    archive = offer("set.tar.gz", content)
    server.stops_after = 100
    with pytest.raises(UserError, match="Download stopped"):
        fetch(archive, tmp_path, lambda _: None)
    assert (tmp_path / "set.tar.gz.part").read_bytes() == content[:100]
    server.stops_after = None
    fetch(archive, tmp_path, lambda _: None)
    assert server.asked == [None, "bytes=100-"]
    assert (tmp_path / "a").stat().st_size == 51200


def test_something_else_is_removed_and_named(offer, tmp_path):
    archive = offer("set.tar.gz", tar(a=b"a"), "sha1:" + "0" * 40)
    with pytest.raises(
        UserError,
        match=r"not the official archive: its sha1 is [0-9a-f]{40}, not 0{40}\.\nFrom: .*set\.tar\.gz\n",
    ):
        fetch(archive, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_have_it_is_named(server, tmp_path):
    with pytest.raises(UserError, match=r"Download failed: Not Found\.\nFrom: .*/absent\.zip"):
        fetch(Archive(f"{server.address}/absent.zip", 10, "md5:0"), tmp_path, lambda _: None)
    with pytest.raises(UserError, match="Only http and https"):
        fetch(Archive("file:///absent.zip", 10, "md5:0"), tmp_path, lambda _: None)


def test_too_little_room_is_said_before_anything_is_fetched(offer, server, tmp_path):
    archive = offer("set.tar.gz", b"x")
    with pytest.raises(UserError, match="are free"):
        fetch(Archive(archive.url, 1 << 62, archive.checksum), tmp_path, lambda _: None)
    assert server.asked == []


def test_the_command_says_size_and_licence_first_and_fetches_on_request_only(
    offer, server, tmp_path, monkeypatch, capsys
):
    task = find_task("speech_commands")
    archive = offer("words.tar.gz", tar(validation_list=b"x" * 3))
    monkeypatch.setattr(
        task, "card", type(task.card)(**{**vars(task.card), "archives": (archive,)})
    )
    assert main(["data", "download", "speech_commands", "--data_dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "licence: CC BY 4.0" in text
    assert f"{archive.url}  0.00 GB" in text
    assert server.asked == []
    assert main(["data", "download", "speech_commands", "--data_dir", str(tmp_path), "--yes"]) == 0
    assert (tmp_path / "validation_list").read_bytes() == b"xxx"
    assert main(["data", "download", "gtzan", "--data_dir", str(tmp_path)]) == 2
    assert "no official archive" in capsys.readouterr().err


def test_the_official_archives_are_whole():
    archives = [archive for task in TASKS for archive in find_task(task).card.archives]
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    assert archives
    for archive in archives:
        algorithm, digest = archive.checksum.split(":")
        assert len(digest) == lengths[algorithm]
        assert re.fullmatch(r"https?://\S+\.(zip|tar\.gz)", archive.url)
        assert archive.bytes > 1e8
