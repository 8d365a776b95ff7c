"""The judge: a language model that looks at image and answer and says whether the answer should be taught.

It is told the truth, as the paper's reviewers were, and must begin its reply with "yes" or "no"; anything else counts
as no. It decides about good drafts only and knows nothing of how they were written.

Example:
    >>> from faceshield_hf.data.filters.judge import read_judgement
    >>> read_judgement("No. There is no moire in the image.")
    (False, 'There is no moire in the image')
"""

import re
from collections.abc import Sequence

from faceshield_hf.data.instruct.assistants import Assistant, Request
from faceshield_hf.data.instruct.drafts import Draft
from faceshield_hf.data.instruct.prompts import HINTS


SYSTEM = (
    "You check training answers for a face anti-spoofing assistant. You see an image, its true class, a question and "
    "an answer. Reply 'yes' if the answer agrees with the true class and with what the image shows, else 'no'. Begin "
    "with that word, then give the reason in one short sentence."
)
_READ = re.compile(r"^\W*(yes|no)\b[\s.,:;-]*(.*)$", re.IGNORECASE | re.DOTALL)


def judge(drafts: Sequence[Draft], assistant: Assistant) -> int:
    """Let a model judge every good draft; what it turns down gets a fault.

    Args:
        drafts (`Sequence[Draft]`): changed in place.
        assistant (`Assistant`): the judge.

    Returns:
        `int`: how many replies could not be read, which counts as no.
    """
    open_ones = [draft for draft in drafts if not draft.fault]
    replies = assistant.reply([judge_request(draft) for draft in open_ones])
    unreadable = 0
    for draft, reply in zip(open_ones, replies, strict=True):
        if not reply.text:
            draft.reject("judge", reply.error, passing=True)
            continue
        passed, reason = read_judgement(reply.text)
        unreadable += passed is None
        draft.filters["judge"] = bool(passed)
        if not passed:
            draft.reject("judge", reason or "no reason given")
    return unreadable


def judge_request(draft: Draft) -> Request:
    """What the judge is asked about a draft."""
    kind = draft.picture.sample.attack_type
    truth = "a bona fide face" if kind.is_live else f"a {kind.value} attack"
    told = f"True class: {truth}: {HINTS[kind]}.\nQuestion: {draft.question}\nAnswer: {draft.answer}"
    return Request(SYSTEM, told, draft.picture.content, max_tokens=64)


def read_judgement(text: str) -> tuple[bool | None, str]:
    """Read a judge's reply.

    Returns:
        `tuple[bool | None, str]`: yes, no or `None` for a reply that is neither; and the reason.
    """
    match = _READ.match(text)
    if match is None:
        return None, f"a judgement that is neither yes nor no: {' '.join(text.split())[:80]!r}"
    return match[1].lower() == "yes", " ".join(match[2].split()).rstrip(".")
