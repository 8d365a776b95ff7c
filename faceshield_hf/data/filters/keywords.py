"""The keyword filter: an answer must show its own type's words, no other type's, and no verdict but the true one.

Words count only where they are affirmed: "no screen border is visible" does not speak of a replay, and "this is not a
real face" calls it a spoof. It reads words, not meaning: a wrong claim in unusual words passes, which is what the
judge and the reviewers are for.

Example:
    >>> from faceshield_hf.data.filters.keywords import keyword_fault
    >>> from faceshield_hf.tasks_faceshield import AttackType, Task
    >>> verdict = "The face in the image is a Print attack. "
    >>> keyword_fault(verdict + "Paper edges surround the face.", AttackType.PRINT, Task.FINE)
    ''
    >>> keyword_fault(verdict + "A screen bezel surrounds the face.", AttackType.PRINT, Task.FINE)
    'names another type: Replay'
"""

import re

from faceshield_hf.tasks_faceshield import AttackType, ChainOfThought, Task, parse_answer


OWN: dict[AttackType, str] = {
    AttackType.BONAFIDE: r"real|live|living|alive|bona fide|genuine|authentic|natural(?:ly)?|skin|pores?",
    AttackType.FAKEHEAD: r"fake ?heads?|mannequins?|dolls?(?:'s)?|dumm(?:y|ies)|sculpt\w*|statues?|moulded|molded"
    r"|plastic|materials?|lacquer\w*|painted|cast|lifeless",
    AttackType.PRINT: r"print\w*|paper|photo(?:graph)?s?|sheet|ink|halftone|flat|poster|picture",
    AttackType.GLASSES: r"glasses|spectacles|eyewear|lens(?:es)?|frames?|rims?|foil",
    AttackType.REPLAY: r"replay\w*|screens?|displays?|displayed|monitors?|tablets?|phones?|devices?|moir\w*|panel"
    r"|pixels?|sub-?pixels?|bezel|backlit|glow\w*|refresh|picture|glass",
    AttackType.PAPER_MASK: r"masks?|paper|sheet|cut(?:-| )?outs?|cardboard|cut",
    AttackType.FLEXIBLE_MASK: r"masks?|silicone|latex|rubber\w*|wax\w*|soft\w*|material|seams?",
    AttackType.RIGID_MASK: r"masks?|shell|plastic|resin|rigid|hard|transparent|stiff|moulded|molded",
    AttackType.PARTIAL_EYE: r"eyes?|eye region|sockets?|patch\w*|temples?",
    AttackType.PARTIAL_MOUTH: r"mouth|lips?|chin|patch\w*",
    AttackType.MAKEUP: r"make-? ?up|cosmetics?|paint\w*|lipstick|foundation|pigments?|powder\w*|colours?|colors?|blush"
    r"|drawn|redrawn|liner|eye shadow",
    AttackType.TATTOO: r"tattoo\w*|ink\w*|patterns?|marks|drawn",
}
"""Words that an answer about each type must hold at least one of."""

IDENTITY: dict[AttackType, str] = {
    AttackType.FAKEHEAD: r"fake ?heads?|mannequins?|dolls?|dummy heads?|statues?",
    AttackType.PRINT: r"print(?:ed)? (?:photo(?:graph)?|picture|portrait)s?|photo ?prints?|posters?|print attacks?",
    AttackType.GLASSES: r"(?:paper|attack|funny-eye|printed-eye|printed) glasses|glasses attacks?",
    AttackType.REPLAY: r"replay\w*|screens?|displays?|displayed|monitors?|tablets?|smartphones?|bezels?"
    r"|sub-?pixel grid",
    AttackType.PAPER_MASK: r"(?:paper|cardboard) masks?",
    AttackType.FLEXIBLE_MASK: r"(?:silicone|latex|rubber|flexible|soft) masks?|silicone|latex",
    AttackType.RIGID_MASK: r"(?:rigid|hard|plastic|resin|transparent) masks?|resin",
    AttackType.PARTIAL_EYE: r"partial eyes?|eye patch(?:es)?|(?:patch|cover|piece) over the eyes|covers the eyes",
    AttackType.PARTIAL_MOUTH: r"partial mouths?|mouth patch(?:es)?|(?:patch|cover|piece) over the mouth"
    r"|covers the mouth",
    AttackType.MAKEUP: r"make-? ?up attacks?|face paint|impersonation make-? ?up",
    AttackType.TATTOO: r"tattoos?|tattooed",
}
"""Words that only one type's answers may affirm."""

_OWN = {kind: re.compile(rf"\b(?:{words})\b") for kind, words in OWN.items()}
_IDENTITY = {kind: re.compile(rf"\b(?:{words})\b") for kind, words in IDENTITY.items()}

_LIVE = r"real|live|living|genuine|authentic|bona[ -]?fide"
_BEING = r"face|person|human|man|woman|subject|individual|presentation"
_CLAIMS = {
    "real": re.compile(
        rf"\b(?:{_LIVE})(?: human)? (?:{_BEING})\b|\bbona fide\b"
        rf"|\b(?:{_BEING}|image|picture|photo|this|it|he|she)(?: \w+){{0,3}} is (?:(?:an?|indeed|clearly|not) )*"
        rf"(?:{_LIVE})\b(?! (?:skin|depth|relief|hair|paper|print|ink|plastic|glass|rubber|silicone|latex))"
    ),
    "spoof": re.compile(
        r"\bspoof(?:s|ed|ing)?\b(?! area)|\bfake[ds]?\b(?! ?head)|\battacks?\b|\bnon-live\b|\bnonlive\b"
    ),
}
_OPPOSITE = {"real": "spoof", "spoof": "real"}
_CLAUSE = re.compile(r"[^.!?;:\n]+")
_TURN = re.compile(r"\b(?:but|however|yet|although|though|whereas|while|instead)\b")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|none|hardly|lacks?|lacking|free of|absence of|\w+n't)\b"
)
_AFTER = re.compile(
    r"^\W*(?:\w+\W+){0,3}?(?:absent|missing|(?:not|nowhere)(?: \w+)? (?:visible|seen|present|found|there))\b"
)
_DOUBT = re.compile(
    r"\b(?:would|could|might|may|if|whether|unlike|usually|normally|typically|compared|than|rather|like)\b"
)
_SUPPOSED = re.compile(r"\s*(?:would|could|should|might)\b")
# "behind the real face": the face that an attack covers is no verdict.
_COVERED = re.compile(r"\b(?:off|behind|under|beneath|below|over|from|covers?|hides?|on|of|between)(?: \w+)?$")
_REACH = 8


def keyword_fault(text: str, kind: AttackType, task: Task) -> str:
    """What is wrong with an answer's words.

    Args:
        text (`str`): the whole answer.
        kind (`AttackType`): the truth.
        task (`Task`): the task that it answers.

    Returns:
        `str`: empty when it passes; else "contradicts the verdict", "names another type: ...", "says nothing of its
            type" or "cannot be read".
    """
    truth = "real" if kind.is_live else "spoof"
    if task is not Task.DESCRIBE:
        read = parse_answer(text, task)
        if read.label is None:
            return "cannot be read"
        if read.label != truth or (read.attack_type is not None and read.attack_type is not kind):
            return "contradicts the verdict"
    if task is Task.COARSE:
        return ""
    prose = _prose(text, task)
    wrong = {_OPPOSITE[truth]} if task is not Task.DESCRIBE else {"real", "spoof"}
    if claims(prose) & wrong:
        return "contradicts the verdict" if task is not Task.DESCRIBE else "tells the verdict"
    others = [other.value for other in mentioned_types(prose) if other is not kind]
    if others and task is not Task.DESCRIBE:
        return "names another type: " + ", ".join(sorted(others))
    # The grammar's own sentence names the type: reasons must show it too. A fine answer's two signs may not suffice.
    if kind.is_live or task not in (Task.REASONING, Task.COT) or affirmed(_OWN[kind], _reasons(text, task)):
        return ""
    return "says nothing of its type"


def mentioned_types(text: str) -> set[AttackType]:
    """The attacks whose own words a text affirms."""
    return {kind for kind, pattern in _IDENTITY.items() if affirmed(pattern, text)}


def own_words(text: str, kind: AttackType) -> bool:
    """Whether a text affirms one of a type's words: what spoof-aware captions are kept by."""
    return affirmed(_OWN[kind], text)


def affirmed(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a text holds a match that is not negated."""
    return any(not _negated(clause, match) for clause in _clauses(text) for match in pattern.finditer(clause))


def claims(text: str) -> set[str]:
    """The verdicts on the face that a text states: "real", "spoof", both or none."""
    found: set[str] = set()
    for clause in _clauses(text):
        for label, pattern in _CLAIMS.items():
            for match in pattern.finditer(clause):
                before = clause[: match.start()]
                if _DOUBT.search(before) or _SUPPOSED.match(clause[match.end() :]):
                    continue
                if label == "real" and _COVERED.search(before.rstrip()) and "instead of" not in before:
                    continue
                inside = bool(_NEGATION.search(match[0]))
                found.add(_OPPOSITE[label] if _negated(clause, match) != inside else label)
    return found


def _prose(text: str, task: Task) -> str:
    """The words that are checked: a chain of thought without its tags, boxes left out."""
    if task is Task.COT:
        parts = ChainOfThought.parse(text)
        text = ". ".join(vars(parts).values())
    return re.sub(r"\[[\d\s,.]*\]", " ", text)


def _reasons(text: str, task: Task) -> str:
    """The words before the conclusion."""
    if task is Task.COT:
        parts = vars(ChainOfThought.parse(text))
        return ". ".join(words for name, words in parts.items() if name != "conclusion")
    return parse_answer(text, task).explanation


def _clauses(text: str) -> list[str]:
    lowered = " ".join(text.lower().replace("\u2019", "'").split(" "))
    clauses = []
    for match in _CLAUSE.finditer(lowered):
        start = 0
        for turn in _TURN.finditer(match[0]):
            clauses.append(match[0][start : turn.start()])
            # "instead of a real face" takes the face back: the turn stays as a negation.
            start = turn.start() if turn[0] == "instead" else turn.end()
        clauses.append(match[0][start:])
    return clauses


def _negated(clause: str, match: re.Match[str]) -> bool:
    before = clause[: match.start()]
    if before.lstrip().startswith("instead of"):
        return True
    if any(len(re.findall(r"\w+", before[word.end() :])) < _REACH for word in _NEGATION.finditer(before)):
        return True
    return bool(_AFTER.match(clause[match.end() :]))
