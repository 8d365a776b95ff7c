"""The CLIP filter: how well a description fits its image, by any CLIP or SigLIP of transformers.

The score is the cosine of the two embeddings, -1..1, as FaceShield's pre-training data is filtered (at 0.15); it is
neither scaled by 100 nor the CLIPScore of 2.5 times the positive part. Text towers read a few dozen tokens: of a
longer description as many whole sentences are scored as fit. It says nothing of right or wrong labels.

Example:
    >>> from faceshield_hf.data.filters.clip_score import first_sentences
    >>> first_sentences("A face. A hand. A hat.", lambda text: len(text.split()), 4)
    'A face. A hand.'
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image


class ClipScorer:
    """Scores images against texts.

    Args:
        model (`str`): Hub id or folder of a two-tower model, such as "google/siglip-base-patch16-224".
        revision (`str`, *optional*): branch, tag or commit.
        batch_size (`int`, *optional*, defaults to 16): pairs at once.
        device (`str`, *optional*): where it runs; the process's accelerator if there is one, else the CPU.

    Raises:
        ValueError: when the model can't be loaded or has no text tower.
    """

    def __init__(self, model: str, revision: str | None = None, batch_size: int = 16, device: str | None = None):
        from accelerate.state import PartialState
        from transformers import AutoModelForZeroShotImageClassification, AutoProcessor

        self.name, self.batch_size = model, batch_size
        self.device = torch.device(device or PartialState().device)
        try:
            self._processor: Any = AutoProcessor.from_pretrained(model, revision=revision)
            # What transformers calls so are its two-tower models: a model without a text tower is refused here.
            loaded = AutoModelForZeroShotImageClassification.from_pretrained(
                model, revision=revision, dtype=torch.float32
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"filters.clip.model {model!r} can't be loaded as a CLIP or SigLIP: {error}") from error
        self._model: Any = loaded.to(self.device).eval()
        self._longest = int(self._model.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """The cosine of each image with its text.

        Args:
            images (`Sequence[PIL.Image.Image]`): RGB images.
            texts (`Sequence[str]`): as many.

        Returns:
            `list[float]`: -1..1, one a pair.
        """
        scores: list[float] = []
        for start in range(0, len(texts), self.batch_size):
            batch = [self._fitting(text) for text in texts[start : start + self.batch_size]]
            # SigLIP was trained on padded text and pools the last position; CLIP does not mind.
            words = self._processor.tokenizer(
                batch, padding="max_length", truncation=True, max_length=self._longest, return_tensors="pt"
            )
            pixels = self._processor.image_processor(
                images=list(images[start : start + self.batch_size]), return_tensors="pt"
            )
            outputs = self._model(**words.to(self.device), **pixels.to(self.device))
            cosine = torch.nn.functional.cosine_similarity(outputs.image_embeds, outputs.text_embeds)
            scores += [round(value, 4) for value in cosine.tolist()]
        return scores

    def _fitting(self, text: str) -> str:
        return first_sentences(text, lambda part: len(self._processor.tokenizer(part)["input_ids"]), self._longest)


def first_sentences(text: str, length: Callable[[str], int], limit: int) -> str:
    """As many whole sentences from the start as fit; at least one.

    Args:
        text (`str`): any text.
        length (`Callable`): text -> its length.
        limit (`int`): the most that fits.
    """
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    kept = sentences[0]
    for sentence in sentences[1:]:
        longer = f"{kept} {sentence}"
        if length(longer) > limit:
            break
        kept = longer
    return kept
