"""The page in two languages: the frame around the tabs, and who deletes what was uploaded.

What stands in the tabs is in `ui_photo_tab.py`, `ui_batch_tab.py` and `ui_simulate_tab.py`; what the events do is in
`ui_handlers.py`, what is drawn in `ui_parts.py` and `ui_pictures.py`, the words in `ui_words.py`.

Example:
    >>> build_demo(Models(FaceShield.from_pretrained()), make_examples(folder), uploads).launch()
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from ui_api import add_api
from ui_batch_tab import BatchTab
from ui_controls import INSTANT_EVENT, PAGE_EVENT
from ui_examples import Example
from ui_handlers import Handlers, model_line
from ui_html import safe
from ui_models import Models
from ui_photo_tab import PhotoTab
from ui_runs import Runs
from ui_simulate_tab import SimulateTab
from ui_uploads import Uploads
from ui_words import ENGLISH, TITLE, Words
from ui_words_fr import FRENCH


# Visitors who wait beyond these are told at once that the queue is full.
MAX_WAITING = 64
# Every so many seconds, what is older than as many is deleted of what was uploaded: all of it within the hour.
KEEP_SECONDS = 1800


def build_demo(
    models: Models,
    examples: Sequence[Example] = (),
    uploads: Uploads | None = None,
    keep_seconds: int = KEEP_SECONDS,
    max_waiting: int = MAX_WAITING,
) -> gr.Blocks:
    """Build the page around the checkpoints of a server: English at `/`, French at `/fr`.

    Args:
        models ([`Models`]): the checkpoints, one of them loaded.
        examples (`Sequence[Example]`, *optional*): photos to try.
        uploads ([`Uploads`], *optional*): deletes what is not shown any more; one over Gradio's folder when `None`.
        keep_seconds (`int`, *optional*, defaults to 1800): as `KEEP_SECONDS`.
        max_waiting (`int`, *optional*, defaults to 64): as `MAX_WAITING`.

    Returns:
        `gr.Blocks`: not launched yet; `app.launch` gives it its looks and its privacy settings.
    """
    uploads = uploads or Uploads(Path(get_upload_folder()))
    runs = Runs(models)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(keep_seconds, keep_seconds)) as demo:
        add_api(Handlers(runs, ENGLISH))  # first: the endpoints' names are theirs
        _build_language(Handlers(runs, ENGLISH), examples, uploads)
        demo.unload(_leaving(uploads))
    with demo.route(FRENCH.own_name, f"/{FRENCH.code}", show_in_navbar=False):
        _build_language(Handlers(runs, FRENCH), examples, uploads)
    return demo.queue(max_size=max_waiting)


def _build_language(handlers: Handlers, examples: Sequence[Example], uploads: Uploads) -> None:
    words = handlers.words
    gr.HTML(f'<p role="note">{safe(words.notice)}</p>', elem_id="fs-notice")
    with gr.Row(elem_id="fs-header"):
        gr.HTML(f"<header><h1>{TITLE}</h1><p>{safe(words.subtitle)}</p></header>", elem_id="fs-title", min_width=240)
        with gr.Column(elem_id="fs-corner", min_width=200):
            gr.HTML(_language_links(words))
            name = handlers.models.get(None).name or handlers.models.default
            model_name = gr.HTML(model_line(name, words), elem_id="fs-model-name")
    with gr.Tabs(elem_id="fs-pages"):
        with gr.Tab(words.tab_photo):
            photo_tab = PhotoTab(handlers, examples, uploads, model_name)
        with gr.Tab(words.tab_batch):
            batch_tab = BatchTab(handlers, photo_tab.model)
        with gr.Tab(words.tab_simulate) as simulate_page:
            simulate_tab = SimulateTab(handlers, photo_tab.model)
    gr.HTML(f'<p class="fs-privacy">{safe(words.privacy)}</p>')
    # Another checkpoint's threshold counts for many photos too.
    photo_tab.chosen.success(
        None,
        inputs=[photo_tab.threshold],
        outputs=[batch_tab.threshold],
        js="(threshold) => threshold",
        **PAGE_EVENT,
    )
    # The photo of the first tab is what a visitor wants to attack, unless another one is there already.
    simulate_page.select(
        lambda there, first: gr.skip() if there else first,
        inputs=[simulate_tab.photo, photo_tab.photo],
        outputs=[simulate_tab.photo],
        **INSTANT_EVENT,
    )
    uploads.keep(button.icon["path"] for button in photo_tab.examples)  # type: ignore[index]
    for component in (photo_tab.photo, batch_tab.files, simulate_tab.photo):
        component.change(_showing(uploads, component.elem_id or ""), inputs=[component], **INSTANT_EVENT)


def _language_links(words: Words) -> str:
    """Links to the page in every language; the one that is read now is marked."""
    links = []
    for other, address in ((ENGLISH, "./?lang=en"), (FRENCH, FRENCH.code)):
        here = ' aria-current="page"' if other is words else ""
        links.append(f'<a href="{address}" lang="{other.code}" hreflang="{other.code}"{here}>{other.own_name}</a>')
    return f'<nav class="fs-languages" aria-label="{safe(words.languages)}">{"".join(links)}</nav>'


def _showing(uploads: Uploads, place: str) -> Callable[..., None]:
    def show(files: list[str] | str | None, request: gr.Request) -> None:
        shown = [files] if isinstance(files, str) else files or []
        uploads.show(request.session_hash or "", place, shown)

    return show


def _leaving(uploads: Uploads) -> Callable[..., None]:
    def leave(request: gr.Request) -> None:
        uploads.leave(request.session_hash or "")

    return leave
