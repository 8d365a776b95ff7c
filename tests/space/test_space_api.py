"""What programs get: typed endpoints, validators, bad input, many callers at once, and nothing left on the disk."""

import base64
import contextlib
import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import app
import httpx
import numpy as np
import pytest
import ui_words
from fake_detector import FakeDetector
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageFile
from space_site import PATIENCE as MILLISECONDS
from space_site import serve
from ui_api import Api

from faceshield_hf.tasks_faceshield import Verdict


PATIENCE = MILLISECONDS / 1000


@pytest.fixture(scope="session")
def shared_client(shared_site):
    return Client(shared_site.url, verbose=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture
def client(shared_client, site):
    return shared_client


def post(url, name, *data):
    """Call an endpoint as any HTTP client does; gives the event's kind and data, or what was answered at once."""
    started = start(url, name, *data)
    if started.status_code != 200:
        return started.status_code, json.dumps(started.json(), ensure_ascii=False)
    return finish(url, name, started)


def start(url, name, *data):
    return httpx.post(f"{url}gradio_api/call/{name}", json={"data": data}, timeout=PATIENCE)


def finish(url, name, started):
    events = httpx.get(f"{url}gradio_api/call/{name}/{started.json()['event_id']}", timeout=PATIENCE).text
    kind, _, value = events.strip().rpartition("event: ")[2].partition("\ndata: ")
    return kind, value


def put(url, path):
    """Upload a file; gives what stands for it in a call."""
    with path.open("rb") as file:
        [server_path] = httpx.post(
            f"{url}gradio_api/upload", files={"files": (path.name, file)}, timeout=PATIENCE
        ).json()
    return {"path": server_path, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


# ---- the endpoints ----


def test_endpoints_are_typed(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    parameters = {name: [p["parameter_name"] for p in info["parameters"]] for name, info in endpoints.items()}
    assert parameters == {
        "/analyze": ["image", "task", "threshold"],
        "/batch": ["images", "task", "threshold"],
        "/simulate": ["image", "attack_type", "domain", "seed"],
    }
    for info in endpoints.values():
        assert "Args" not in info["description"] and len(info["description"]) > 30


def test_analyze_gives_the_verdict(client, detector, face):
    answer = client.predict(image=handle_file(face), task="fine", threshold=0.9, api_name="/analyze")
    verdict = Verdict.from_dict(answer)
    assert verdict.label == "real" and verdict.threshold == 0.9 and list(verdict.answers) == ["fine"]
    assert detector.asked == [((512, 512), ("fine",))]


def test_analyze_asks_everything_at_the_checkpoints_threshold_by_default(client, site, detector, face):
    answer = client.predict(image=handle_file(face), api_name="/analyze")
    assert list(answer["answers"]) == list(ui_words.TASK_LISTS["all"]) and answer["threshold"] == 0.5
    detector.model.config.score_threshold = 0.654321
    assert '"threshold": 0.654321' in post(site.url, "analyze", put(site.url, face), "all", None)[1]


def test_batch_gives_one_answer_a_photo_in_their_order(client, face, tmp_path):
    Image.new("RGB", (9, 9), (51, 0, 0)).save(tmp_path / "dark.png")
    (tmp_path / "notes.txt").write_text("hello")
    images = [handle_file(path) for path in (tmp_path / "dark.png", tmp_path / "notes.txt", face)]
    answers = client.predict(images=images, task="coarse", api_name="/batch")
    assert [answer["file"] for answer in answers] == ["dark.png", "notes.txt", "face.jpg"]
    assert answers[0]["score"] == 0.2 and "not an image" in answers[1]["error"] and answers[2]["label"] == "spoof"


def test_simulate_gives_the_picture_and_both_verdicts(client, face):
    answer = client.predict(image=handle_file(face), attack_type="Print", domain="B", seed=3, api_name="/simulate")
    again = client.predict(image=handle_file(face), attack_type="Print", domain="B", seed=3, api_name="/simulate")
    assert answer == again
    picture = Image.open(io.BytesIO(base64.b64decode(answer["image"].partition(",")[2])))
    assert picture.format == "JPEG" and min(picture.size) > 96
    assert answer["boxes"] and answer["attack_type"] == "Print"
    assert {answer["before"]["label"], answer["after"]["label"]} == {"spoof"}


# ---- wrong calls ----


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("analyze", {"threshold": 1.5}, "threshold 1.5: expected a number from 0 to 1"),
        ("analyze", {"threshold": -0.1}, "expected a number from 0 to 1"),
        ("analyze", {"task": "colour"}, "Got the task 'colour': choose one of all, coarse"),
        ("analyze", {"task": ["all"]}, "Got the task ['all']: choose one of"),
        ("analyze", {"image": None}, "no photo yet"),
        ("batch", {"images": []}, "no photos yet"),
        ("batch", {"threshold": 2}, "expected a number from 0 to 1"),
        ("simulate", {"seed": -1}, "whole number"),
        ("simulate", {"seed": 0.5}, "whole number"),
        ("simulate", {"attack_type": "Ghost"}, "Got the attack 'Ghost': choose one of Bonafide"),
        ("simulate", {"attack_type": {}}, "Got the attack {}: choose one of"),
        ("simulate", {"domain": "Z"}, "Got the conditions 'Z': choose one of A, B, C"),
    ],
)
def test_wrong_value_is_refused_before_it_is_queued(site, detector, face, name, wrong, message):
    right = {
        "analyze": {"image": put(site.url, face), "task": "all", "threshold": 0.5},
        "batch": {"images": [put(site.url, face)], "task": "all", "threshold": 0.5},
        "simulate": {"image": put(site.url, face), "attack_type": "Print", "domain": "A", "seed": 0},
    }
    status, told = post(site.url, name, *(right[name] | wrong).values())
    assert status == 422 and message in told
    assert detector.asked == []


def test_validators_unpack_no_photo(handlers, tmp_path, monkeypatch):
    """They run for many callers at once, before the queue."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (300, 200)).save(photo)
    api, unpacked = Api(handlers), []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: unpacked.append(self))
    checked = api.check_analyze(str(photo), "all", 0.5), api.check_simulate(str(photo), "Print", "A", 0)
    assert all(each["is_valid"] for each in (*checked[0], *checked[1]))
    (tmp_path / "bomb.png").write_bytes(bomb())
    refused = api.check_analyze(str(tmp_path / "bomb.png"), "all", 0.5)[0]
    assert not refused["is_valid"] and "more than 89,478,485 pixels" in refused["message"]
    assert str(tmp_path) not in refused["message"]
    assert unpacked == []


def test_too_many_photos_are_refused(site, face):
    photo = put(site.url, face)
    assert post(site.url, "batch", [photo] * 65, "coarse", None)[0] == 422


def test_no_file_of_the_server_is_read(site, detector):
    for path in (str(Path(ui_words.__file__)), "/etc/hostname", "http://127.0.0.1:1/x.png", "../../etc/hostname"):
        photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for name, data in (("analyze", [photo, "coarse", 0.5]), ("batch", [[photo], "coarse", 0.5])):
            assert post(site.url, name, *data)[0] in ("error", 400, 422)
    assert detector.asked == []


# ---- bad and unusual photos, one by one ----


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bomb():
    """A PNG that says it has 20,000 x 20,000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.new("RGB", (40, 20), (128, 128, 128)), "JPEG", exif=exif)


def truncated():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    return saved(Image.fromarray(noise), "JPEG")[:20_000]


GRAY = Image.new("L", (40, 20), 77)
REFUSED = {
    "no image": (b"hello", "not an image"),
    "truncated": (truncated(), "truncated or damaged"),
    "empty": (b"", "not an image"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
    "bomb": (bomb(), "more than 89,478,485 pixels"),
    "html": (b"<script>alert(1)</script>", "not an image"),
    "not numbers": (saved(Image.fromarray(np.full((20, 40), np.nan, np.float32)), "TIFF"), "NaN or infinite"),
}
# The validator, which reads headers only, lets these through; the call itself tells.
BEHIND_THE_HEADER = ("truncated", "not numbers")
READ = {
    "one pixel": (saved(Image.new("RGB", (1, 1), (77, 77, 77))), (1, 1)),
    "cmyk": (saved(Image.new("CMYK", (40, 20)), "JPEG"), (40, 20)),
    "16 bits": (saved(Image.fromarray(np.full((20, 40), 77 * 257, np.uint16))), (40, 20)),
    "alpha": (saved(Image.new("RGBA", (40, 20), (0, 0, 0, 0))), (40, 20)),
    "palette": (saved(GRAY.convert("P")), (40, 20)),
    "rotated": (rotated(), (20, 40)),
    "animated": (saved(GRAY, "GIF", save_all=True, append_images=[Image.new("L", (40, 20), 200)]), (40, 20)),
    "grayscale": (saved(GRAY), (40, 20)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_photo_is_refused_with_a_clear_message(site, detector, tmp_path, kind):
    content, message = REFUSED[kind]
    (tmp_path / "photo.jpg").write_bytes(content)
    status, told = post(site.url, "analyze", put(site.url, tmp_path / "photo.jpg"), "coarse", None)
    assert status in (("error",) if kind in BEHIND_THE_HEADER else (400, 422)) and message in told
    assert str(site.cache) not in told and detector.asked == []
    rows = json.loads(post(site.url, "batch", [put(site.url, tmp_path / "photo.jpg")], "coarse", None)[1])
    assert message in rows[0][0]["error"]


@pytest.mark.parametrize("kind", READ)
def test_unusual_photo_is_read_right(site, detector, tmp_path, kind):
    content, size = READ[kind]
    (tmp_path / "photo.png").write_bytes(content)
    status, told = post(site.url, "analyze", put(site.url, tmp_path / "photo.png"), "coarse", None)
    assert status == "complete" and detector.asked == [(size, ("coarse",))]
    score = json.loads(told)[0]["score"]
    assert score == pytest.approx({"cmyk": 1, "alpha": 1, "rotated": 0.502}.get(kind, 0.302), abs=0.01)


def test_upload_beyond_the_cap_is_refused(site):
    answer = httpx.post(
        f"{site.url}gradio_api/upload", files={"files": ("big.jpg", b"0" * 21_000_000)}, timeout=PATIENCE
    )
    assert answer.status_code == 413


# ---- nothing is kept ----


def test_nothing_is_recorded(site):
    config = httpx.get(f"{site.url}config", timeout=PATIENCE).json()
    assert config["analytics_enabled"] is False and config["run_history"] is False


def test_a_run_writes_nothing_but_the_upload(site, tmp_path):
    Image.new("RGB", (300, 200), (1, 2, 3)).save(tmp_path / "only-upload.png")
    before = set(site.cache.rglob("*"))
    for name, data in (("analyze", ["all", None]), ("batch", ["all", None])):
        photo = put(site.url, tmp_path / "only-upload.png")
        assert post(site.url, name, photo if name == "analyze" else [photo], *data)[0] == "complete"
    written = [path for path in set(site.cache.rglob("*")) - before if path.is_file()]
    # Gradio leaves empty files too.
    assert [path.name for path in written if path.stat().st_size] == ["only-upload.png"]


def test_upload_is_deleted_in_time_while_the_server_runs(cache, tmp_path):
    """By Gradio's own clean-up too, without the sweep of `app.py`."""
    site = serve(tmp_path, FakeDetector(), keep_seconds=1)
    try:
        Image.new("RGB", (300, 200)).save(tmp_path / "mine.png")
        photo = put(site.url, tmp_path / "mine.png")
        assert Path(photo["path"]).is_relative_to(site.cache)
        end = time.monotonic() + PATIENCE
        while Path(photo["path"]).exists() and time.monotonic() < end:
            time.sleep(0.2)
        assert not Path(photo["path"]).exists()
        assert not list(site.cache.rglob("mine.png"))
    finally:
        site.demo.close()


# ---- many callers, slow callers ----


def test_fifty_callers_at_once_are_all_answered(site, detector, face):
    detector.pause = 0.01
    photo = put(site.url, face)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(site.url, "analyze", photo, "coarse", None)[0], range(50)))
    assert answers == ["complete"] * 50
    assert len(detector.asked) == 50


def test_who_comes_when_the_queue_is_full_is_told_and_the_others_are_served(cache, tmp_path):
    detector = FakeDetector()
    detector.gate.clear()
    site = serve(tmp_path, detector, max_waiting=2)
    try:
        photo = put(site.url, site.face)
        started = [start(site.url, "analyze", photo, "coarse", None)]
        assert detector.entered.wait(PATIENCE)
        started += [start(site.url, "analyze", photo, "coarse", None) for _ in range(4)]
        assert [answer.status_code for answer in started] == [200, 200, 200, 503, 503]  # one runs, two wait
        assert "Queue is full" in started[-1].text
        detector.gate.set()
        for answer in started[:3]:
            assert finish(site.url, "analyze", answer)[0] == "complete"
        assert post(site.url, "analyze", photo, "coarse", None)[0] == "complete"
    finally:
        site.demo.close()


def test_slow_uploader_and_deaf_listener_stop_nobody(site, face):
    """One sends its photo a byte at a time, one never reads its answer; the next is answered all the same."""
    with connect(site) as slow, connect(site) as deaf:
        slow.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n")
        slow.sendall(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")
        photo = put(site.url, face)
        started = start(site.url, "analyze", photo, "all", None).json()
        deaf.sendall(f"GET /gradio_api/call/analyze/{started['event_id']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with dripping(slow):
            assert post(site.url, "analyze", photo, "coarse", None)[0] == "complete"


def test_an_upload_that_takes_too_long_is_refused(tmp_path, detector, monkeypatch):
    monkeypatch.setattr(app, "UPLOAD_SECONDS", 1.0)
    site = serve(tmp_path, detector)
    try:
        # A file, which is read piece by piece, and a call, which is read whole.
        for path, kind in (("upload", "multipart/form-data; boundary=b"), ("call/analyze", "application/json")):
            with connect(site) as slow:
                slow.sendall(f"POST /gradio_api/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n".encode())
                slow.sendall(f"Content-Type: {kind}\r\n\r\n--b\r\n".encode())
                with dripping(slow):
                    answer = slow.recv(1000)
            assert answer.startswith(b"HTTP/1.1 408 "), (path, answer)
        assert post(site.url, "analyze", put(site.url, site.face), "coarse", None)[0] == "complete"
    finally:
        site.demo.close()


def connect(site):
    host, port = site.url.removeprefix("http://").rstrip("/").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


@contextlib.contextmanager
def dripping(connection):
    """Meanwhile a byte goes out ten times a second."""
    stop = threading.Event()

    def drip():
        while not stop.wait(0.1):
            with contextlib.suppress(OSError):  # hung up on
                connection.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_caller_who_hangs_up_leaves_the_queue_going(site, detector, face):
    detector.pause = 0.3
    photo = put(site.url, face)
    for _ in range(3):
        started = start(site.url, "analyze", photo, "all", None).json()
        with httpx.stream("GET", f"{site.url}gradio_api/call/analyze/{started['event_id']}", timeout=PATIENCE):
            pass  # hung up before a word came
    assert post(site.url, "analyze", photo, "coarse", None)[0] == "complete"


# ---- MCP ----


@pytest.fixture
def assistant(site):
    """Calls the MCP server; where the extra `mcp` is not installed the endpoints are there for HTTP only."""
    pytest.importorskip("mcp", reason="the extra faceshield-hf[mcp] is not installed")

    def call(method, **parameters):
        answer = httpx.post(
            f"{site.url}gradio_api/mcp/",
            json={"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters},
            headers={"Accept": "application/json, text/event-stream"},
            timeout=PATIENCE,
            follow_redirects=True,
        )
        return json.loads(answer.text.partition("data: ")[2] or answer.text)["result"]

    return call


def test_tools_for_assistants(assistant):
    tools = {tool["name"]: tool for tool in assistant("tools/list")["tools"]}
    assert {name.rpartition("_")[2] for name in tools} >= {"analyze", "batch", "simulate"}
    analyze = next(tool for name, tool in tools.items() if name.endswith("analyze"))
    assert set(analyze["inputSchema"]["properties"]) == {"image", "task", "threshold"}
    assert "presentation attack" in analyze["description"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "'label': 'spoof'"),
        ({"threshold": 1.5}, "expected a number from 0 to 1"),
        ({"task": "colour"}, "'colour' is not one of"),
        ({"image": "/etc/hostname"}, "/etc/hostname"),
    ],
)
def test_tool_judges_a_photo_and_refuses_what_is_wrong(assistant, detector, face, given, said):
    photo = "data:image/jpeg;base64," + base64.b64encode(face.read_bytes()).decode()
    answer = assistant("tools/call", name="analyze", arguments={"image": photo, "task": "coarse"} | given)
    assert answer["isError"] == bool(given) and said in answer["content"][0]["text"]
    assert bool(detector.asked) == (not given)


def test_client_of_gradio_tells_what_is_wrong(client, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises((AppError, ValueError, httpx.HTTPStatusError), match="not an image"):
        client.predict(image=handle_file(tmp_path / "notes.txt"), api_name="/analyze")


@pytest.mark.parametrize("page", ["docs/space.md", "space/README.md"])
def test_every_snippet_runs(site, face, page, monkeypatch):
    text = (Path(__file__).parents[2] / page).read_text()
    [snippet] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(face.parent)
    here = snippet.replace("http://127.0.0.1:7860", site.url).replace('"photo.jpg"', '"face.jpg"')
    assert here != snippet
    variables = {}
    exec(here, variables)
    assert variables["verdict"]["label"] == "spoof"


def test_visitors_are_forgotten_beyond_a_number(cache, tmp_path, monkeypatch):
    """Every call of a plain HTTP client is a visitor of its own, and each holds memory."""
    monkeypatch.setattr(app, "VISITORS_KEPT", 3)
    small = serve(tmp_path, FakeDetector())
    try:
        for _ in range(7):
            kind, value = post(small.url, "analyze", put(small.url, small.face), "coarse", None)
            assert kind == "complete", value
        assert len(small.demo.state_holder.session_data) == 3
    finally:
        small.demo.close()
