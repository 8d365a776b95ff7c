"""`pipeline("face-anti-spoofing")`: an image goes in, the verdict comes out as a dictionary, with transformers alone.

A checkpoint names this file in its config (`CUSTOM_PIPELINES`), so that its code, weights and decision rule load
together. The results are those of the package's detector, except `quality`, which needs a face detector that
doesn't travel with a checkpoint: it is always empty here.

Example:
    >>> from transformers import pipeline  # doctest: +SKIP
    >>> detect = pipeline("face-anti-spoofing", model="user/model", trust_remote_code=True)  # doctest: +SKIP
    >>> detect("photo.jpg")["label"]  # doctest: +SKIP
    'spoof'
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Pipeline

from .decision_faceshield import MAX_NEW_TOKENS, TASKS, checked_tasks, checked_threshold, compose
from .image_input_faceshield import to_local_rgb_image
from .tasks_faceshield import QUESTIONS, Task


# What `pipeline` reads from the configuration of a checkpoint, under `custom_pipelines`.
CUSTOM_PIPELINES = {
    "face-anti-spoofing": {
        "impl": "pipeline_faceshield.FaceAntiSpoofingPipeline",
        "pt": ["AutoModelForImageTextToText"],
        "type": "image",
    }
}


class FaceAntiSpoofingPipeline(Pipeline):
    """Judges face images.

    Called with a path, the bytes of an image file, a PIL image or an array, or with a list of them. Options of the
    call or of `pipeline(...)`:

    - `tasks` (`Sequence[str]`): what to ask; coarse, fine, reasoning and localization by default, `()` for the score
      alone.
    - `threshold` (`float`): p(spoof) from which on it is a spoof; the checkpoint's own by default.
    """

    # Loaded from the repository, where they are this project's own.
    model: Any
    processor: Any

    # Annotated, since transformers' own class holds a bare `None` for what its subclasses decide.
    _load_processor: Any = True
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = False
    _pipeline_calls_generate = False

    def _sanitize_parameters(
        self, tasks: Sequence[str] | str | None = None, threshold: float | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        forward, after = {}, {}
        if tasks is not None:
            forward["tasks"] = checked_tasks(tasks)
        if threshold is not None:
            after["threshold"] = checked_threshold(threshold)
        return {}, forward, after

    def preprocess(self, image: Any) -> dict[str, torch.Tensor]:
        """Turns an image into pixels for both views.

        Args:
            image (`str`, `os.PathLike`, `bytes`, `PIL.Image.Image`, `np.ndarray`): as `to_rgb_image` takes it, but
                no URL: nothing is downloaded.

        Returns:
            `dict[str, torch.Tensor]`: `pixel_values` and, for a model that reads them, `sav_values`.
        """
        return dict(self.processor.image_processor([to_local_rgb_image(image)], return_tensors="pt"))

    def _forward(self, pixels: dict[str, torch.Tensor], tasks: tuple[Task, ...] = TASKS) -> dict[str, Any]:
        features = self.model.get_image_features(**pixels)
        asked = self._prompts([QUESTIONS[Task.COARSE][0]], features)
        score = self.model.score(asked, answer_ids=self.processor.answer_ids)[0].item()
        return {"score": score, "answers": self._answers(features, tasks) if tasks else {}}

    def postprocess(self, outputs: dict[str, Any], threshold: float | None = None) -> dict[str, Any]:
        """Decides.

        Args:
            outputs (`dict`): score and answers.
            threshold (`float`, *optional*): 0..1; the checkpoint's own when `None`.

        Returns:
            `dict`: `Verdict.to_dict()`.
        """
        config = self.model.config
        threshold = config.score_threshold if threshold is None else threshold
        verdict = compose(outputs["score"], outputs["answers"], threshold, config.score_margin)
        return verdict.to_dict() | {"model": self.model.name_or_path or None}

    def _answers(self, features: Any, tasks: tuple[Task, ...]) -> dict[str, str]:
        repeated = type(features)(
            pooler_output=list(features.pooler_output) * len(tasks),
            tower_tokens=features.tower_tokens and list(features.tower_tokens) * len(tasks),
        )
        inputs = self._prompts([QUESTIONS[task][0] for task in tasks], repeated)
        length = inputs["input_ids"].shape[1]
        positions = self.model.config.text_config.to_dict().get("max_position_embeddings") or length + 10**6
        limits = [min(MAX_NEW_TOKENS[task], positions - length) for task in tasks]
        stops = self.model.generation_config.eos_token_id
        stops = {stops} if isinstance(stops, int) else set(stops or ())
        written = self.model.generate(
            **inputs,
            max_new_tokens=max(limits),
            do_sample=False,
            num_beams=1,
            eos_token_id=sorted(s for s in stops | {self.model.config.turn_end_token_id} if s is not None) or None,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        # Each task keeps to its own limit, so that its answer does not depend on what else is asked.
        rows = [row[:limit] for row, limit in zip(written[:, length:], limits, strict=True)]
        texts = self.processor.batch_decode(rows, skip_special_tokens=True)
        return {task.value: text.strip() for task, text in zip(tasks, texts, strict=True)}

    def _prompts(self, questions: list[str], features: Any) -> dict[str, Any]:
        """Prompts about an image that is encoded already, padded on the left."""
        image = {"type": "image"}
        texts = [
            self.processor.apply_chat_template(
                [{"role": "user", "content": [image, {"type": "text", "text": question}]}],
                tokenize=False,
                add_generation_prompt=True,
            )
            for question in questions
        ]
        placeholders = self.processor.image_token * self.processor.num_image_tokens
        tokens = self.processor.tokenizer(
            [text.replace(self.processor.image_token, placeholders) for text in texts],
            add_special_tokens=False,  # the chat template wrote them
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        asked = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
        asked |= self.processor.prompt_inputs(tokens["input_ids"])
        on_device = {name: tensor.to(self.model.device) for name, tensor in asked.items()}
        return on_device | {"mm_encoder_outputs": {"image": features}}
