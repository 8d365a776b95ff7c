"""Slips of the tongue: answers that show that their writer was told the label, or that are no answers at all.

A model that writes training data knows the truth; what it writes must not say so ("as the label states"), nor talk
about itself or refuse. It does not judge whether the answer is right.

Example:
    >>> from faceshield_hf.data.filters.slips import slip
    >>> slip("As stated in the hint, this is a print.")
    'speaks of what it was told'
"""

import re


_TOLD = re.compile(
    r"\b(?:ground[ -]truth|known truth|(?:the|given|provided|stated|true) (?:class )?(?:label|annotation|hint)s?"
    r"|as (?:stated|given|provided|labell?ed|annotated|mentioned|instructed|specified)|label(?:l?ed) as"
    r"|(?:you|i was|was) (?:told|given|provided)|according to (?:the|your) (?:label|hint|prompt|annotation|truth)"
    r"|system prompt|the instructions?|not to be mentioned)\b",
    re.IGNORECASE,
)
_SELF = re.compile(
    r"\b(?:as an ai|as a language model|i(?:'m| am) (?:sorry|unable|an ai)|i can(?:not|'t)|i apologi[sz]e"
    r"|language model)\b",
    re.IGNORECASE,
)


def slip(text: str) -> str:
    """What gives an answer's writer away.

    Args:
        text (`str`): the answer.

    Returns:
        `str`: empty when nothing does; else "speaks of what it was told", "speaks of itself" or "not English".
    """
    plain = text.replace("\u2019", "'")
    if _TOLD.search(plain):
        return "speaks of what it was told"
    if _SELF.search(plain):
        return "speaks of itself"
    letters = [c for c in plain if c.isalpha()]
    return "not English" if sum(not c.isascii() for c in letters) > 0.1 * len(letters) else ""
