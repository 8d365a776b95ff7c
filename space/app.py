"""The FaceShield Space: a face goes in; live or attack, how sure, which attack, where, and why come out.

    python space/app.py [--host 127.0.0.1] [--port 7860] [--model REPO_OR_FOLDER] [--models ...] [--any-model]

On the Hugging Face Hub the same file is the Space's `app_file`: host, port and models then come from the environment
(`GRADIO_SERVER_NAME`, `GRADIO_SERVER_PORT`, `FACESHIELD_MODEL`, `FACESHIELD_MODELS`). This file loads the model and
serves; the page itself is in `ui_page.py`.
"""

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


import ui_gpu  # noqa: F401  # isort: skip  (ZeroGPU: before torch and gradio)
import gradio as gr
from starlette.middleware import Middleware
from ui_deadline import Deadline
from ui_examples import make_examples
from ui_language import PageLanguage
from ui_models import Models
from ui_page import KEEP_SECONDS, build_demo
from ui_scripts import HEAD
from ui_uploads import Uploads

from faceshield_hf.detector import FaceShield
from faceshield_hf.listening import listen
from faceshield_hf.memory import keep_freed_memory


MAX_UPLOAD = "20mb"
UPLOAD_SECONDS = 60.0
# Gradio keeps some 0.3 MB of the page's settings for every visitor, and takes each call of a plain HTTP client for a
# new one. Whoever is forgotten finds the page as it was at first.
VISITORS_KEPT = 300
STYLE = Path(__file__).parent / "style.css"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read host, port and models: from the command line, else from the environment, else the defaults."""
    parser = argparse.ArgumentParser(description="Serve the FaceShield Space.")
    environ = os.environ
    parser.add_argument("--host", default=environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=environ.get("GRADIO_SERVER_PORT", "7860"), help="port to listen on"
    )
    parser.add_argument(
        "--model",
        default=environ.get("FACESHIELD_MODEL") or None,
        help="Hub id or folder of a checkpoint; the embedded one by default",
    )
    parser.add_argument(
        "--models",
        nargs="*",
        default=environ.get("FACESHIELD_MODELS", "").split(),
        help="more checkpoints that visitors may choose",
    )
    parser.add_argument(
        "--any-model",
        action=argparse.BooleanOptionalAction,
        help="whether visitors may name any checkpoint; by default only on this machine's own address",
    )
    options = parser.parse_args(argv)
    if options.port == 0:  # which would be any free port elsewhere
        parser.error("got port 0: Gradio needs a port of its own, from 1 to 65535")
    if options.any_model is None:  # a Space, or a server that others reach, loads nothing that strangers name
        options.any_model = options.host in LOOPBACK and "SPACE_ID" not in environ
    return options


def load_model(path: str | None) -> FaceShield:
    """Load the server's own checkpoint; one that does not load ends the program with one line."""
    print(f"Loading {path or 'the embedded model'} ...", flush=True)
    try:
        return FaceShield.from_pretrained(path)
    except ValueError as error:
        sys.exit(f"error: {error}")


def serve(detector: FaceShield, options: argparse.Namespace) -> None:
    """Make the examples and serve until stopped.

    Args:
        detector (`FaceShield`): loaded and ready.
        options (`argparse.Namespace`): as `parse_arguments` gives them.
    """
    signal.signal(signal.SIGTERM, _stop)
    with tempfile.TemporaryDirectory(prefix="faceshield-") as folder:
        # All that Gradio writes, uploads above all, lies in this one folder and is gone with it.
        cache = Path(folder) / "cache"
        os.environ["GRADIO_TEMP_DIR"] = str(cache)
        print("Making the examples ...", flush=True)
        examples = make_examples(Path(folder) / "examples")
        models = Models(detector, options.model, options.models, options.any_model)
        uploads = Uploads(cache)
        uploads.sweep_every(KEEP_SECONDS)
        demo = build_demo(models, examples, uploads)
        url = launch(demo, options.host, options.port)
        print(f"FaceShield is at {url} (Ctrl-C stops it)", flush=True)
        demo.block_thread()


def launch(demo: gr.Blocks, host: str, port: int) -> str:
    """Serve a page in the background, with its looks and with nothing recorded.

    Args:
        demo (`gr.Blocks`): as `build_demo` gives it.
        host (`str`): address to listen on.
        port (`int`): port to listen on.

    Returns:
        `str`: the address to open in a browser.

    Raises:
        OSError: when nothing can listen there.
    """
    _, url, _ = demo.launch(
        server_name=host,
        server_port=port,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size=MAX_UPLOAD,
        state_session_capacity=VISITORS_KEPT,
        # MCP is an extra of its own (gradio[mcp]); without it the endpoints are there for HTTP all the same.
        mcp_server=importlib.util.find_spec("mcp") is not None,
        pwa=False,
        ssr_mode=False,
        app_kwargs={"middleware": [Middleware(Deadline, seconds=UPLOAD_SECONDS), Middleware(PageLanguage)]},
        css_paths=STYLE,
        head=HEAD,
        theme=_theme(),
        quiet=True,
        prevent_thread_lock=True,
    )
    return url


def check_address(host: str, port: int) -> None:
    """End the program with one line where nothing can listen, before it takes the time to load a model."""
    try:
        listen(host, port).close()
    except ValueError as error:
        sys.exit(f"error: {error}")


def _stop(*_: object) -> None:
    """Leave by the ordinary way, so that the temporary folder is removed; a second signal must not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _theme() -> gr.themes.Base:
    """Fonts of the visitor's own system, so that the page asks no other host for anything, and readable contrast."""
    theme = gr.themes.Soft(
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        color_accent="*primary_600",
        link_text_color_visited="*secondary_600",
        link_text_color_dark="*secondary_300",
        link_text_color_active_dark="*secondary_300",
        link_text_color_hover_dark="*secondary_200",
        link_text_color_visited_dark="*secondary_300",
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        input_border_color="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
    )


if __name__ == "__main__":
    # The model is loaded here, at module level, as ZeroGPU asks: what is on the GPU before the page is served is there
    # for every run.
    OPTIONS = parse_arguments()
    keep_freed_memory()
    check_address(OPTIONS.host, OPTIONS.port)
    serve(load_model(OPTIONS.model), OPTIONS)
