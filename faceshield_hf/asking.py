"""Asks a model about images that are encoded already: p(spoof), and the answers to several tasks, in one go.

It turns tasks into prompts, lets `drafting` read and answer them, and turns token ids into words. It knows neither
pictures nor what the answers mean.

Example:
    >>> asker = Asker(model, processor)  # doctest: +SKIP
    >>> scores, answers = asker.ask(model.model.encode_images(**pixels), {Task.COARSE: 24})  # doctest: +SKIP
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from faceshield_hf.drafting import Drafts, is_plain, log_likelihood, read_padded, read_prompts, write_answers
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.outputs_faceshield import FaceShieldImageFeatures
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.scoring_faceshield import split_answers
from faceshield_hf.tasks_faceshield import QUESTIONS, Task


_TASK_QUESTIONS = frozenset(wordings[0] for wordings in QUESTIONS.values())


class Asker:
    """A model and its processor, and what they answered before. Threads may share it.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): in eval mode.
        processor ([`FaceShieldProcessor`]): the one it was trained with.
    """

    def __init__(self, model: FaceShieldForConditionalGeneration, processor: FaceShieldProcessor) -> None:
        self.model = model
        self.processor = processor
        self._answer_ids = processor.answer_ids
        self._drafts: defaultdict[Task, Drafts] = defaultdict(Drafts)
        self._prompts: dict[tuple[str, int], list[int]] = {}

    def ask(
        self, features: FaceShieldImageFeatures, limits: Mapping[Task, int]
    ) -> tuple[list[float], list[dict[str, str]]]:
        """Score images and put tasks to them.

        Args:
            features ([`FaceShieldImageFeatures`]): of the images.
            limits (`Mapping[Task, int]`): the tasks, and how many tokens each answer may take.

        Returns:
            `tuple[list[float], list[dict[str, str]]]`: each image's p(spoof), and its answers by task.
        """
        if not limits:
            return self.score(features), [{} for _ in features.pooler_output]
        config = self.model.config
        # A budget chooses other tokens for every question, so that prompts share no beginning.
        if not is_plain(self.model):
            return self.score(features), self._texts(self._generated(features, limits), limits)
        if config.vision_token_budget is not None or config.pvtm_prompt_source == "text_tower":
            reading = read_padded(self.model, self._padded([QUESTIONS[task][0] for task in limits], features))
            return self.score(features), self._texts(self._written(reading, features, limits), limits)
        return self._ask_together(features, limits)

    def score(self, features: FaceShieldImageFeatures) -> list[float]:
        """Compute p(spoof) and nothing else.

        Args:
            features ([`FaceShieldImageFeatures`]): of the images.

        Returns:
            `list[float]`: one an image, 0 (live) to 1 (attack).
        """
        inputs = self._padded([QUESTIONS[Task.COARSE][0]], features)
        return self.model.score(inputs, answer_ids=self._answer_ids).tolist()

    def inputs(self, question: str, features: FaceShieldImageFeatures) -> dict[str, Any]:
        """Make the model's inputs for one question about every image.

        Args:
            question (`str`): its words.
            features ([`FaceShieldImageFeatures`]): of the images.

        Returns:
            `dict[str, Any]`: as the model's `forward`, `generate` and `score` take them.
        """
        return self._padded([question], features)

    def prompt_length(self, question: str) -> int:
        """Count the tokens of a question's prompt, image included.

        Args:
            question (`str`): its words.

        Returns:
            `int`: the number.
        """
        return len(self._prompt(question))

    def generation(self) -> dict[str, Any]:
        """Say how `generate` answers: greedy, up to the end of the turn.

        Returns:
            `dict[str, Any]`: its options.
        """
        return {
            "do_sample": False,
            "num_beams": 1,
            "eos_token_id": sorted(self._stops()) or None,
            "pad_token_id": self.processor.tokenizer.pad_token_id,
        }

    def _ask_together(
        self, features: FaceShieldImageFeatures, limits: Mapping[Task, int]
    ) -> tuple[list[float], list[dict[str, str]]]:
        """The score's two answers and all tasks as rows of one batch."""
        coarse = self._prompt(QUESTIONS[Task.COARSE][0])
        real, spoof = self._answer_ids["real"], self._answer_ids["spoof"]
        ends = split_answers(real, spoof)[1:]
        rows = [coarse + real, coarse + spoof, *(self._prompt(QUESTIONS[task][0]) for task in limits)]
        images = len(features.pooler_output)
        reading = read_prompts(self.model, rows * images, features)
        likely = torch.stack(
            [log_likelihood(reading.logits[i * len(rows) + j], ends[j]) for i in range(images) for j in range(2)]
        )
        odds = likely.view(images, 2).diff(dim=1).squeeze(1) / self.model.config.score_temperature
        reading.keep([i for i in range(images * len(rows)) if i % len(rows) >= 2])
        return odds.sigmoid().tolist(), self._texts(self._written(reading, features, limits), limits)

    def _written(self, reading: Any, features: FaceShieldImageFeatures, limits: Mapping[Task, int]) -> list[list[int]]:
        images = len(features.pooler_output)
        drafts = [self._drafts[task] for task in limits] * images
        return write_answers(self.model, reading, drafts, list(limits.values()) * images, self._stops())

    def _generated(self, features: FaceShieldImageFeatures, limits: Mapping[Task, int]) -> list[list[int]]:
        """What the model's own `generate` answers; each task keeps to its own limit."""
        inputs = self._padded([QUESTIONS[task][0] for task in limits], features)
        written = self.model.generate(**inputs, max_new_tokens=max(limits.values()), **self.generation())
        new = written[:, inputs["input_ids"].shape[1] :].tolist()
        most = list(limits.values()) * len(features.pooler_output)
        return [row[:limit] for row, limit in zip(new, most, strict=True)]

    def _texts(self, answers: list[list[int]], limits: Mapping[Task, int]) -> list[dict[str, str]]:
        texts = [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]
        tasks = [task.value for task in limits]
        return [dict(zip(tasks, texts[i : i + len(tasks)], strict=True)) for i in range(0, len(texts), len(tasks))]

    def _prompt(self, question: str) -> list[int]:
        """Token ids of a question about one image; they are the same for every image."""
        key = question, self.processor.num_image_tokens
        if key in self._prompts:
            return self._prompts[key]
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        placeholders = self.processor.image_token * self.processor.num_image_tokens
        # The chat template wrote the special tokens.
        prompt: list[int] = self.processor.tokenizer(
            text.replace(self.processor.image_token, placeholders), add_special_tokens=False
        )["input_ids"]
        # The tasks' own questions come again with every image; of the words of callers there is no end.
        if question in _TASK_QUESTIONS:
            self._prompts[key] = prompt
        return prompt

    def _padded(self, questions: list[str], features: FaceShieldImageFeatures) -> dict[str, Any]:
        """Every question about every image, padded on the left; the rows of an image stand together."""
        rows = [self._prompt(question) for question in questions] * len(features.pooler_output)
        padded = self.processor.tokenizer.pad(
            {"input_ids": rows}, padding=True, padding_side="left", return_tensors="pt"
        )
        return {
            "input_ids": padded["input_ids"].to(self.model.device),
            "attention_mask": padded["attention_mask"].to(self.model.device),
            "mm_encoder_outputs": {"image": _repeat(features, len(questions))},
            **{name: ids.to(self.model.device) for name, ids in self.processor.prompt_inputs(rows).items()},
        }

    def _stops(self) -> set[int]:
        stops = self.model.generation_config.eos_token_id
        found = {*([stops] if isinstance(stops, int) else stops or []), self.model.config.turn_end_token_id}
        return {stop for stop in found if stop is not None}


def _repeat(features: FaceShieldImageFeatures, times: int) -> FaceShieldImageFeatures:
    """Repeat each image's features for as many prompts, without copying them."""
    if times == 1:
        return features
    return type(features)(
        pooler_output=[tokens for tokens in features.pooler_output for _ in range(times)],
        tower_tokens=features.tower_tokens and [tokens for tokens in features.tower_tokens for _ in range(times)],
    )
