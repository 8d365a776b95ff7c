"""An address is taken, or a `ValueError` says in one line why not."""

import socket

import pytest

from faceshield_hf.listening import listen


def test_a_free_port_is_found():
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 65536), ("127.0.0.1", 99999), ("127.0.0.1", -1), ("203.0.113.1", 8000)]
)
def test_what_nothing_can_listen_on_is_refused(host, port):
    with pytest.raises(ValueError, match=rf"nothing can listen on {host}:{port} \(.+\): choose another --port"):
        listen(host, port)


def test_a_port_that_is_taken_is_refused():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"nothing can listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)
