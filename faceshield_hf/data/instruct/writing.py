"""Answers for drafts: by the template assistant, or by a language model whose words are put into the grammar.

A model's text is read with `parse_answer`; verdict, type and boxes of the answer that is kept are always the sample's
own, and a text that states others is a fault. Coarse answers and live faces' "no spoof area" are fixed sentences that
no model is asked for. A chain of thought with a wrong conclusion gets one more try (FaceCoT, arXiv 2506.01783). The
words are not judged here: that is for the filters.

Example:
    >>> from faceshield_hf.data.instruct.writing import PassCounts
    >>> PassCounts(asked=10, right_first=8, right_second=1).wrong
    1
"""

from collections.abc import Sequence
from dataclasses import dataclass

from faceshield_hf.data.instruct.assistants import Assistant, Reply, Request
from faceshield_hf.data.instruct.drafts import Draft
from faceshield_hf.data.instruct.prompts import correction_request, generation_request
from faceshield_hf.data.instruct.template import TemplateAssistant, on_grid
from faceshield_hf.tasks_faceshield import ChainOfThought, Task, Verdict, format_answer, parse_answer


_STEP = "assistant"
# A region is named in a few words; more is an explanation that belongs elsewhere.
_LONGEST_REGION = 12


@dataclass
class PassCounts:
    """How the conclusions of chains of thought fared.

    Attributes:
        asked (`int`): chains of thought that came back.
        right_first (`int`): right at the first pass.
        right_second (`int`): right at the second.
    """

    asked: int = 0
    right_first: int = 0
    right_second: int = 0

    @property
    def wrong(self) -> int:
        """Wrong after both passes."""
        return self.asked - self.right_first - self.right_second


def write_answers(
    drafts: Sequence[Draft], assistant: Assistant | TemplateAssistant, seed: int, few_shot: int = 2
) -> PassCounts:
    """Give every draft an answer or a fault.

    Args:
        drafts (`Sequence[Draft]`): changed in place.
        assistant (`Assistant` or `TemplateAssistant`): who writes.
        seed (`int`): picks the template's wordings.
        few_shot (`int`, *optional*, defaults to 2): worked examples in a model's prompt.

    Returns:
        `PassCounts`: the two passes over chains of thought; zeros with the template.
    """
    counts = PassCounts()
    if isinstance(assistant, TemplateAssistant):
        for draft in drafts:
            draft.answer = assistant.answer(draft.picture.sample, draft.task, draft.rng(seed))
            draft.generator = assistant.name
        return counts
    asked, requests = [], []
    for draft in drafts:
        if _is_fixed(draft):
            draft.answer = _fixed(draft)
            draft.generator = "grammar"
            continue
        picture = draft.picture
        asked.append(draft)
        requests.append(generation_request(picture.sample, draft.task, draft.question, picture.content, few_shot))
    replies = assistant.reply(requests)
    for draft, reply in zip(asked, replies, strict=True):
        draft.generator = assistant.name
        take(draft, reply)
    _second_pass(asked, requests, replies, assistant, counts)
    return counts


def take(draft: Draft, reply: Reply) -> None:
    """Put a model's words into a draft, in the form of the grammar, or say what is wrong with them."""
    draft.fault = ""
    if not reply.text:
        draft.reject(_STEP, reply.error, passing=True)
        return
    text = " ".join(reply.text.split()) if draft.task is not Task.COT else reply.text.strip()
    if draft.task is Task.DESCRIBE:
        draft.answer = text
        return
    said = parse_answer(text, draft.task)
    truth = _truth(draft)
    contradicts = said.label not in (None, truth.label) or (
        said.label == "spoof" and said.attack_type not in (None, truth.attack_type)
    )
    draft.answer = text
    if draft.task is Task.COT:
        _take_chain(draft, said, contradicts)
    elif contradicts:
        draft.reject(_STEP, f"states the verdict {_verdict_words(said)}")
    elif draft.task is Task.LOCALIZATION:
        words = (said.explanation if said.label else text).strip(" .")
        if not 0 < len(words.split()) <= _LONGEST_REGION:
            draft.reject(_STEP, f"names the region in {len(words.split())} words; expected 1 to {_LONGEST_REGION}")
            return
        truth.explanation = words + "."
        draft.answer = format_answer(truth, draft.task)
    else:
        truth.explanation = said.explanation if said.label else text
        if not truth.explanation:
            draft.reject(_STEP, "gives a verdict without any reason")
            return
        draft.answer = format_answer(truth, draft.task)


def _take_chain(draft: Draft, said: Verdict, contradicts: bool) -> None:
    parts = ChainOfThought.parse(draft.answer)
    empty = [name for name, words in vars(parts).items() if not words]
    if empty:
        draft.reject(_STEP, "lacks the parts " + ", ".join(empty))
    elif said.label is None:
        draft.reject(_STEP, "has a conclusion that cannot be read")
    elif contradicts or (said.label == "spoof" and said.attack_type is None):
        draft.reject(_STEP, f"concludes {_verdict_words(said)}")
    else:
        draft.answer = parts.format()


def _second_pass(
    asked: Sequence[Draft],
    requests: Sequence[Request],
    replies: Sequence[Reply],
    assistant: Assistant,
    counts: PassCounts,
) -> None:
    chains = [i for i, draft in enumerate(asked) if draft.task is Task.COT and replies[i].text]
    wrong = [i for i in chains if asked[i].fault]
    counts.asked, counts.right_first = len(chains), len(chains) - len(wrong)
    again = [correction_request(requests[i], replies[i].text, asked[i].picture.sample.attack_type) for i in wrong]
    for i, reply in zip(wrong, assistant.reply(again), strict=True):
        take(asked[i], reply)
        counts.right_second += not asked[i].fault
        if asked[i].fault and not asked[i].passing:
            asked[i].fault += " (after two passes)"


def _truth(draft: Draft) -> Verdict:
    sample = draft.picture.sample
    boxes = on_grid(sample.boxes) if draft.task is Task.LOCALIZATION else ()
    return Verdict(label="real" if sample.is_live else "spoof", attack_type=sample.attack_type, boxes=boxes)


def _is_fixed(draft: Draft) -> bool:
    return draft.task is Task.COARSE or (draft.task is Task.LOCALIZATION and draft.picture.sample.is_live)


def _fixed(draft: Draft) -> str:
    return format_answer(_truth(draft), draft.task)


def _verdict_words(said: Verdict) -> str:
    return f"{said.label}" + (f" ({said.attack_type})" if said.attack_type and said.label == "spoof" else "")
