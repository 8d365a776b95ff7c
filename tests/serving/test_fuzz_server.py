"""Requests that are damaged or made up: an answer, or a refusal with a message, never an error of the server's own."""

import base64
import copy
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_fuzz import CORPUS, FILES, mutated

from faceshield_hf.serving import Limits, build_app


pytest_plugins = ["served", "tiny_checkpoint"]

SETTINGS = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ODD = [
    None, True, False, 0, -1, 1, 3, 10**30, 0.5, 1e-30, 1e300, float("nan"), float("inf"), "", " ", "x", "\x00",
    "\ud800", "é" * 300, "a" * 5000, "data:image/png;base64,", "/etc/passwd", "http://localhost/", [], [[]], [None],
    ["x"], ["x"] * 9, [""], ["\ud800"], [1], {}, {"type": "text"}, [{}], {"url": None}, "<image>", "<|end|>",
    "{{ 1 }}", "[" * 5000,
]  # fmt: skip


@pytest.fixture(scope="module")
def client(shared_shield):
    limits = Limits(max_tokens=3, max_body=400_000, max_pixels=1_000_000)
    with TestClient(build_app(shared_shield, limits), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def chat_body(photo_url):
    parts = [{"type": "image_url", "image_url": {"url": photo_url}}, {"type": "text", "text": "Real?"}]
    return {"model": "faceshield", "messages": [{"role": "user", "content": parts}], "max_tokens": 2}


def post(client, path, body):
    """Send JSON as it is, halves of surrogate pairs and all."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text, content[:2000])
        assert answer.json()["error"]["message"]
    elif "stream" not in answer.headers["content-type"]:
        assert answer.json()
    else:
        assert answer.text.endswith("data: [DONE]\n\n") and '"error"' not in answer.text, (answer.text, content[:2000])
    return answer


def places(value, path=()):
    """The ways to every part of a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def replaced(body, path, value):
    if not path:
        return value
    body = copy.deepcopy(body)
    part = body
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return body


def test_any_odd_value_anywhere_in_a_chat_is_answered_or_refused(client, chat_body):
    whole = chat_body | {
        "temperature": 0, "top_p": 1, "seed": 1, "stop": ["."], "stream": False, "n": 1, "frequency_penalty": 0
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for path in places(whole):
        for k in rng.permutation(len(ODD))[: 12 if FILES <= 1000 else len(ODD)]:
            post(client, "/v1/chat/completions", replaced(whole, path, ODD[k]))
    assert post(client, "/v1/chat/completions", chat_body).status_code == 200


def test_any_odd_value_in_a_question_for_a_verdict_is_answered_or_refused(client, photo_url):
    whole = {"image": photo_url, "tasks": ["coarse"], "threshold": 0.5, "quality": False}
    for path in places(whole):
        for value in ODD:
            post(client, "/v1/analyze", replaced(whole, path, value))
    for name in ("\ud800", "", "x" * 5000):
        assert post(client, "/v1/analyze", whole | {name: 1}).status_code == 422
    assert post(client, "/v1/analyze", whole).status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"seed": "now"}, 400),
        ({"seed": 10**30}, 400),
        ({"seed": -1}, 400),
        ({"stop": 5}, 400),
        ({"stop": [1]}, 400),
        ({"stop": [""]}, 400),
        ({"stop": ["\ud800"]}, 400),
        ({"stop": ["e", "."]}, 200),
        ({"stop": "e"}, 200),
        ({"stop": []}, 200),
        ({"stream": "yes"}, 400),
        ({"temperature": 1e-30}, 200),
        ({"temperature": 2, "top_p": 0, "seed": 0}, 200),
        ({"frequency_penalty": 2}, 200),
        ({"\ud800": 1}, 400),
        ({"model": "\ud800"}, 404),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400),
        ({"messages": [{"role": "assistant", "content": "I speak first"}]}, 400),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, 400),
        ({"messages": [{"role": "user", "content": ""}]}, 200),
    ],
)
def test_what_was_once_an_error_of_the_servers_own_has_its_status(client, chat_body, change, status):
    assert post(client, "/v1/chat/completions", chat_body | change).status_code == status


@SETTINGS
@given(changes=st.dictionaries(st.sampled_from(["messages", "stop", "seed", "stream", "x"]), JSON, min_size=1))
def test_any_json_in_a_chat_is_answered_or_refused(client, chat_body, changes):
    post(client, "/v1/chat/completions", chat_body | changes)


@SETTINGS
@given(body=JSON | st.binary(max_size=200))
def test_any_body_is_refused(client, body):
    for path in ("/v1/analyze", "/v1/chat/completions"):
        assert post(client, path, body).status_code >= 400


def test_damaged_bodies_are_answered_or_refused(client, chat_body, photo_url):
    rng = np.random.default_rng(0)
    bodies = [json.dumps({"image": photo_url, "tasks": [], "quality": False}), json.dumps(chat_body)]
    for number in range(FILES // 4):
        path = ("/v1/analyze", "/v1/chat/completions")[number % 2]
        post(client, path, mutated(bodies[number % 2].encode(), rng))


def test_damaged_photos_are_answered_or_refused(client):
    rng = np.random.default_rng(1)
    seen = set()
    for number in range(FILES // 4):
        photo = base64.b64encode(mutated(CORPUS[number % len(CORPUS)], rng)).decode()
        answer = post(client, "/v1/analyze", {"image": photo, "tasks": [], "quality": number % 8 == 0})
        seen.add(answer.status_code)
    assert seen == {200, 400, 422}  # read, damaged, and nothing left of it
