"""Any `image-text-to-text` model as it is: the tasks' questions with the form of the answer told in the prompt.

The verdict is a forced choice between two sentences ("The face in the image is real." and "... is a spoof."), which
fares better than yes or no (SHIELD, arXiv 2402.04178). The score is how much likelier the model finds the second, both
given as its own answer. It knows transformers' pipeline and no particular model.

Example:
    >>> from faceshield_hf.evaluation.zero_shot import PROMPTS
    >>> from faceshield_hf.tasks_faceshield import Task
    >>> PROMPTS[Task.COARSE].splitlines()[0]
    'Is the face in the image real or spoof?'
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from faceshield_hf.checkpoints import model_digest
from faceshield_hf.decision import TASKS
from faceshield_hf.evaluation.results import Said
from faceshield_hf.tasks_faceshield import QUESTIONS, REAL_ANSWER, SPOOF_ANSWER, AttackType, Task


_SPOOF_IS = (
    "A spoof is a photo, a screen, a mask, a doll's head, a partial cover, heavy make-up or a tattoo presented to the "
    "camera instead of a live person's bare face."
)
_TYPES = ", ".join(kind.value for kind in AttackType if not kind.is_live)
PROMPTS: dict[Task, str] = {
    Task.COARSE: f'{QUESTIONS[Task.COARSE][0]}\n{_SPOOF_IS} Answer with one sentence: "{REAL_ANSWER}" or '
    f'"{SPOOF_ANSWER}"',
    Task.FINE: f'{QUESTIONS[Task.FINE][0]}\n{_SPOOF_IS} Answer with "{REAL_ANSWER}" or with "The face in the image is '
    f'a <type> attack.", where <type> is one of: {_TYPES}.',
    Task.REASONING: f"{QUESTIONS[Task.REASONING][0]}\n{_SPOOF_IS} Look at lighting, shape, depth, texture and edges, "
    'then end with "Analyzing these attributes, we can conclude that the face in the image is real." or the same with '
    '"a spoof (<type>)".',
    Task.LOCALIZATION: f'{QUESTIONS[Task.LOCALIZATION][0]}\n{_SPOOF_IS} Answer with "There is no spoof area: the face '
    'in the image is real." or with "The spoof area is [x1, y1, x2, y2]", whole numbers from 0 to 999 of the image\'s '
    "width and height.",
}
"""What a model that was never taught the answers is told of each task."""

MAX_NEW_TOKENS = {Task.COARSE: 32, Task.FINE: 64, Task.REASONING: 256, Task.LOCALIZATION: 96}


class ZeroShotScorer:
    """Asks any multimodal language model of transformers.

    Args:
        model (`str`): folder or Hub id of an `image-text-to-text` model.
        tasks (`Sequence[Task]`, *optional*): what to ask, of the four that `PROMPTS` holds.
        revision (`str`, *optional*): branch, tag or commit of a Hub id.
        device (`str`, *optional*): the fastest there is when `None`.
        trust_remote_code (`bool`, *optional*, defaults to `False`): whether the model may bring code of its own.
    """

    reads_images = True
    # Two sentences, neither favoured: that is where the model itself turns.
    threshold: float | None = 0.5
    margin = 0.0

    def __init__(
        self,
        model: str,
        tasks: Sequence[Task] = TASKS,
        revision: str | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        from transformers import pipeline

        unknown = [task.value for task in tasks if task not in PROMPTS]
        if unknown:
            raise ValueError(f"no zero-shot prompt for {unknown}; choose of {[task.value for task in PROMPTS]}")
        self.name = f"{model} (zero-shot)"
        self.model_id = model
        self.tasks = tuple(tasks)
        self.pipe: Any = pipeline(
            "image-text-to-text",
            model=model,
            revision=revision,
            device=device,
            trust_remote_code=trust_remote_code,
        )

    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Judge images one by one; models differ too much in how they pad."""
        said = []
        for path, image in zip(paths, images, strict=True):
            answers = {task.value: self._answer(image, task) for task in self.tasks}
            said.append(Said(path, self._score(image), answers))
        return said

    def made_by(self) -> dict[str, Any]:
        """The model, the tasks and the prompts."""
        prompts = {task.value: PROMPTS[task] for task in self.tasks}
        return {
            "scorer": "zero-shot",
            "model": self.model_id,
            "weights": model_digest(self.pipe.model),
            "prompts": prompts,
        }

    def _answer(self, image: Image.Image, task: Task) -> str:
        told = self.pipe(
            text=_messages(image, PROMPTS[task]),
            return_full_text=False,
            max_new_tokens=MAX_NEW_TOKENS[task],
            generate_kwargs={"do_sample": False, "num_beams": 1},
        )
        return str(told[0]["generated_text"]).strip()

    @torch.inference_mode()
    def _score(self, image: Image.Image) -> float:
        """Probability of the spoof sentence against the real one, by the tokens in which the two differ."""
        processor, model = self.pipe.processor, self.pipe.model
        prompt = processor.apply_chat_template(
            _messages(image, PROMPTS[Task.COARSE]), tokenize=False, add_generation_prompt=True
        )
        batches = [
            _tokens(processor, image, prompt + answer).to(model.device) for answer in (REAL_ANSWER, SPOOF_ANSWER)
        ]
        rows = [batch["input_ids"][0] for batch in batches]
        common = _common_start(*rows)
        totals = []
        for batch, row in zip(batches, rows, strict=True):
            logits = model(**batch).logits[0, common - 1 : -1].float()
            steps = logits.log_softmax(-1).gather(1, row[common:].unsqueeze(1))
            totals.append(steps.sum())
        return float(torch.sigmoid(totals[1] - totals[0]))


def _messages(image: Image.Image, text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}]


def _tokens(processor: Any, image: Image.Image, text: str) -> Any:
    """The model's inputs; a template that writes the first token must not get a second one from the tokenizer."""
    start = processor.tokenizer.bos_token
    options = {"add_special_tokens": False} if start and text.startswith(start) else {}
    return processor(images=[image], text=text, return_tensors="pt", **options)


def _common_start(first: torch.Tensor, second: torch.Tensor) -> int:
    shorter = min(len(first), len(second))
    different = (first[:shorter] != second[:shorter]).nonzero()
    if not len(different):
        raise ValueError("the tokenizer writes both answers alike; this model can't be scored")
    return int(different[0])
