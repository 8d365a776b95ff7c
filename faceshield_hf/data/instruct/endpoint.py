"""An OpenAI-compatible endpoint as an assistant, through `huggingface_hub.InferenceClient`.

Many requests at once, no faster than allowed; failed tries are repeated with growing pauses (a server's `Retry-After`
is obeyed); what was answered once is never asked or paid for again; and the build stops before it spends more than it
may. A request that is given up becomes a reply with an error; a server that refuses the key or the model, or answers
nothing at all any more, stops the build. It does not know what it asks.

Example:
    >>> from faceshield_hf.data.instruct.assistants import AssistantConfig
    >>> from faceshield_hf.data.instruct.endpoint import EndpointAssistant
    >>> config = AssistantConfig("endpoint", model="any", base_url="http://127.0.0.1:9/v1")
    >>> EndpointAssistant(config, "cache").name
    'any'
"""

import base64
import io
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from faceshield_hf.data.instruct.assistants import AssistantConfig, AssistantError, Reply, Request
from faceshield_hf.data.instruct.cache import AnswerCache
from faceshield_hf.image_input_faceshield import to_rgb_image


# Statuses that the same request may well not get again; 4xx others say that the request itself is wrong.
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524, 529}
_HOPELESS = {401, 403, 404}
_LONGEST_PAUSE = 60.0


class EndpointAssistant:
    """Asks an endpoint.

    Args:
        config (`AssistantConfig`): address, model, pace, prices.
        cache (`str`): folder of answers.
        processes (`int`, *optional*, defaults to 1): how many processes share the money and may spend an equal part.
        warn (`Callable`, *optional*): told of every request that is given up.
        sleep (`Callable`, *optional*): waits so many seconds.
    """

    def __init__(
        self,
        config: AssistantConfig,
        cache: str,
        processes: int = 1,
        warn: Callable[[str], None] = print,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.config = config
        self.name = config.model or str(config.base_url)
        self.cache = AnswerCache(cache)
        self.requests_sent = 0
        provider: Any = config.provider  # the client knows the names, and refuses others
        self._client = InferenceClient(
            model=None if config.base_url else config.model,
            base_url=config.base_url,
            provider=provider,
            api_key=os.environ.get(config.key_name) or ("none" if config.base_url else None),
            timeout=config.timeout,
        )
        self._warn, self._sleep = warn, sleep
        self._lock = threading.Condition()
        self._next_start = 0.0
        self._failed_in_a_row = 0
        self._stopped: AssistantError | None = None
        # The dearest request so far is what each one under way may still cost.
        before, self._dearest = (0.0, 0.0) if config.max_cost is None else self.cache.costs()
        self._budget = None if config.max_cost is None else (config.max_cost - before) / processes
        self._spent = 0.0
        self._under_way = 0

    def reply(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order.

        Args:
            requests (`Sequence[Request]`): any number.

        Returns:
            `list[Reply]`: a text each, or the reason why it was given up.

        Raises:
            AssistantError: when going on makes no sense; all answers so far are in the cache.
        """
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            replies = list(pool.map(self._answer, requests))
        if self._stopped is not None:
            raise self._stopped
        return replies

    def _answer(self, request: Request) -> Reply:
        request = _shrunk(request, self.config.max_side)
        digest = request.digest(self.config.model, self.config.base_url, self.config.provider, self.config.temperature,
                                self.config.seed)  # fmt: skip
        stored = self.cache.get(digest)
        if stored is not None:
            return Reply(stored)
        failure = ""
        for attempt in range(self.config.tries):
            if not self._may_start():
                return Reply(error="the build was stopped")
            try:
                text, cost = self._ask(request)
            except _FailedTryError as failed:
                self._settle(0.0)
                failure = failed.reason
                if failed.hopeless:
                    self._stop(f"{self.name}: {failure}. Check base_url, model and the key in {self.config.key_name}")
                if failed.hopeless or not failed.passing:
                    break
                if attempt + 1 < self.config.tries:
                    self._sleep(failed.pause or _backoff(attempt))
            else:
                self._settle(cost)
                self.cache.put(digest, text, cost)
                with self._lock:
                    self._failed_in_a_row = 0
                return Reply(text)
        return self._given_up(failure)

    def _given_up(self, failure: str) -> Reply:
        self._warn(f"{self.name}: given up: {failure}")
        with self._lock:
            self._failed_in_a_row += 1
            in_a_row = self._failed_in_a_row
        if in_a_row >= self.config.give_up_after:
            self._stop(
                f"{self.name} failed {in_a_row} requests in a row, the last with: {failure}. "
                "Run the same command again when it answers; nothing finished is lost"
            )
        return Reply(error=failure)

    def _may_start(self) -> bool:
        """Wait for this request's turn; `False` when the build was stopped or the money is spent."""
        pause = 0.0
        with self._lock:
            # What a request costs is learnt from the first one, which therefore goes alone.
            while self._budget is not None and self._dearest == 0 and self._under_way and self._stopped is None:
                self._lock.wait()
            if self._stopped is not None:
                return False
            if self._budget is not None and self._spent + self._dearest * (self._under_way + 1) > self._budget:
                self._stopped = AssistantError(
                    f"the cost cap is reached: max_cost is {self.config.max_cost} and another request could exceed "
                    "it. Answers so far are kept; raise assistant.max_cost and run the same command again"
                )
                return False
            self._under_way += 1
            self.requests_sent += 1
            if self.config.requests_per_minute is not None:
                now = time.monotonic()
                start = max(now, self._next_start)
                self._next_start = start + 60 / self.config.requests_per_minute
                pause = start - now
        if pause > 0:
            self._sleep(pause)
        return True

    def _settle(self, cost: float) -> None:
        with self._lock:
            self._under_way -= 1
            self._spent += cost
            self._dearest = max(self._dearest, cost)
            self._lock.notify_all()

    def _stop(self, reason: str) -> None:
        with self._lock:
            self._stopped = self._stopped or AssistantError(reason)
            self._lock.notify_all()

    def _ask(self, request: Request) -> tuple[str, float]:
        """One try.

        Raises:
            _FailedTryError: whatever goes wrong.
        """
        settings: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": self.config.temperature}
        try:
            answer = self._client.chat_completion(
                request.messages(_data_url(request.image)),
                model=self.config.model if self.config.base_url else None,
                seed=self.config.seed,
                **settings,
            )
            text = answer.choices[0].message.content
            cost = self._cost(answer.usage)
        except HfHubHTTPError as error:
            status = error.response.status_code
            told = " ".join(error.response.text[:200].split())
            raise _FailedTryError(
                f"HTTP {status} {told}".strip(), status in _PASSING, status in _HOPELESS, _retry_after(error.response)
            ) from error
        except InferenceTimeoutError as error:
            raise _FailedTryError(f"no answer within {self.config.timeout:g} seconds") from error
        except OfflineModeIsEnabled as error:
            raise _FailedTryError("HF_HUB_OFFLINE is set, which blocks every request", hopeless=True) from error
        except OSError as error:
            raise _FailedTryError(f"no connection ({error})") from error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            # Not JSON, or JSON that is no chat completion.
            raise _FailedTryError(f"an answer that is no chat completion ({type(error).__name__})") from error
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                raise
            raise _FailedTryError(f"no connection ({type(error).__name__}: {error})") from error
        if not isinstance(text, str) or not text.strip():
            raise _FailedTryError("an empty answer")
        return text.strip(), cost

    def _cost(self, usage: Any) -> float:
        if not (self.config.price_in or self.config.price_out):
            return 0.0
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            raise _FailedTryError("an answer without token counts, which max_cost needs", passing=False, hopeless=True)
        return (usage.prompt_tokens * self.config.price_in + usage.completion_tokens * self.config.price_out) / 1e6


class _FailedTryError(Exception):
    def __init__(self, reason: str, passing: bool = True, hopeless: bool = False, pause: float | None = None):
        super().__init__(reason)
        self.reason, self.passing, self.hopeless, self.pause = reason, passing, hopeless, pause


def _backoff(attempt: int) -> float:
    """Doubling pauses from a second up, each shortened at random so that many requests don't come back together."""
    return min(_LONGEST_PAUSE, 2.0**attempt) * (0.5 + random.random() / 2)


def _retry_after(response: Any) -> float | None:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(response.headers["retry-after"])))
    except (KeyError, ValueError):
        return None


def _shrunk(request: Request, max_side: int) -> Request:
    """The request with its image no larger than it may be, upright and opaque; one that is so keeps its bytes.

    Not every server heeds the orientation that a camera noted, or puts transparent parts on white.
    """
    if request.image is None:
        return request
    image = Image.open(io.BytesIO(request.image))
    plain = image.getexif().get(ExifTag.Orientation, 1) == 1 and not image.has_transparency_data
    if plain and max(image.size) <= max_side and image.format in ("JPEG", "PNG", "WEBP"):
        return request
    small = to_rgb_image(image)
    small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=92)
    return Request(request.system, request.question, out.getvalue(), request.examples, request.max_tokens)


def _data_url(image: bytes | None) -> str | None:
    if image is None:
        return None
    kind = (Image.open(io.BytesIO(image)).format or "jpeg").lower()
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
