"""A running server, and a photo as callers send it, for tests of what serves."""

import base64
import io
import socket
import threading
import time

import pytest
import uvicorn
from PIL import Image


def _data_url(image):
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.fixture(scope="session")
def data_url():
    """Turns a picture into what callers send."""
    return _data_url


@pytest.fixture(scope="session")
def photo():
    return Image.linear_gradient("L").resize((80, 60)).convert("RGB")


@pytest.fixture(scope="session")
def photo_url(photo):
    return _data_url(photo)


@pytest.fixture(scope="session")
def serve():
    """Starts applications on loopback: `serve(app) -> url`; all end with the session."""
    running = []

    def start(app, config=None):
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config or uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)
