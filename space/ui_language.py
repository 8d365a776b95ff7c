"""The language of a page, settled before anything of it is drawn: in the address, in the HTML, and for Gradio's words.

Gradio writes its own words ("Drop an image file here") in the browser's language and says `lang="en"` of every page.
Here a page's language is that of its address, and a visitor who prefers French is sent from `/` to `/fr`.

Example:
    >>> app = FastAPI(middleware=[Middleware(PageLanguage)])
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ui_words import ENGLISH
from ui_words_fr import FRENCH


# The pages by their address below the root.
PAGES = {"": ENGLISH.code, FRENCH.code: FRENCH.code}
# Links to the English page carry it: who follows one means it.
CHOSEN = b"lang="
_SCRIPT = (
    "<head><script>for (const [key, value] of [['language', '{code}'], ['languages', ['{code}']]]) "
    "Object.defineProperty(navigator, key, {{get: () => value}});</script>"
)


class PageLanguage:
    """Send visitors to the page of their language, and let each page say its own.

    Args:
        app (`ASGIApp`): what serves the pages and all the rest, which passes unchanged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        code = _page_language(scope)
        if code is None:
            await self.app(scope, receive, send)
        elif code != FRENCH.code and CHOSEN not in scope["query_string"] and _prefers_french(scope):
            query = scope["query_string"].decode("latin-1")
            address = FRENCH.code + (f"?{query}" if query else "")
            headers = {"vary": "accept-language", "cache-control": "no-store"}
            await RedirectResponse(address, headers=headers)(scope, receive, send)
        else:
            await self.app(scope, receive, _Rewriter(send, code))


class _Rewriter:
    """Pass a response on; a page of HTML whole, with its language in it."""

    def __init__(self, send: Send, code: str) -> None:
        self.send = send
        self.code = code
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if Headers(raw=message["headers"]).get("content-type", "").startswith("text/html"):
                self.start = message
                return
        elif message["type"] == "http.response.body" and self.start is not None:
            self.body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = self.body.replace(b'lang="en"', f'lang="{self.code}"'.encode(), 1)
            page = page.replace(b"<head>", _SCRIPT.format(code=self.code).encode(), 1)
            if self.body:  # none answers HEAD
                MutableHeaders(raw=self.start["headers"])["content-length"] = str(len(page))
            await self.send(self.start)
            message = {**message, "body": page}
        await self.send(message)


def _page_language(scope: Scope) -> str | None:
    """Tell the language of the page that is asked for; `None` when it is no page."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return None
    return PAGES.get(scope["path"].removeprefix(scope.get("root_path", "")).strip("/"))


def _prefers_french(scope: Scope) -> bool:
    return Headers(scope=scope).get("accept-language", "").strip().lower().startswith(FRENCH.code)
