"""The clients of `soak.py` who mean harm: one uploads byte by byte, one hangs up, one sends what is no photo.

Each must be refused without an error of the server's own; what they were told is counted. They run until a time.

Example:
    >>> asyncio.run(hang_up(Server("http://127.0.0.1:8000"), photo, tally, until=60))  # doctest: +SKIP
"""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
from soak_callers import PATIENCE, Tally
from soak_targets import Target


async def send_garbage(target: Target, tally: Tally, until: float) -> None:
    """One bad request after the other: each must be refused with 4xx, none with an error of the server's own."""
    async with httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        while tally.now() < until:
            for name, send in target.bad_requests():
                begun = tally.now()
                try:
                    answer = await send(client)
                except httpx.HTTPError as error:
                    if not tally.was_down(begun):
                        tally.hostile[name, type(error).__name__] += 1
                        tally.broken.append(f"{name}: {error!r}")
                    await asyncio.sleep(1)
                    continue
                tally.hostile[name, str(answer.status_code)] += 1
                full = answer.status_code in (429, 503)
                if not full and not 400 <= answer.status_code < 500 and not tally.was_down(begun):
                    tally.broken.append(f"{name}: {answer.status_code} {answer.text[:200]}")
                await asyncio.sleep(1)
                if tally.now() >= until:
                    return


async def drip(target: Target, photo: bytes, tally: Tally, until: float, every: float = 0.5) -> None:
    """Upload a photo byte by byte, again and again: it would take hours."""
    while tally.now() < until:
        begun = tally.now()
        try:
            told = await _drip_once(target, photo, tally, until, every)
        except OSError:
            told = "hung up on"
        if not tally.was_down(begun):
            tally.hostile["byte by byte", told] += 1
        await asyncio.sleep(every)


async def _drip_once(target: Target, photo: bytes, tally: Tally, until: float, every: float) -> str:
    """Send until the server answers or hangs up; gives its first line."""
    reader, writer = await _connect(target, photo)
    _, _, body = target.upload(photo)
    answered = asyncio.create_task(reader.read(200))
    try:
        for k in range(len(body)):
            writer.write(body[k : k + 1])
            await writer.drain()
            await asyncio.wait({answered}, timeout=every)
            if answered.done():
                return answered.result().split(b"\r\n")[0].decode(errors="replace") or "hung up on"
            if tally.now() >= until:
                break
        return "still sending at the end"
    finally:
        answered.cancel()
        writer.close()


async def hang_up(target: Target, photo: bytes, tally: Tally, until: float) -> None:
    """Leave in the middle of the upload and, the next time, in the middle of the answer."""
    half = False
    while tally.now() < until:
        half = not half
        with suppress(OSError):
            _, writer = await _connect(target, photo)
            _, _, body = target.upload(photo)
            writer.write(body[: len(body) // 2] if half else body)
            await writer.drain()
            await asyncio.sleep(0.2)
            writer.transport.abort()
            tally.hostile["hangs up", "in the upload" if half else "before the answer"] += 1
        await asyncio.sleep(1)


async def _connect(target: Target, photo: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(target.url)
    path, kind, body = target.upload(photo)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {address.netloc}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    return reader, writer
