"""Which language a page is in, and that nothing else of the server is touched."""

import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from ui_language import PageLanguage


HTML = '<html lang="en"><head><title>lang="en"</title></head><body>é</body></html>'


async def page(request):
    return HTMLResponse(HTML)


async def pieces(request):
    return StreamingResponse(iter([HTML[:30], HTML[30:]]), media_type="text/html")


async def error(request):
    return PlainTextResponse('<head> lang="en"', status_code=500)


async def packed(request):
    return Response(gzip.compress(HTML.encode()), media_type="application/gzip")


def client(root=page, french=page, **options):
    routes = [Route("/", root, methods=["GET", "POST"]), Route("/fr", french), Route("/config", root)]
    app = Starlette(routes=routes, middleware=[Middleware(PageLanguage)])
    return TestClient(app, follow_redirects=False, **options)


@pytest.mark.parametrize(("address", "code"), [("/", "en"), ("/fr", "fr"), ("/?lang=en", "en")])
def test_page_says_its_language_to_readers_and_to_gradio(address, code):
    answer = client().get(address, headers={"accept-language": "de"})
    assert answer.text.startswith(f'<html lang="{code}"><head><script>') and f"['{code}']" in answer.text
    assert answer.text.endswith('<title>lang="en"</title></head><body>é</body></html>')
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_page_that_comes_in_pieces_is_whole():
    assert client(pieces).get("/").text == client(page).get("/").text


@pytest.mark.parametrize("preferred", ["fr", "fr-CA,fr;q=0.9,en;q=0.8", "FR-fr"])
def test_french_visitor_is_sent_to_the_french_page_with_all_that_was_asked(preferred):
    answer = client().get("/?__theme=dark", headers={"accept-language": preferred})
    assert answer.status_code == 307 and answer.headers["location"] == "fr?__theme=dark"
    assert "accept-language" in answer.headers["vary"]
    assert client().get("/", headers={"accept-language": preferred}).headers["location"] == "fr"


@pytest.mark.parametrize(
    ("address", "preferred"), [("/", "en-US,fr;q=0.5"), ("/", ""), ("/?lang=en", "fr"), ("/fr", "fr"), ("/fr", "en")]
)
def test_others_stay_where_they_are(address, preferred):
    assert client().get(address, headers={"accept-language": preferred}).status_code == 200


def test_nothing_but_the_pages_is_touched():
    french = {"accept-language": "fr"}
    assert client().get("/config", headers=french).text == HTML
    assert client().post("/", headers=french).text == HTML
    assert client(error).get("/").text == '<head> lang="en"'
    assert gzip.decompress(client(packed).get("/").content).decode() == HTML


def test_page_below_another_address_is_known_too():
    answer = client(root_path="/spaces/face").get("/fr")
    assert answer.text.startswith('<html lang="fr">')


@pytest.mark.parametrize(("address", "code"), [("", "en"), ("fr", "fr")])
def test_gradios_own_page_has_what_is_filled_in(site, address, code):
    answer = httpx.get(site.url + address)
    assert answer.status_code == 200 and f'lang="{code}"' in answer.text.split("<head>")[0]
    assert f"['language', '{code}']" in answer.text
    assert httpx.head(site.url).status_code == 200  # what Spaces look at
