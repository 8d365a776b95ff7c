"""What a free text says about a face: real, spoof, both or nothing, and which attack it names.

The fallback for answers that don't follow the grammar of `tasks_faceshield.py`. One pass over the words, in time
linear in the text. Negation turns a word around ("not a real face"), a doubt ("whether", "might") or a question mark
takes it back. It does not understand language: a text that claims both is for the caller to call unreadable.

Example:
    >>> sorted(claimed_labels("This is not a real face."))
    ['spoof']
    >>> sorted(claimed_labels("Is it real or fake? I think it is real."))
    ['real']
"""

import re

from .attack_types_faceshield import AttackType


# Each type's name with any spaces, hyphens or underscores inside; longest first so that no name hides another.
_NAMES = {"Bonafide": "bona fide", "Fakehead": "fake head", "Makeup": "make up"}
_SPELLINGS = {kind: _NAMES.get(kind.value, kind.value).lower().replace(" ", r"[\s_-]*") for kind in AttackType}
ATTACK_NAMES = "|".join(
    sorted((spelling for kind, spelling in _SPELLINGS.items() if not kind.is_live), key=len, reverse=True)
)
_ALL_NAMES = f"{ATTACK_NAMES}|{_SPELLINGS[AttackType.BONAFIDE]}"

_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|[.!?,;:()\n]")
_NAMED_TYPE = re.compile(
    rf"\b(?P<attack>{ATTACK_NAMES})\s+(?:presentation\s+)?attacks?\b"
    rf"|\btype(?:\s+of\s+(?:the\s+)?attack)?\s*(?:is|:|=)\s*(?:an?\s+|the\s+)?(?P<type>{_ALL_NAMES})\b"
    rf"|\bspoof\s*\(\s*(?P<kind>{ATTACK_NAMES})\s*\)",
    re.IGNORECASE,
)

_OPPOSITE = {"real": "spoof", "spoof": "real"}
_CLAIMS = {
    **dict.fromkeys(("real", "genuine", "live", "authentic", "bona", "bonafide", "bona-fide"), "real"),
    **dict.fromkeys(("spoof", "spoofs", "spoofed", "spoofing", "fake", "fakes", "faked"), "spoof"),
    **dict.fromkeys(("attack", "attacks"), "spoof"),
}
# "rather than real", "a spoof instead of a real face".
_NEGATIONS = {"not", "no", "never", "neither", "nor", "cannot", "without", "none", "hardly", "than", "instead"}
_TURNS = {"but", "however", "yet", "and", ",", ";", ":", "(", ")"}
_DOUBTS = {
    "whether",
    "if",
    "either",
    "maybe",
    "perhaps",
    "possibly",
    "unsure",
    "uncertain",
    "unclear",
    "might",
    "could",
}
# How many words a negation reaches: "no signs of a presentation attack".
_REACH = 6


def claimed_labels(text: str) -> frozenset[str]:
    """The verdicts that a text claims.

    Args:
        text (`str`): any text.

    Returns:
        `frozenset[str]`: of "real" and "spoof"; empty when it claims neither, both when it contradicts itself.
    """
    claims: set[str] = set()
    sentence: set[str] = set()
    doubtful = False
    reach = 0
    words = [*_TOKEN.findall(text.lower().replace("\u2019", "'")), "."]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ".!?\n":
            if word != "?" and not doubtful:
                claims |= sentence
            sentence, doubtful, reach = set(), False, 0
            continue
        reach -= 1
        negative, word = word.startswith("non-"), word.removeprefix("non-")
        if word in _CLAIMS and following != "type":  # "the attack type is" claims nothing yet
            label = _CLAIMS[word]
            sentence.add(_OPPOSITE[label] if reach > 0 or negative else label)
            reach = 0
        elif word in _NEGATIONS or word.endswith("n't"):
            reach = _REACH + 1
        elif word in _TURNS:
            reach = 0
        doubtful = doubtful or word in _DOUBTS
    return frozenset(claims)


def named_types(text: str) -> frozenset[AttackType]:
    """The types that a text names as its finding: "a Print attack", "type: print", "spoof (Print)", or a bare "Print".

    A type's word in passing does not count: plain "glasses" and "make-up" are part of many live faces.

    Args:
        text (`str`): any text.

    Returns:
        `frozenset[AttackType]`: empty when none is named.
    """
    found = {AttackType.from_name(match[match.lastgroup or 0]) for match in _NAMED_TYPE.finditer(text)}
    bare = re.fullmatch(rf"(?:an?\s+)?({_ALL_NAMES})[.!]?", text.strip(), re.IGNORECASE)
    return frozenset(found | ({AttackType.from_name(bare[1])} if bare else set()))
