"""A Hub on loopback that the real huggingface_hub client can push to and load from, for tests.

It speaks what the client speaks without Xet: create, settings, preupload, LFS batch, commit, revision, tree,
paths-info, resolve. Repositories live in memory; a commit is all or nothing, as on the Hub. It knows three tokens:
`WRITE` and `READ` belong to the user "tester", `STRANGER` to somebody else who may write elsewhere.

    pytest_plugins = ["hub_server"]

    def test_something(hub):
        HfApi().create_repo("tester/mine")                       # in this process: the fixture points the client here
        subprocess.run(..., env=hub.environment(home=tmp_path))  # in another one
        assert hub.repo("model", "tester/mine").files("main")["README.md"]
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import uvicorn
import yaml
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse


WRITE, READ, STRANGER = "hf_test_write", "hf_test_read", "hf_test_stranger"
TOKENS = {WRITE: ("tester", "write"), READ: ("tester", "read"), STRANGER: ("stranger", "write")}
LFS_FROM = 512 * 1024  # bytes; smaller text goes into the commit itself
DATE = "2026-01-01T00:00:00.000Z"


class RefusedError(Exception):
    """An answer that is an error, in the Hub's own form."""

    def __init__(self, status, message, code=None):
        self.status, self.message, self.code = status, message, code


@dataclass
class Repo:
    """One repository: its commits are `(oid, title, {path: (bytes, is LFS)})`, oldest first."""

    kind: str
    name: str
    private: bool = False
    gated: str | bool = False
    sdk: str | None = None
    variables: dict = field(default_factory=dict)
    commits: list = field(default_factory=list)
    refs: dict = field(default_factory=dict)

    def commit(self, title, files, branch="main"):
        oid = hashlib.sha1(f"{self.kind}{self.name}{len(self.commits)}{title}".encode()).hexdigest()
        self.commits.append((oid, title, files))
        self.refs[branch] = oid
        return oid

    def at(self, revision):
        oid = self.refs.get(revision, revision)
        for commit in self.commits:
            if commit[0] == oid:
                return commit
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def files(self, revision="main"):
        return {path: content for path, (content, _) in self.at(revision)[2].items()}


class Hub:
    """The server's state, and what tests set and read.

    Attributes:
        url (`str`): what HF_ENDPOINT should say.
        drop (`set[str]`): requests whose connection breaks half-way: of "preupload", "lfs", "commit", "resolve",
            "variables".
        seen (`list[tuple[str, str]]`): method and path of every request.
    """

    WRITE, READ, STRANGER = WRITE, READ, STRANGER

    def __init__(self):
        self.url = ""
        self.clear()

    def clear(self):
        self.repos, self.blobs, self.drop, self.seen = {}, {}, set(), []

    def repo(self, kind, name):
        return self.repos[kind, name]

    def find(self, request, kinds, namespace, name, content=False):
        """Look a repository up, as far as the caller may see it."""
        repo = self.repos.get((kinds.removesuffix("s"), f"{namespace}/{name}"))
        user, _ = user_of(request)
        if repo is None or (repo.private and user != namespace):
            raise RefusedError(404 if user else 401, "Repository not found", "RepoNotFound")
        if content and repo.gated and user != namespace:
            raise RefusedError(403 if user else 401, f"Access to {repo.name} is restricted", "GatedRepo")
        return repo

    def environment(self, home, token=WRITE):
        """Variables for another process whose Hub this is; `home` keeps its cache and token apart."""
        kept = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        return kept | own | ({"HF_TOKEN": token} if token else {})


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path, content, lfs):
    found = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
    sha = hashlib.sha256(content).hexdigest()
    return found | ({"lfs": {"oid": sha, "sha256": sha, "size": len(content), "pointerSize": 134}} if lfs else {})


def entries(files, under=""):
    """Every file and folder below a folder, folders first."""
    inside = {path: found for path, found in files.items() if not under or path.startswith(under + "/")}
    folders = sorted({"/".join(path.split("/")[:i]) for path in inside for i in range(1, path.count("/") + 1)})
    below = [f for f in folders if f != under and (not under or f.startswith(under + "/"))]
    listed = [{"type": "directory", "path": f, "size": 0, "oid": git_oid(f.encode())} for f in below]
    return listed + [entry(path, *inside[path]) for path in sorted(inside)]


def step_of(request):
    """Which of the steps in `Hub.drop` a request is."""
    parts = request.url.path.split("/")
    return next((step for step in ("preupload", "lfs", "commit", "resolve", "variables") if step in parts), None)


def user_of(request):
    token = (request.headers.get("authorization") or "").removeprefix("Bearer ")
    if token and token not in TOKENS:
        raise RefusedError(401, "Invalid credentials in Authorization header")
    return TOKENS.get(token, (None, None))


def may_write(request, namespace):
    user, role = user_of(request)
    if user is None:
        raise RefusedError(401, "Invalid username or password.")
    if role != "write":
        raise RefusedError(403, "you must use a write token to do this")
    if user != namespace:
        raise RefusedError(403, f"You don't have the rights to write to the namespace {namespace!r}")


def make_app(hub):
    app = FastAPI()
    for add in (add_failures, add_account, add_repositories, add_uploads, add_commits, add_listings, add_downloads):
        add(app, hub)
    return app


def add_failures(app, hub):
    """Errors in the Hub's form, and a network that breaks when a test says so."""

    @app.exception_handler(RefusedError)
    def refuse(request, error):
        headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
        return JSONResponse({"error": error.message}, error.status, headers)

    @app.middleware("http")
    async def watch(request, call_next):
        hub.seen.append((request.method, request.url.path))
        if step_of(request) not in hub.drop:
            return await call_next(request)

        async def half():
            yield b"{"
            raise ConnectionError("the network is gone")

        return StreamingResponse(half(), headers={"Content-Length": "100"})


def add_account(app, hub):
    """Who a token belongs to, and whether a card's metadata is YAML."""

    @app.get("/api/whoami-v2")
    def whoami(request: Request):
        user, role = user_of(request)
        if user is None:
            raise RefusedError(401, "Invalid username or password.")
        return {"type": "user", "name": user, "orgs": [], "auth": {"accessToken": {"role": role}}}

    @app.post("/api/validate-yaml")
    def validate(body: dict):
        front = body["content"].split("---")[1] if body["content"].startswith("---") else ""
        try:
            yaml.safe_load(front)
        except yaml.YAMLError as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return {"errors": [], "warnings": [] if front else [{"message": "empty or missing yaml metadata"}]}


def add_repositories(app, hub):
    """Making a repository, changing its settings, asking about it."""

    @app.post("/api/repos/create")
    def create(request: Request, body: dict):
        user, _ = user_of(request)
        namespace = body.get("organization") or user
        may_write(request, namespace)
        kind, name = body.get("type") or "model", f"{namespace}/{body['name']}"
        url = hub.url + "/" + ("" if kind == "model" else kind + "s/") + name
        if (kind, name) in hub.repos:
            return JSONResponse({"error": "You already created this repo", "url": url}, 409)
        hub.repos[kind, name] = Repo(kind, name, body.get("visibility") == "private", sdk=body.get("sdk"))
        hub.repos[kind, name].variables = {each["key"]: each["value"] for each in body.get("variables") or ()}
        hub.repos[kind, name].commit("initial commit", {".gitattributes": (b"*.safetensors filter=lfs\n", False)})
        return {"url": url, "name": name}

    @app.put("/api/{kinds}/{namespace}/{name}/settings")
    def settings(request: Request, kinds: str, namespace: str, name: str, body: dict):
        may_write(request, namespace)
        repo = hub.find(request, kinds, namespace, name)
        repo.gated = body.get("gated", repo.gated)
        repo.private = {"private": True, "public": False}.get(body.get("visibility"), repo.private)
        return {"gated": repo.gated, "private": repo.private}

    @app.api_route("/api/spaces/{namespace}/{name}/variables", methods=["GET", "POST", "DELETE"])
    async def variables(request: Request, namespace: str, name: str):
        may_write(request, namespace)
        repo = hub.find(request, "spaces", namespace, name)
        if request.method == "POST":
            body = await request.json()
            repo.variables[body["key"]] = body["value"]
        elif request.method == "DELETE":
            del repo.variables[(await request.json())["key"]]
        return {key: {"value": value} for key, value in repo.variables.items()}

    @app.get("/api/{kinds}/{namespace}/{name}")
    @app.get("/api/{kinds}/{namespace}/{name}/revision/{revision:path}")
    def info(request: Request, kinds: str, namespace: str, name: str, revision: str = "main"):
        repo = hub.find(request, kinds, namespace, name)
        oid, _, files = repo.at(revision)
        readme = files.get("README.md", (b"", False))[0].decode()
        card = yaml.safe_load(readme.split("---")[1]) if readme.startswith("---") else None
        siblings = [{"rfilename": path} for path in sorted(files)]
        own = {"id": repo.name, "sha": oid, "private": repo.private, "gated": repo.gated, "lastModified": DATE}
        return own | {"siblings": siblings, "cardData": card, "tags": [], "downloads": 0, "likes": 0, "sdk": repo.sdk}


def add_uploads(app, hub):
    """What comes before a commit: which files are large, and those files."""

    @app.post("/api/{kinds}/{namespace}/{name}/preupload/{revision}")
    def preupload(request: Request, kinds: str, namespace: str, name: str, revision: str, body: dict):
        may_write(request, namespace)
        old = hub.find(request, kinds, namespace, name).at(revision)[2]

        def plan(file):
            binary = b"\0" in base64.b64decode(file["sample"]) or file["path"].endswith((".safetensors", ".parquet"))
            found = {"path": file["path"], "uploadMode": "lfs" if binary or file["size"] > LFS_FROM else "regular"}
            known = old.get(file["path"])
            return found | {"shouldIgnore": False} | ({"oid": git_oid(known[0])} if known and not known[1] else {})

        return {"files": [plan(file) for file in body["files"]]}

    def batch(request: Request, namespace: str, name: str, body: dict):
        may_write(request, namespace)

        def action(found):
            if found["oid"] in hub.blobs:
                return found
            return found | {"actions": {"upload": {"href": f"{hub.url}/lfs/{found['oid']}"}}}

        return {"transfer": "basic", "objects": [action(found) for found in body["objects"]]}

    app.post("/{namespace}/{name}.git/info/lfs/objects/batch")(batch)
    app.post("/{kinds}/{namespace}/{name}.git/info/lfs/objects/batch")(batch)

    @app.put("/lfs/{oid}")
    async def put(request: Request, oid: str):
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != oid:
            raise RefusedError(400, "the content is not what its oid says")
        hub.blobs[oid] = content
        return Response()


def add_commits(app, hub):
    """The commit, all or nothing."""

    @app.post("/api/{kinds}/{namespace}/{name}/commit/{revision}")
    async def commit(request: Request, kinds: str, namespace: str, name: str, revision: str):
        may_write(request, namespace)
        repo = hub.find(request, kinds, namespace, name)
        parent, _, old = repo.at(revision)
        files, title = dict(old), ""
        for line in (await request.body()).splitlines():
            key, value = json.loads(line)["key"], json.loads(line)["value"]
            if key == "header":
                title = value["summary"]
                if value.get("parentCommit", parent) != parent:
                    raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = (base64.b64decode(value["content"]), False)
            elif key == "lfsFile" and value["oid"] not in hub.blobs:
                raise RefusedError(400, f"LFS pointer of {value['path']} points to a file that doesn't exist")
            elif key == "lfsFile":
                files[value["path"]] = (hub.blobs[value["oid"]], True)
            elif key == "deletedFile":
                del files[value["path"]]
            else:
                raise RefusedError(400, f"unknown operation {key}")
        oid = repo.commit(title, files, revision)
        return {"commitUrl": f"{hub.url}/{repo.name}/commit/{oid}", "commitOid": oid, "success": True}


def add_listings(app, hub):
    """What a repository holds: files, branches, commits."""

    @app.get("/api/{kinds}/{namespace}/{name}/tree/{revision}")
    @app.get("/api/{kinds}/{namespace}/{name}/tree/{revision}/{under:path}")
    def tree(
        request: Request,
        kinds: str,
        namespace: str,
        name: str,
        revision: str,
        under: str = "",
        recursive: bool = False,
    ):
        found = entries(hub.find(request, kinds, namespace, name, content=True).at(revision)[2], under)
        if under and not found:
            raise RefusedError(404, f"{under} does not exist", "EntryNotFound")
        depth = under.count("/") + 1 if under else 0
        return [item for item in found if recursive or item["path"].count("/") == depth]

    @app.post("/api/{kinds}/{namespace}/{name}/paths-info/{revision}")
    async def paths_info(request: Request, kinds: str, namespace: str, name: str, revision: str):
        files = hub.find(request, kinds, namespace, name, content=True).at(revision)[2]
        wanted = set((await request.form()).getlist("paths"))
        return [item for item in entries(files) if item["path"] in wanted]

    @app.get("/api/{kinds}/{namespace}/{name}/refs")
    def refs(request: Request, kinds: str, namespace: str, name: str):
        repo = hub.find(request, kinds, namespace, name)
        heads = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in repo.refs.items()]
        return {"branches": heads, "converts": [], "tags": []}

    @app.get("/api/{kinds}/{namespace}/{name}/commits/{revision}")
    def commits(request: Request, kinds: str, namespace: str, name: str, revision: str):
        found = reversed(hub.find(request, kinds, namespace, name).commits)
        return [{"id": oid, "title": t, "message": "", "authors": [], "date": DATE} for oid, t, _ in found]


def add_downloads(app, hub):
    """A file's content, or a part of it."""

    def resolve(request: Request, namespace: str, name: str, revision: str, path: str, kinds: str = "models"):
        oid, _, files = hub.find(request, kinds, namespace, name, content=True).at(revision)
        headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if path not in files:
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return JSONResponse({"error": "Entry not found"}, 404, headers)
        content, lfs = files[path]
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest() if lfs else git_oid(content)}"'
        status, wanted = 200, request.headers.get("range")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content)) + 1, len(content))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            status, content = 206, content[start:end]
        return Response(content, status, headers, media_type="application/octet-stream")

    app.api_route("/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])(resolve)
    app.api_route("/{kinds}/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])(resolve)


@pytest.fixture(scope="session")
def hub_server():
    """The running server; tests want `hub`."""
    hub = Hub()
    listening = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(make_app(hub), log_level="critical", loop="asyncio"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield hub
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def hub(hub_server, monkeypatch, tmp_path):
    """An empty Hub that this process's client speaks to as `tester`, without waiting between retries."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    hub_server.clear()
    for name, value in {
        "ENDPOINT": hub_server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub_server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", WRITE)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))
    return hub_server
