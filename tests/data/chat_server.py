"""A chat completion server on loopback that misbehaves on demand."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer(ThreadingHTTPServer):
    """`script` is a list of behaviours, one a request, the last for all that follow: a text to answer with, a status,
    "garbage", "empty", "hang" or a function of the request's JSON that gives the text."""

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.requests, self.headers, self.starts = list(script), [], [], []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.retry_after = None
        self.usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        self.delay = 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            what = server.script[min(len(server.requests), len(server.script) - 1)]
            server.requests.append(asked)
            server.headers.append(dict(self.headers))
            server.starts.append(time.monotonic())
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        time.sleep(server.delay)
        try:
            self._behave(what, asked)
        finally:
            with server.lock:
                server.under_way -= 1

    def _behave(self, what, asked):
        if callable(what):
            what = what(asked)
        if isinstance(what, int):
            return self._send(what, json.dumps({"error": {"message": f"status {what}"}}).encode())
        if what == "hang":
            time.sleep(3)
            return self.close_connection
        if what == "garbage":
            return self._send(200, b"<html>oops</html>")
        if what == "other json":
            return self._send(200, b'{"hello": 1}')
        text = "" if what == "empty" else what
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return self._send(200, json.dumps({"choices": [choice], "usage": self.server.usage, "model": "m"}).encode())

    def _send(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status == 429 and self.server.retry_after is not None:
            self.send_header("retry-after", str(self.server.retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def chat_server(*script):
    """A running server."""
    server = ChatServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
