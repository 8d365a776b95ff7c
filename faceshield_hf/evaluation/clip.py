"""Two-tower models (CLIP, SigLIP and their kin) as detectors: is the image nearer to "real" or to "spoof" sentences?

The sentences are FLIP's six and six (Srivatsan et al., ICCV 2023), each side averaged into one direction. Nothing is
trained. It knows transformers' two-tower interface and no particular model.

Example:
    >>> from faceshield_hf.evaluation.clip import REAL_PROMPTS, SPOOF_PROMPTS
    >>> len(REAL_PROMPTS), len(SPOOF_PROMPTS)
    (6, 6)
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from faceshield_hf.checkpoints import model_digest
from faceshield_hf.evaluation.results import Said


REAL_PROMPTS = (
    "This is an example of a real face",
    "This is a bonafide face",
    "This is a real face",
    "This is how a real face looks like",
    "a photo of a real face",
    "This is not a spoof face",
)
SPOOF_PROMPTS = (
    "This is an example of a spoof face",
    "This is an example of an attack face",
    "This is not a real face",
    "This is how a spoof face looks like",
    "a photo of a spoof face",
    "a printout shown to be a spoof face",
)


class ClipScorer:
    """Compares images with two ensembles of sentences.

    Args:
        model (`str`): folder or Hub id of a two-tower model with its processor.
        revision (`str`, *optional*): branch, tag or commit of a Hub id.
        device (`str` or `torch.device`, *optional*, defaults to `"cpu"`): where it runs.
    """

    reads_images = True
    threshold: float | None = 0.5
    margin = 0.0

    def __init__(self, model: str, revision: str | None = None, device: str | torch.device = "cpu") -> None:
        from transformers import AutoModel, AutoProcessor

        self.name = f"{model} (6 + 6 prompts)"
        self.model_id = model
        self.model: Any = AutoModel.from_pretrained(model, revision=revision).eval().to(device)
        self.processor: Any = AutoProcessor.from_pretrained(model, revision=revision)
        self.scale = float(self.model.logit_scale.detach().exp())
        self.directions = torch.stack([self._direction(prompts) for prompts in (REAL_PROMPTS, SPOOF_PROMPTS)])

    @torch.inference_mode()
    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Judge images in one batch."""
        pixels = self.processor.image_processor(list(images), return_tensors="pt").to(self.model.device)
        features = self.model.get_image_features(pixel_values=pixels["pixel_values"]).pooler_output
        similarity = torch.nn.functional.normalize(features.float(), dim=-1) @ self.directions.T
        scores = (self.scale * similarity).softmax(-1)[:, 1].tolist()
        return [Said(path, score) for path, score in zip(paths, scores, strict=True)]

    def made_by(self) -> dict[str, Any]:
        """The model and the prompts."""
        prompts = [*REAL_PROMPTS, *SPOOF_PROMPTS]
        return {"scorer": "clip", "model": self.model_id, "weights": model_digest(self.model), "prompts": prompts}

    @torch.inference_mode()
    def _direction(self, prompts: Sequence[str]) -> torch.Tensor:
        """The mean of the sentences' unit vectors, of length one again."""
        limit = self.model.config.text_config.max_position_embeddings
        # SigLIP was trained on sentences filled up to its limit; CLIP does not mind.
        tokens = self.processor.tokenizer(
            list(prompts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        features = self.model.get_text_features(**tokens).pooler_output.float()
        unit = torch.nn.functional.normalize(features, dim=-1)
        return torch.nn.functional.normalize(unit.mean(0), dim=-1)
