"""The endpoint assistant against a real server that times out, is busy, breaks, talks rubbish or gets expensive."""

import base64
import io
import json

import pytest
from data.build_parts import clear, turned
from data.chat_server import chat_server
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from faceshield_hf.data.instruct.assistants import AssistantConfig, AssistantError, Request
from faceshield_hf.data.instruct.cache import AnswerCache
from faceshield_hf.data.instruct.endpoint import EndpointAssistant


pytestmark = pytest.mark.usefixtures("reachable_loopback")


def picture(size=(20, 10), kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, (9, 90, 200)).save(out, kind)
    return out.getvalue()


def assistant(server, folder, sleeps=None, **changes):
    settings = {"kind": "endpoint", "model": "m", "base_url": server.url, "tries": 3, "timeout": 5, "concurrency": 1}
    sleep = (lambda seconds: None) if sleeps is None else sleeps.append
    return EndpointAssistant(
        AssistantConfig(**(settings | changes)), str(folder), warn=lambda message: None, sleep=sleep
    )


def test_a_reply_comes_back_and_the_request_holds_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "another key, for the Hub only")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with chat_server("A face. ") as server:
        request = Request("be brief", "what?", picture(), (("q1", "a1"),), max_tokens=7)
        (reply,) = assistant(server, tmp_path, temperature=0.3, seed=5).reply([request])
        (sent,) = server.requests
        assert server.headers[0]["authorization"] == "Bearer a-key"
    assert (reply.text, reply.error) == ("A face.", "")
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["messages"][-1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["seed"]) == ("m", 7, 0.3, 5)


def test_what_was_answered_once_is_never_asked_again(tmp_path):
    with chat_server("one") as server:
        request = Request("s", "q", picture())
        assert assistant(server, tmp_path).reply([request, request])[1].text == "one"
        assert assistant(server, tmp_path).reply([request])[0].text == "one"
        assert len(server.requests) == 1
        assistant(server, tmp_path).reply([Request("s", "q", picture((9, 9)))])
        assistant(server, tmp_path, temperature=0.1).reply([request])
        assert len(server.requests) == 3


def test_images_are_sent_upright_opaque_and_else_as_they_are(tmp_path):
    with chat_server("a face") as server:
        for content in (turned(), clear(), picture()):
            assistant(server, tmp_path).reply([Request("s", "q", content)])
        sent = [request["messages"][-1]["content"][0]["image_url"]["url"] for request in server.requests]
    bytes_sent = [base64.b64decode(url.split(",")[1]) for url in sent]
    sideways, transparent = (Image.open(io.BytesIO(content)) for content in bytes_sent[:2])
    assert (sideways.size, sideways.getexif().get(ExifTag.Orientation, 1)) == ((48, 64), 1)
    assert sideways.getpixel((5, 5)) == (255, 255, 255) != sideways.getpixel((43, 5))
    assert transparent.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert bytes_sent[2] == picture()


@pytest.mark.parametrize("failure", [429, 500, 502, 503, 504, "garbage", "other json", "empty"])
def test_a_failure_that_passes_is_tried_again(tmp_path, failure):
    with chat_server(failure, failure, "at last") as server:
        assert assistant(server, tmp_path).reply([Request("s", "q")])[0].text == "at last"
        assert len(server.requests) == 3


def test_a_server_that_hangs_counts_as_failed_after_the_timeout(tmp_path):
    with chat_server("hang", "there") as server:
        assert assistant(server, tmp_path, timeout=0.2).reply([Request("s", "q")])[0].text == "there"
    with chat_server("hang") as server:
        (reply,) = assistant(server, tmp_path, timeout=0.2, tries=1).reply([Request("s", "other")])
        assert reply.error == "no answer within 0.2 seconds"


def test_pauses_grow_and_retry_after_is_obeyed(tmp_path):
    sleeps = []
    with chat_server(500) as server:
        assistant(server, tmp_path, sleeps, tries=5).reply([Request("s", "q")])
    assert len(sleeps) == 4  # none after the last try
    assert all(2**i / 2 <= pause <= 2**i for i, pause in enumerate(sleeps))
    sleeps.clear()
    with chat_server(429, "yes") as server:
        server.retry_after = 7
        assistant(server, tmp_path, sleeps).reply([Request("s", "q")])
    assert sleeps == [7.0]


def test_a_request_that_is_given_up_says_why_and_the_others_are_answered(tmp_path):
    with chat_server(lambda asked: 500 if "bad" in asked["messages"][-1]["content"] else "fine") as server:
        replies = assistant(server, tmp_path, concurrency=4).reply([Request("s", f"{w}") for w in ("a", "bad", "c")])
    assert [reply.text for reply in replies] == ["fine", "", "fine"]
    assert replies[1].error.startswith("HTTP 500")


def test_a_request_that_is_itself_wrong_is_not_repeated(tmp_path):
    with chat_server(400) as server:
        assert assistant(server, tmp_path).reply([Request("s", "q")])[0].error.startswith("HTTP 400")
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_at_once(tmp_path, status):
    with chat_server(status) as server:
        with pytest.raises(AssistantError, match=f"HTTP {status}.*OPENAI_API_KEY"):
            assistant(server, tmp_path).reply([Request("s", str(i)) for i in range(30)])
        assert len(server.requests) == 1


def test_nothing_but_failures_stop_the_build(tmp_path):
    with chat_server(500) as server:
        with pytest.raises(AssistantError, match=r"failed 4 requests in a row.*same command again"):
            assistant(server, tmp_path, give_up_after=4, tries=1).reply([Request("s", str(i)) for i in range(50)])
        assert len(server.requests) == 4


def test_no_server_at_all_is_a_failure_and_no_crash(tmp_path):
    with chat_server("x") as server:
        pass
    (reply,) = assistant(server, tmp_path, tries=2).reply([Request("s", "q")])
    assert reply.error.startswith("no connection")


def test_offline_mode_is_told_and_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with chat_server("x") as server, pytest.raises(AssistantError, match="HF_HUB_OFFLINE is set"):
        assistant(server, tmp_path).reply([Request("s", "q")])


def test_no_more_requests_are_under_way_than_allowed(tmp_path):
    with chat_server("x") as server:
        server.delay = 0.05
        assistant(server, tmp_path, concurrency=3).reply([Request("s", str(i)) for i in range(9)])
        assert server.most_under_way == 3


def test_the_rate_limit_spaces_the_requests(tmp_path):
    waits = []
    with chat_server("x") as server:
        assistant(server, tmp_path, waits, requests_per_minute=60).reply([Request("s", str(i)) for i in range(4)])
    # Each request waits for its second; the clock does not move while nobody sleeps.
    assert [round(wait) for wait in waits] == [1, 2, 3]


def test_the_cost_cap_holds_across_runs_and_is_told(tmp_path):
    # 1000 tokens in at 1 a thousand, 100 out at 10 a thousand: 2 a request.
    prices = {"price_in": 1000.0, "price_out": 10_000.0, "max_cost": 7.0, "concurrency": 4}
    requests = [Request("s", str(i)) for i in range(10)]
    with chat_server("x") as server:
        with pytest.raises(AssistantError, match="max_cost is 7"):
            assistant(server, tmp_path, **prices).reply(requests)
        assert len(server.requests) == 3
        assert AnswerCache(tmp_path).costs() == pytest.approx((6.0, 2.0))
        with pytest.raises(AssistantError, match="max_cost"):
            assistant(server, tmp_path, **prices).reply(requests)
        assert len(server.requests) == 3
        assistant(server, tmp_path, **(prices | {"max_cost": 20.0})).reply(requests)
        assert len(server.requests) == 10


def test_a_cost_cap_needs_token_counts(tmp_path):
    with chat_server("x") as server:
        server.usage = None
        with pytest.raises(AssistantError, match="without token counts"):
            assistant(server, tmp_path, price_in=1.0, max_cost=1.0).reply([Request("s", "q")])


def test_large_images_are_scaled_down_before_they_are_sent(tmp_path):
    import base64

    with chat_server("x") as server:
        assistant(server, tmp_path, max_side=64).reply([Request("s", "q", picture((256, 128)))])
        url = server.requests[0]["messages"][-1]["content"][0]["image_url"]["url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size == (64, 32)


def test_a_damaged_cache_file_is_asked_for_again(tmp_path):
    with chat_server("x") as server:
        assistant(server, tmp_path).reply([Request("s", "q")])
        (file,) = tmp_path.rglob("*.json")
        file.write_text('{"te')
        assistant(server, tmp_path).reply([Request("s", "q")])
        assert len(server.requests) == 2
        assert json.loads(file.read_text())["text"] == "x"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "magic"}, "template, local or endpoint"),
        ({"kind": "local"}, "model is missing"),
        ({"kind": "endpoint"}, "base_url nor model"),
        ({"kind": "endpoint", "model": "m", "max_cost": 1.0}, "needs price_in or price_out"),
        ({"tries": 0}, "tries is 0"),
        ({"requests_per_minute": -1.0}, "requests_per_minute"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AssistantConfig(**settings)
