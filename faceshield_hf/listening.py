"""Taking an address to listen on, or saying in one line why that can't be done.

Example:
    >>> with listen("127.0.0.1", 0) as listening:
    ...     listening.getsockname()[0]
    '127.0.0.1'
"""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; servers themselves would end the program in ways of their own.

    Args:
        host (`str`): name or number of this machine; with colons it is one of IPv6.
        port (`int`): 1..65535, or 0 for any that is free.

    Returns:
        `socket.socket`: it listens until it is closed.

    Raises:
        ValueError: when nothing can listen there: it is taken, another machine's, forbidden, or no port.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"nothing can listen on {host}:{port} ({reason}): choose another --port or --host") from error
