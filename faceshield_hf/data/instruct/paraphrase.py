"""The same answer in other words: paraphrases that never change a verdict, a type or a number.

By a language model, or offline by a lexicon of words and phrases that mean the same here. Whoever wrote it, a
paraphrase is taken only if `same_facts` holds: the grammar reads the same verdict, type and boxes from both, and the
numbers, negations and attacks named are the same. What can't be said otherwise is left alone.

Example:
    >>> from faceshield_hf.data.instruct.paraphrase import same_facts
    >>> from faceshield_hf.tasks_faceshield import Task
    >>> same_facts("The face in the image is real. No edge shows.", "The face in the image is real.", Task.FINE)
    False
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from faceshield_hf.data.filters.keywords import mentioned_types
from faceshield_hf.data.instruct.assistants import Assistant, Request
from faceshield_hf.data.instruct.drafts import Draft
from faceshield_hf.tasks_faceshield import ChainOfThought, Task, parse_answer


SYSTEM = (
    "You say a text in other words. Keep its meaning, every number, every name of an attack, every negation and any "
    "tags or boxes exactly as they are. Sentences that begin with 'The face in the image is', 'The spoof area is' or "
    "'Analyzing these attributes' stay as they are. Reply with the new text only."
)
# Coarse answers are one fixed sentence that scoring asks for word by word.
TASKS = (Task.DESCRIBE, Task.FINE, Task.REASONING, Task.LOCALIZATION, Task.COT)

# Paraphrases are counted from here on: an image is never asked as many questions of one task.
_INDEX = 100
# Each row: phrases that can stand for one another wherever they occur in these answers.
_SAME = (
    ("it shows ", "one can see ", "visible are ", "there are signs such as "),
    ("what gives it away is ", "what tells is ", "it is betrayed by "),
    ("there is no ", "one finds no ", "one sees no "),
    (" surrounds ", " encloses "),
    (" surround ", " enclose "),
    (" lies over ", " is spread over "),
    (" lie over ", " are spread over "),
    (" natural ", " lifelike "),
    (" replaces ", " takes the place of "),
    (" replace ", " take the place of "),
    (" crosses ", " runs across "),
    (" cross ", " run across "),
    (" visible", " noticeable", " easy to see"),
    (" disagrees with ", " clashes with "),
    (" agrees with ", " matches "),
    (" sharp ", " crisp "),
    (" covers ", " hides "),
    (" dull ", " muted "),
    (" natural proportions", " the proportions of a living head"),
    (" ends in ", " stops in "),
    ("the picture shows ", "in the picture there is ", "one sees "),
    ("the focus is ", "detail is "),
    ("the light is ", "the lighting is "),
    (" and the tint ", ", and the colour cast is "),
)
_PATTERNS = [(group, re.compile("|".join(map(re.escape, group)), re.IGNORECASE)) for group in _SAME]
# A sentence of the grammar decides how an answer is read: it is kept word by word.
_FIXED = re.compile(
    r"(?:The face in the image is [^.]*\.|The spoof area is (?:\[[^\]]*\](?:, )?)+|There is no spoof area[^.]*\."
    r"|Analyzing these attributes,[^.]*\.|<conclusion>.*?</conclusion>|</?\w+>)",
    re.DOTALL,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b(?! can| sees| finds)")
_NEGATION = re.compile(r"\b(?:no|not|never|none|without|neither|nor|cannot|lacks?|missing|absent|\w+n't)\b")


def same_facts(original: str, other: str, task: Task) -> bool:
    """Whether two answers to a task state the same verdict, type, boxes, numbers, negations and attacks.

    Args:
        original (`str`): an answer that is right.
        other (`str`): another wording.
        task (`Task`): the task that both answer.

    Returns:
        `bool`: `True` if nothing that counts differs; it compares words, not shades of meaning.
    """
    first, second = parse_answer(original, task), parse_answer(other, task)
    if (first.label, first.attack_type, first.boxes) != (second.label, second.attack_type, second.boxes):
        return False
    if task is Task.COT:
        ours, theirs = vars(ChainOfThought.parse(original)), vars(ChainOfThought.parse(other))
        if [bool(words) for words in ours.values()] != [bool(words) for words in theirs.values()]:
            return False
        if ours["conclusion"] != theirs["conclusion"]:
            return False
    low, new = original.lower(), other.lower()
    if Counter(_NUMBER.findall(low)) != Counter(_NUMBER.findall(new)):
        return False
    if len(_NEGATION.findall(low)) != len(_NEGATION.findall(new)):
        return False
    return mentioned_types(original) == mentioned_types(other)


def reworded(text: str, rng: np.random.Generator) -> str:
    """Say a text otherwise by the lexicon; the grammar's own sentences, tags and boxes stay as they are.

    Args:
        text (`str`): an answer.
        rng (`np.random.Generator`): picks words.

    Returns:
        `str`: another wording, or the same text if the lexicon knows none of its words.
    """
    out, end = [], 0
    for match in _FIXED.finditer(text):
        out += [_swap(text[end : match.start()], rng), match[0]]
        end = match.end()
    return "".join([*out, _swap(text[end:], rng)])


def paraphrase(
    drafts: Sequence[Draft], assistant: Assistant | None, share: float, seed: int
) -> tuple[list[Draft], dict[str, int]]:
    """Paraphrase a share of the good drafts.

    Args:
        drafts (`Sequence[Draft]`): drafts without a fault are drawn from; none is changed.
        assistant (`Assistant`, *optional*): a language model; the lexicon if not given.
        share (`float`): of the answers that can be paraphrased, 0..1.
        seed (`int`): draws which and, with the lexicon, how.

    Returns:
        `tuple[list[Draft], dict[str, int]]`: new drafts, those that failed with their fault, and how many were tried,
            came back unchanged (which makes no draft), changed the facts, or were not answered.
    """
    chosen = [d for d in drafts if not d.fault and d.task in TASKS and d.rng(seed, 1).random() < share]
    if assistant is None:
        texts, name = [reworded(draft.answer, draft.rng(seed, 2)) for draft in chosen], "lexicon"
    else:
        requests = [Request(SYSTEM, draft.answer, max_tokens=len(draft.answer) // 2 + 64) for draft in chosen]
        texts, name = [reply.text for reply in assistant.reply(requests)], assistant.name
    counts = {"tried": len(chosen), "unchanged": 0, "changed_facts": 0, "unanswered": 0}
    made = []
    for draft, text in zip(chosen, texts, strict=True):
        text = text.strip() if draft.task is Task.COT else " ".join(text.split())
        if text == draft.answer:
            counts["unchanged"] += 1
            continue
        # The index follows from the original's alone, so that ids stay whatever filters and reviewers decide.
        new = draft.paraphrased(text, f"{draft.generator}+{name}", draft.index + _INDEX)
        if not text:
            counts["unanswered"] += 1
            new.reject("paraphrase", "no answer", passing=True)
        elif not same_facts(draft.answer, text, draft.task):
            counts["changed_facts"] += 1
            new.reject("paraphrase", "changes the verdict, the type, a number, a negation or a named attack")
        made.append(new)
    return made, counts


def _swap(text: str, rng: np.random.Generator) -> str:
    for group, pattern in _PATTERNS:

        def other(match: re.Match[str], group: tuple[str, ...] = group) -> str:
            choices = [phrase for phrase in group if phrase != match[0].lower()]
            new = choices[int(rng.integers(len(choices)))]
            return new[0].upper() + new[1:] if match[0][0].isupper() else new

        # One place of a group at most: a text that changes everywhere reads like no language.
        text = pattern.sub(other, text, count=1)
    return text
