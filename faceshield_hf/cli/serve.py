"""`faceshield serve`: one checkpoint for other programs, over HTTP.

Example:
    $ faceshield serve --port 8000
    $ curl -s localhost:8000/ready
"""

from typing import Annotated

import typer

from faceshield_hf.cli.common import ModelOption, one_line_errors, require


def serve(
    model: ModelOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps...; the best there is by default.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of /v1/analyze judged together.")] = 8,
    batch_wait: Annotated[float, typer.Option(min=0, help="Seconds that a batch waits to fill.")] = 0.01,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more are told to come back.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one answer may take.")] = 60.0,
    max_body: Annotated[int, typer.Option(min=1, help="Megabytes of one request.")] = 20,
    max_pixels: Annotated[int, typer.Option(min=1, help="Megapixels of one image.")] = 50,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that running answers get when stopped.")] = 30.0,
) -> None:
    """Serve one checkpoint: /v1/chat/completions (OpenAI's), /v1/analyze (verdicts), /v1/models, /health, /ready.

    There is no authentication: put a gateway in front of it before you open it to a network. SIGTERM and Ctrl-C stop
    it gracefully: running requests are answered first.
    """
    with one_line_errors():
        require("fastapi", "serve", "serving")
        require("openai", "serve", "serving")
        from faceshield_hf.serving import Limits, run_server

        limits = Limits(
            batch_size=batch_size,
            batch_wait=batch_wait,
            queue=queue,
            timeout=timeout,
            max_body=max_body * 1_000_000,
            max_pixels=max_pixels * 1_000_000,
            grace=grace,
        )
        run_server(model, host, port, device, limits)
