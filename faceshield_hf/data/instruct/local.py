"""A model of one's own as an assistant: any `image-text-to-text` checkpoint that transformers loads.

Requests are answered in batches on one device; answers are kept on disk, so that a stopped build does not generate
them again. The same request, settings and batch give the same answer. It does not know what it asks.

Example:
    >>> from faceshield_hf.data.instruct.assistants import AssistantConfig
    >>> AssistantConfig("local", model="outputs/captioner").max_side
    768
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, set_seed

from faceshield_hf.data.instruct.assistants import AssistantConfig, Reply, Request
from faceshield_hf.data.instruct.cache import AnswerCache
from faceshield_hf.image_input_faceshield import to_rgb_image


class LocalAssistant:
    """Generates with a local model.

    Args:
        config (`AssistantConfig`): the model and how it decodes.
        cache (`str`): folder of answers.
        device (`str`, *optional*): where it runs; the process's accelerator if there is one, else the CPU.

    Raises:
        ValueError: when the model can't be loaded.
    """

    def __init__(self, config: AssistantConfig, cache: str, device: str | None = None):
        from accelerate.state import PartialState

        self.config = config
        self.name = str(config.model)
        self.cache = AnswerCache(cache)
        self.device = torch.device(device or PartialState().device)
        where: dict[str, Any] = {"revision": config.revision, "trust_remote_code": config.trust_remote_code}
        try:
            self.processor: Any = AutoProcessor.from_pretrained(self.name, **where)
            model: Any = AutoModelForImageTextToText.from_pretrained(self.name, dtype="auto", **where)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"assistant.model {config.model!r} can't be loaded as an image-text-to-text model: {error}"
            ) from error
        # Half precision is slow or missing on CPUs.
        self.model = (model.float() if self.device.type == "cpu" else model).to(self.device).eval()
        self.processor.tokenizer.padding_side = "left"

    def reply(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order.

        Args:
            requests (`Sequence[Request]`): any number.

        Returns:
            `list[Reply]`: a text each; an empty generation is an error.
        """
        # The image is scaled down when it is encoded, so its size limit decides the answer beside its bytes.
        told = (self.config.model, self.config.revision, self.config.temperature, self.config.seed)
        digests = [request.digest(*told, self.config.max_side) for request in requests]
        texts = [self.cache.get(digest) for digest in digests]
        # Batches are cut the same whatever is stored already: padding and sampling depend on the neighbours, and a
        # resumed build must say what an unbroken one says.
        order = sorted(range(len(requests)), key=lambda i: (requests[i].image is None, requests[i].max_tokens, i))
        for batch in _batches(order, requests, self.config.batch_size):
            if all(texts[i] is not None for i in batch):
                continue
            for i, text in zip(batch, self._generate([requests[i] for i in batch], digests[batch[0]]), strict=True):
                texts[i] = text
                self.cache.put(digests[i], text)
        return [Reply(text) if text else Reply(error="an empty answer") for text in texts]

    @torch.inference_mode()
    def _generate(self, requests: Sequence[Request], digest: str) -> list[str]:
        conversations = [self._conversation(request) for request in requests]
        inputs = self.processor.apply_chat_template(
            conversations,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
            processor_kwargs={"padding": True},
        ).to(self.device)
        decoding: dict[str, Any] = {"do_sample": False}
        if self.config.temperature > 0:
            # Seeded by what is asked, not by what was generated before: a resumed build draws the same.
            set_seed(int(hashlib.sha256(f"{self.config.seed}{digest}".encode()).hexdigest()[:8], 16))
            decoding = {"do_sample": True, "temperature": self.config.temperature}
        tokens = self.model.generate(**inputs, max_new_tokens=requests[0].max_tokens, **decoding)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]

    def _conversation(self, request: Request) -> list[dict[str, Any]]:
        turns = request.messages(None)
        content: list[dict[str, Any]] = [{"type": "text", "text": request.question}]
        if request.image is not None:
            image = to_rgb_image(request.image)
            image.thumbnail((self.config.max_side, self.config.max_side), Image.Resampling.LANCZOS)
            content.insert(0, {"type": "image", "image": image})
        for turn in turns:
            turn["content"] = [{"type": "text", "text": turn["content"]}]
        turns[-1]["content"] = content
        return turns


def _batches(order: Sequence[int], requests: Sequence[Request], size: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for i in order:
        last = requests[batches[-1][0]] if batches else None
        alike = last is not None and (last.image is None, last.max_tokens) == (
            requests[i].image is None,
            requests[i].max_tokens,
        )
        if alike and len(batches[-1]) < size:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
