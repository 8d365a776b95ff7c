"""Dynamic batching: images that arrive while the model works go through it together next time.

One thread runs the model. Whatever waits when it becomes free, and asks for the same, makes the next batch; only an
idle server waits a moment for company. It knows no HTTP.

Example:
    >>> batcher = Batcher(detector, Limits())  # doctest: +SKIP
    >>> async with batcher:  # doctest: +SKIP
    ...     verdict = await batcher.judge(image)
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from faceshield_hf.decision import TASKS
from faceshield_hf.serving.limits import Limits, RefusedError
from faceshield_hf.tasks_faceshield import Task, Verdict


class Judge(Protocol):
    """What a detector needs for this: [`FaceShield`] has it."""

    def detect_batch(
        self,
        images: Sequence[Image.Image],
        tasks: Sequence[Task],
        threshold: None,
        quality: bool,
        batch_size: int,
        on_error: str,
    ) -> list[Verdict | ValueError]:
        """Judge images together."""


@dataclass
class _Job:
    image: Image.Image
    key: tuple[tuple[Task, ...], bool]  # only jobs that ask for the same go together
    done: asyncio.Future[Verdict]


class Batcher:
    """Collects images into batches. A context manager (`async with`) that answers what runs before it ends.

    Args:
        detector ([`FaceShield`]): judges.
        limits ([`Limits`]): `batch_size`, `batch_wait`, `queue` and `timeout` count.
    """

    def __init__(self, detector: Judge, limits: Limits) -> None:
        self.detector = detector
        self.limits = limits
        self._waiting: deque[_Job] = deque()
        self._running = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="faceshield-batch")

    async def __aenter__(self) -> "Batcher":
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker
        for job in self._waiting:
            job.done.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    @property
    def load(self) -> int:
        """Images that wait or are being judged."""
        return len(self._waiting) + self._running

    async def judge(
        self, image: Image.Image, tasks: Sequence[Task] = TASKS, quality: bool = True, timeout: float | None = None
    ) -> Verdict:
        """Judge one image, together with others that are there at the time.

        Args:
            image (`PIL.Image.Image`): RGB.
            tasks (`Sequence[Task]`, *optional*): what to ask.
            quality (`bool`, *optional*, defaults to `True`): whether to check the photo.
            timeout (`float`, *optional*): seconds; that of the limits when `None`.

        Returns:
            `Verdict`: at the checkpoint's own threshold.

        Raises:
            RefusedError: 503 when too many wait, 504 when it takes too long.
            ValueError: what the detector says of the image.
        """
        if self.load >= self.limits.queue:
            raise RefusedError(503, f"{self.load} images wait already: try again in a moment", retry_after=1)
        timeout = self.limits.timeout if timeout is None else timeout
        done: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(image, (tuple(dict.fromkeys(tasks)), quality), done))
        self._arrived.set()
        try:
            return await asyncio.wait_for(done, timeout)
        except asyncio.TimeoutError:
            raise RefusedError(504, f"no verdict within {timeout:g} seconds: the server is busy", 5) from None

    async def _work(self) -> None:
        while True:
            batch = await self._next()
            self._running = len(batch)
            try:
                results = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)
                for job, result in zip(batch, results, strict=True):
                    _settle(job, result)
            except Exception as error:  # a bug, or no memory: these requests fail, the server goes on
                for job in batch:
                    _settle(job, error)
            finally:
                self._running = 0

    async def _next(self) -> list[_Job]:
        """Wait for a job, then a moment for others that ask for the same."""
        while not (same := self._same()):
            self._arrived.clear()
            await self._arrived.wait()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._filled(), self.limits.batch_wait)
        same = self._same()[: self.limits.batch_size]
        chosen = {id(job) for job in same}
        self._waiting = deque(job for job in self._waiting if id(job) not in chosen)
        return same

    async def _filled(self) -> None:
        while len(self._same()) < self.limits.batch_size:
            self._arrived.clear()
            await self._arrived.wait()

    def _same(self) -> list[_Job]:
        """Drop what nobody waits for any more; give all that ask for what the oldest job asks."""
        self._waiting = deque(job for job in self._waiting if not job.done.done())
        return [job for job in self._waiting if job.key == self._waiting[0].key]

    def _run(self, batch: list[_Job]) -> list[Verdict | ValueError]:
        tasks, quality = batch[0].key
        images = [job.image for job in batch]
        return self.detector.detect_batch(
            images, tasks, None, quality=quality, batch_size=len(images), on_error="return"
        )


def _settle(job: _Job, result: Verdict | Exception) -> None:
    if job.done.done():  # nobody waits for it any more
        return
    if isinstance(result, Exception):
        job.done.set_exception(result)
    else:
        job.done.set_result(result)
