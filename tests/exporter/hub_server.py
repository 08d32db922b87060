"""A stub of the HTTP interface of the Hugging Face hub, on this machine."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Serves models from memory, and takes commits.

    Attributes:
        models: ``user/name`` -> file name -> bytes.
        private: models that need the token.
        gated: models whose terms the user has not accepted.
        token: the token that may write and read private models.
        cut: names of files of which only a part is sent.
        requests: method and path of each request, in order.
        authorizations: values of the header of this name.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.private, self.gated, self.cut = {}, set(), set(), set()
        self.token, self.requests, self.authorizations = "hf_stub", [], []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None and length != len(body):
            self.close_connection = True

    def answer_json(self, content, status=200):
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def refuse(self, status, code):
        self.answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def known(self):
        self.server.requests.append((self.command, self.path))
        given = self.headers.get("Authorization", "")
        self.server.authorizations.append(given)
        return given == f"Bearer {self.server.token}"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        known = self.known()
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path):
            if found[1] not in self.server.models or (
                found[1] in self.server.private and not known
            ):
                return self.refuse(401, "RepoNotFound")
            return self.answer_json(
                {"id": found[1], "sha": COMMIT, "private": found[1] in self.server.private}
            )
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if found is None:
            return self.refuse(404, "EntryNotFound")
        repo, revision, name = found.groups()
        if repo not in self.server.models or (repo in self.server.private and not known):
            return self.refuse(401, "RepoNotFound")
        if repo in self.server.gated:
            return self.refuse(403, "GatedRepo")
        if revision not in ("main", "v1", COMMIT):
            return self.refuse(404, "RevisionNotFound")
        if name not in self.server.models[repo]:
            return self.answer(
                404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            )
        body = self.server.models[repo][name]
        size = len(body) if isinstance(body, bytes) else body
        etag = f'"{hashlib.sha256(repr(body).encode()).hexdigest()}"'
        headers = {"ETag": etag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.answer(200, b"", headers, size)
        sent = body[: len(body) // 2] if name in self.server.cut else body
        return self.answer(200, sent, headers, len(body))

    def do_POST(self):
        known = self.known()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if not known:
            return self.refuse(401, "Unauthorized")
        if self.path == "/api/validate-yaml":  # of the model card
            return self.answer_json({"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}" if "organization" in asked else ""
            if repo in self.server.models:
                return self.answer_json({"url": f"{self.server.url}/{repo}"}, 409)
            self.server.models[repo] = {}
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(repo)
            return self.answer_json({"url": f"{self.server.url}/{repo}"})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", self.path):
            how = {"uploadMode": "regular", "shouldIgnore": False}
            names = [file["path"] for file in json.loads(body)["files"]]
            return self.answer_json({"files": [{"path": name} | how for name in names]})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.models[found[1]][line["value"]["path"]] = content
            url = f"{self.server.url}/{found[1]}"
            return self.answer_json(
                {"success": True, "commitOid": COMMIT, "commitUrl": f"{url}/commit/{COMMIT}"}
            )
        return self.refuse(404, "EntryNotFound")
