"""One face image in, one verdict out: live or attack, how sure, which attack, where, and why.

`FaceShield` holds a model and its processor. It encodes an image once, asks all tasks in one batch and lets
`faceshield_hf.decision` put score and answers together. It knows no training and no evaluation.

Example:
    >>> from faceshield_hf import FaceShield
    >>> detector = FaceShield.from_pretrained()
    >>> verdict = detector.detect("photo.jpg")  # doctest: +SKIP
    >>> verdict.label, verdict.score, verdict.attack_type  # doctest: +SKIP
    ('spoof', 0.97, <AttackType.PRINT: 'Print'>)
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from faceshield_hf.asking import Asker
from faceshield_hf.checkpoints import load_checkpoint, resolve_checkpoint, set_token_budget
from faceshield_hf.decision import MAX_NEW_TOKENS, TASKS, checked_tasks, checked_threshold, compose
from faceshield_hf.image_input_faceshield import to_local_rgb_image
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.outputs_faceshield import FaceShieldImageFeatures
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.quality import check_quality
from faceshield_hf.streaming import stream_pieces
from faceshield_hf.tasks_faceshield import QUESTIONS, Task, Verdict
from faceshield_hf.threads import SMALL_MODEL, one_thread
from faceshield_hf.towers_faceshield import fold_batch_norms


MAX_CHAT_TOKENS = 512
# With less room than this for an answer a conversation counts as full.
MIN_CHAT_TOKENS = 32
ImageInput = str | os.PathLike | bytes | Image.Image | np.ndarray | torch.Tensor


class FaceShield:
    """A FaceShield model ready to judge images.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): used in eval mode, on the device where it is.
        processor ([`FaceShieldProcessor`]): the one it was trained with.
        name (`str`, *optional*): goes into `Verdict.model`.
    """

    def __init__(
        self, model: FaceShieldForConditionalGeneration, processor: FaceShieldProcessor, name: str | None = None
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self._asker = Asker(self.model, processor)
        self._is_small = model.num_parameters() < SMALL_MODEL

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        vision_token_budget: int | None = None,
    ) -> "FaceShield":
        """Load a checkpoint.

        Args:
            path (`str` or `Path`, *optional*): a folder or a Hub id; the embedded small checkpoint when `None`.
            device (`str` or `torch.device`, *optional*): the fastest one there is when `None`.
            dtype (`str` or `torch.dtype`, *optional*): float32 on the CPU, the checkpoint's own elsewhere when `None`.
            revision (`str`, *optional*): branch, tag or commit of a Hub id.
            vision_token_budget (`int`, *optional*): visual tokens that the language model reads, the most important
                ones for the question; as the checkpoint says when `None`.

        Returns:
            [`FaceShield`]: ready to use.

        Raises:
            ValueError: when the checkpoint is missing, not whole, broken, or of another kind of model, and for a
                budget below 1 or above the tokens that an image has.
        """
        folder, name = resolve_checkpoint(path, revision)
        model, processor = load_checkpoint(folder, device, dtype)
        if vision_token_budget is not None:
            set_token_budget(model, processor, vision_token_budget)
        # Nobody else holds this model, so that its convolutions may be made for inference alone.
        fold_batch_norms(model.model.vision_tower.eval())
        model.model.vision_tower.to(memory_format=torch.channels_last)
        return cls(model, processor, name=name)

    def detect(
        self,
        image: ImageInput,
        tasks: Sequence[Task | str] = TASKS,
        threshold: float | None = None,
        quality: bool = True,
    ) -> Verdict:
        """Judge one image.

        Args:
            image (`str`, `os.PathLike`, `bytes`, `PIL.Image.Image`, `np.ndarray` or `torch.Tensor`): a path, the bytes
                of an image file, or an image; `to_rgb_image` says what arrays may hold. Nothing is downloaded.
            tasks (`Sequence[Task | str]`, *optional*, defaults to coarse, fine, reasoning, localization): the
                questions to ask. The score is always computed, so that `()` is the fastest way to a label.
            threshold (`float`, *optional*): 0..1; the checkpoint's own when `None`.
            quality (`bool`, *optional*, defaults to `True`): whether to look for a face and check the photo.

        Returns:
            `Verdict`: a spoof is a verdict like any other.

        Raises:
            ValueError: when it is no image, a task is unknown, or the threshold is not within 0..1.
        """
        tasks, threshold = self._checked(tasks, threshold)
        return self._judge([to_local_rgb_image(image)], tasks, threshold, quality)[0]

    def detect_batch(
        self,
        images: Iterable[ImageInput],
        tasks: Sequence[Task | str] = TASKS,
        threshold: float | None = None,
        quality: bool = True,
        batch_size: int = 4,
        on_error: str = "raise",
    ) -> list[Verdict | ValueError]:
        """Judge many images, several at once.

        Args:
            images (`Iterable[ImageInput]`): as in `detect`; read as they are needed. An array or tensor of four
                dimensions is a batch of images.
            tasks (`Sequence[Task | str]`, *optional*): as in `detect`.
            threshold (`float`, *optional*): as in `detect`.
            quality (`bool`, *optional*, defaults to `True`): as in `detect`.
            batch_size (`int`, *optional*, defaults to 4): how many images go through the model together.
            on_error (`str`, *optional*, defaults to `"raise"`): `"raise"` stops at an input that is no image,
                `"return"` puts its `ValueError` into the list in place of a verdict and goes on.

        Returns:
            `list[Verdict | ValueError]`: one an image, in their order.

        Raises:
            ValueError: as `detect` does, naming the image's position; and for options out of range.
        """
        tasks, threshold = self._checked(tasks, threshold)
        if on_error not in ("raise", "return"):
            raise ValueError(f"got on_error={on_error!r}: expected 'raise' or 'return'")
        if batch_size < 1:
            raise ValueError(f"got batch_size={batch_size}: expected at least 1")
        # Iterating over a single array would take its rows, or its channels, for images.
        one_array = isinstance(images, np.ndarray | torch.Tensor) and images.ndim < 4
        if one_array or isinstance(images, str | bytes | os.PathLike | Image.Image):
            raise ValueError(f"got one {type(images).__name__}: pass a list of images, or use detect for one")
        results: list[Verdict | ValueError] = []
        remaining = iter(images)
        while batch := list(islice(remaining, batch_size)):
            opened: list[Image.Image | ValueError] = []
            for image in batch:
                try:
                    opened.append(to_local_rgb_image(image))
                except ValueError as error:
                    if on_error == "raise":
                        raise ValueError(f"image {len(results) + len(opened)} (from 0): {error}") from error
                    opened.append(error)
            pictures = [image for image in opened if not isinstance(image, ValueError)]
            verdicts = iter(self._judge(pictures, tasks, threshold, quality) if pictures else ())
            results += [image if isinstance(image, ValueError) else next(verdicts) for image in opened]
        return results

    def score(self, image: ImageInput) -> float:
        """Compute p(spoof) and nothing else.

        Args:
            image (`ImageInput`): as in `detect`.

        Returns:
            `float`: 0 (live) to 1 (attack).
        """
        with self._threads():
            return self._asker.score(self._encode([to_local_rgb_image(image)]))[0]

    def reconsider(self, verdict: Verdict, threshold: float) -> Verdict:
        """Decide again at another threshold, without running the model.

        Args:
            verdict (`Verdict`): what `detect` gave.
            threshold (`float`): 0..1.

        Returns:
            `Verdict`: what `detect(image, threshold=threshold)` would have given.

        Raises:
            ValueError: when the verdict has no score, or the threshold is not within 0..1.
        """
        if verdict.score is None:
            raise ValueError("got a verdict without a score: only what detect gave can be decided again")
        again = compose(verdict.score, verdict.answers, threshold, self.model.config.score_margin)
        return replace(again, quality=verdict.quality, model=verdict.model)

    def ask(self, image: ImageInput, question: str) -> str:
        """Ask one free question about an image.

        Args:
            image (`ImageInput`): as in `detect`.
            question (`str`): any words, without `<image>` and the tokens that separate turns.

        Returns:
            `str`: the answer.
        """
        return "".join(self.stream(image, question)).strip()

    def chat(self, image: ImageInput, messages: Sequence[dict[str, str]]) -> str:
        """Go on with a conversation about one image.

        Args:
            image (`ImageInput`): as in `detect`.
            messages (`Sequence[dict[str, str]]`): `{"role": "user" | "assistant" | "system", "content": text}` each, a
                user's last; the image belongs to the first user message.

        Returns:
            `str`: the answer to the last message.
        """
        return "".join(self.stream(image, messages)).strip()

    def stream(
        self,
        image: ImageInput,
        messages: str | Sequence[dict[str, str]],
        max_new_tokens: int = MAX_CHAT_TOKENS,
    ) -> Iterator[str]:
        """Answer piece by piece. Closing the iterator stops the model.

        Args:
            image (`ImageInput`): as in `detect`.
            messages (`str` or `Sequence[dict[str, str]]`): a question, or a conversation as in `chat`.
            max_new_tokens (`int`, *optional*, defaults to 512): the longest answer; less if the model has fewer
                positions left.

        Returns:
            `Iterator[str]`: pieces of text, as they come.

        Raises:
            ValueError: at once, when it is no image or no conversation, or the conversation is too long.
        """
        inputs = self._chat_inputs(_conversation(to_local_rgb_image(image), messages))
        room = self._room(inputs["input_ids"].shape[1], max_new_tokens)
        return stream_pieces(
            self._generate,
            self.processor.tokenizer,
            inputs,
            max_new_tokens=room,
            **self._asker.generation(),
        )

    def importance(self, image: ImageInput, question: str = QUESTIONS[Task.COARSE][0]) -> dict[str, np.ndarray]:
        """Measure which visual tokens matter most to a question (FaceShield, equation 7 and Fig. 9).

        Args:
            image (`ImageInput`): as in `detect`.
            question (`str`, *optional*, defaults to the coarse one): what is asked.

        Returns:
            `dict[str, np.ndarray]`: `"rgb"` and, for a model that reads it, `"sav"`: arrays `(rows, columns)`,
            ready for `visualize.importance_map`. All scores together sum to 1; with `pvtm_scope="per_stream"` those of
            each array do.

        Raises:
            ValueError: when it is no image, the question is too long for the model, or the model's tokens have no
                place in the image (`connector="gac"`).
        """
        if self.model.config.connector == "gac":
            raise ValueError("the visual tokens of this model (connector='gac') have no place in the image")
        picture = to_local_rgb_image(image)
        self._room(self._asker.prompt_length(question), 1)
        pixels = self._pixels([picture])
        with torch.inference_mode():
            inputs = self._asker.inputs(question, self.model.model.encode_images(**pixels))
            outputs = self.model(**inputs, logits_to_keep=1, output_vision_importance=True)
        step = self.processor.patch_size * self.processor.projector_downsample
        rows, columns = (side // step for side in pixels["pixel_values"].shape[-2:])
        views = outputs.vision_importance[0].float().cpu().numpy().reshape(-1, rows, columns)
        return dict(zip(("rgb", "sav"), views, strict=False))

    # ---- inside ----

    def _checked(self, tasks: Sequence[Task | str], threshold: float | None) -> tuple[tuple[Task, ...], float]:
        threshold = self.model.config.score_threshold if threshold is None else threshold
        return checked_tasks(tasks), checked_threshold(threshold)

    def _judge(
        self, pictures: list[Image.Image], tasks: tuple[Task, ...], threshold: float, quality: bool
    ) -> list[Verdict]:
        with self._threads():
            scores, answers = self._asked(self._encode(pictures), tasks)
        margin = self.model.config.score_margin
        return [
            replace(
                compose(scores[i], answers[i], threshold, margin),
                quality=check_quality(picture) if quality else (),
                model=self.name,
            )
            for i, picture in enumerate(pictures)
        ]

    @torch.inference_mode()
    def _encode(self, pictures: list[Image.Image]) -> FaceShieldImageFeatures:
        """Run the vision tower and the connector, once for everything that is asked."""
        pixels = self._pixels(pictures)
        # What one image needs fits into a processor's caches, and a batch does not; other devices want batches.
        step = 1 if self.model.device.type == "cpu" else len(pictures)
        encoded = [
            self.model.model.encode_images(**{name: values[i : i + step] for name, values in pixels.items()})
            for i in range(0, len(pictures), step)
        ]
        features = FaceShieldImageFeatures(pooler_output=[one for part in encoded for one in part.pooler_output])
        if self.model.config.pvtm_prompt_source == "text_tower":
            features.tower_tokens = [one for part in encoded for one in part.tower_tokens]
        return features

    def _pixels(self, pictures: list[Image.Image]) -> dict[str, torch.Tensor]:
        return dict(self.processor.image_processor(pictures, return_tensors="pt").to(self.model.device))

    def _asked(
        self, features: FaceShieldImageFeatures, tasks: tuple[Task, ...]
    ) -> tuple[list[float], list[dict[str, str]]]:
        """Score every image and put every task to it; each task keeps to its own limit, whatever else is asked."""
        limits = {
            task: self._room(self._asker.prompt_length(QUESTIONS[task][0]), MAX_NEW_TOKENS[task]) for task in tasks
        }
        return self._asker.ask(features, limits)

    def _threads(self) -> AbstractContextManager[None]:
        return one_thread(self._is_small and self.model.device.type == "cpu")

    def _generate(self, **inputs: Any) -> Any:
        with self._threads():
            return self.model.generate(**inputs)

    def _chat_inputs(self, conversation: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = self.processor.apply_chat_template(
            conversation, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
        )
        return dict(inputs.to(self.model.device))

    def _room(self, length: int, wanted: int) -> int:
        """Say how many tokens may follow a prompt: as many as wanted, or as the model still has positions for."""
        positions = self.model.config.text_config.to_dict().get("max_position_embeddings")
        room = wanted if positions is None else min(wanted, positions - length)
        if room < min(wanted, MIN_CHAT_TOKENS):
            raise ValueError(
                f"the conversation takes {length} tokens, but the model reads and writes at most {positions} "
                "together: leave out earlier messages or shorten the question"
            )
        return room


def _conversation(picture: Image.Image, messages: str | Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Check messages and put the image into the first of the user's."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    conversation: list[dict[str, Any]] = []
    for turn in turns:
        role, text = turn.get("role"), turn.get("content")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"got {text!r:.60} as a message: expected words")
        conversation.append({"role": role, "content": [{"type": "text", "text": text}]})
    dialogue = conversation[1:] if turns and turns[0].get("role") == "system" else conversation
    roles = [turn["role"] for turn in dialogue]
    if len(roles) % 2 == 0 or roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise ValueError(
            f"got messages of the roles {[turn.get('role') for turn in turns]}: expected 'user' and 'assistant' in "
            "turns, a user's first and last, with at most one 'system' before them"
        )
    dialogue[0]["content"].insert(0, {"type": "image", "image": picture})
    return conversation
