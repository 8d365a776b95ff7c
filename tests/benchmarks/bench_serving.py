"""Time `/v1/analyze` under load: many callers at once, with and without dynamic batching.

    python tests/benchmarks/bench_serving.py [--callers 16] [--requests 64] [--model PATH] [--tasks coarse fine ...]

Prints requests a second, the median and 95th percentile of what a caller waits, and the processor time of a request,
which other programs on the machine change least, for every batch size. The server runs in this process, over HTTP.
"""

# ruff: noqa: T201

import argparse
import base64
import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import skimage.data
import torch
import uvicorn
from PIL import Image

from faceshield_hf import FaceShield
from faceshield_hf.serving import Limits, build_app


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=16, help="at the same time")
    parser.add_argument("--requests", type=int, default=64, help="in all")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="to compare")
    parser.add_argument("--tasks", nargs="*", default=[], help="what to ask; nothing is the score alone")
    parser.add_argument("--model", help="folder or Hub id; the embedded one by default")
    options = parser.parse_args()
    shield = FaceShield.from_pretrained(options.model)
    bodies = [body(i, options.tasks) for i in range(options.requests)]
    print(
        f"{torch.get_num_threads()} threads, {options.callers} callers, {options.requests} requests, {options.tasks}"
    )
    for batch_size in options.batch_sizes:
        url, stop = start(shield, Limits(batch_size=batch_size, queue=4 * options.callers))
        waits = []

        def ask(content, url=url, waits=waits):
            started = time.perf_counter()
            httpx.post(f"{url}/v1/analyze", json=content, timeout=600).raise_for_status()
            waits.append(time.perf_counter() - started)

        ask(bodies[0])  # what is loaded on first use does not count
        waits.clear()
        began, worked = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(options.callers) as pool:
            list(pool.map(ask, bodies))
        took, worked = time.perf_counter() - began, time.process_time() - worked
        stop()
        print(
            f"batch size {batch_size:2}: {len(bodies) / took:6.2f} requests/s, a caller waits "
            f"{np.median(waits):.2f} s (95 %: {np.quantile(waits, 0.95):.2f} s), "
            f"{1000 * worked / len(bodies):.0f} ms of processor time a request"
        )


def body(seed, tasks):
    """A request with a picture of its own."""
    picture = Image.fromarray(skimage.data.astronaut()).rotate(seed % 7 - 3).crop((seed % 20, 0, 480, 480))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG")
    return {"image": base64.b64encode(buffer.getvalue()).decode(), "tasks": tasks, "quality": False}


def start(shield, limits):
    """Serve in a thread; gives the address and what stops it."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build_app(shield, limits), log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def stop():
        server.should_exit = True
        thread.join(30)

    return f"http://127.0.0.1:{listening.getsockname()[1]}", stop


if __name__ == "__main__":
    main()
