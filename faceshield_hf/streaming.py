"""Text from a model piece by piece, while it is being generated.

`generate` blocks, so that it runs in a thread of its own; this module makes that thread behave: what fails in there is
raised here, and whoever stops listening stops it. It knows nothing of images or prompts.

Example:
    >>> from faceshield_hf.streaming import stream_pieces
    >>> for piece in stream_pieces(model.generate, tokenizer, inputs, max_new_tokens=64):  # doctest: +SKIP
    ...     print(piece, end="", flush=True)
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from transformers import (
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)


def stream_pieces(
    generate: Callable[..., Any], tokenizer: PreTrainedTokenizerBase, inputs: Mapping[str, Any], **generate_kwargs: Any
) -> Iterator[str]:
    """Generate from one prompt and yield the new text as it comes.

    Args:
        generate (`Callable`): a model's `generate`.
        tokenizer (`PreTrainedTokenizerBase`): decodes the new tokens; special ones are left out.
        inputs (`Mapping[str, Any]`): of one prompt, as `generate` takes them.
        **generate_kwargs: passed to it too.

    Yields:
        `str`: pieces, never empty. Closing the generator, or dropping it, stops the generation within one token.

    Raises:
        Exception: whatever `generate` raised, after the pieces that came before it.
    """
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    nobody_listens = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        try:
            generate(
                **inputs,
                **generate_kwargs,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([StopOn(nobody_listens)]),
            )
        except Exception as error:  # of any kind: it belongs to the thread that listens
            failures.append(error)
            streamer.on_finalized_text("", stream_end=True)

    thread = threading.Thread(target=run, name="faceshield-generate", daemon=True)
    thread.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        nobody_listens.set()
        thread.join()
    if failures:
        raise failures[0]


class StopOn(StoppingCriteria):
    """Ends every sequence once an event is set.

    Args:
        event (`threading.Event`): asked after every token.
    """

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.Tensor:
        """Say which sequences end: all of shape `(batch,)`, or none."""
        return torch.full((input_ids.shape[0],), self.event.is_set(), dtype=torch.bool, device=input_ids.device)
