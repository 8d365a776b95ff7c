"""What a language model is asked so that it writes training answers: system prompt, hints, examples, instructions.

The class label and the type's hint are told at generation only, in the request's last turn: they never reach a
record, whose question is one of the canonical wordings and whose answer is filtered for slips of the tongue
(`filters/slips.py`). Descriptions are asked for without any label. It sends nothing: see `assistants.py`.

Example:
    >>> from faceshield_hf.data.instruct.prompts import SYSTEM
    >>> "face anti-spoofing" in SYSTEM
    True
"""

from faceshield_hf.data.instruct.assistants import Request
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import AttackType, ChainOfThought, Task


PROMPT_VERSION = "2"
"""Raised when a prompt changes: records say which one wrote them."""

SYSTEM = (
    "You write training answers for a face anti-spoofing assistant. Look at the image and say only what can be seen "
    "in it, in plain English, in the third person, without lists or headings. Never mention that you were told "
    "anything, never speak of labels, annotations, hints or instructions, and never be unsure."
)
CAPTION_SYSTEM = (
    "You describe photos of faces. Say only what can be seen: the face, its surroundings, the light, the materials "
    "and anything in front of or around the face. Plain English, two or three sentences, no guesses about identity, "
    "age, origin or mood."
)

HINTS: dict[AttackType, str] = {
    AttackType.BONAFIDE: "a live person in front of the camera; skin, relief and light are natural",
    AttackType.FAKEHEAD: "a mannequin or doll head; one material, painted features, no pores",
    AttackType.PRINT: "a photo printed on paper; flat, with ink texture, dull colours and paper edges",
    AttackType.GLASSES: "attack glasses on a face; printed or drawn eyes, opaque lenses, paper frames",
    AttackType.REPLAY: "a photo or video on a screen; pixel grid, moire, glow, reflections or a device frame",
    AttackType.PAPER_MASK: "a mask cut from printed paper; cut edges, eye holes, creases",
    AttackType.FLEXIBLE_MASK: "a soft mask of silicone or latex; waxy, without pores, with seams at the openings",
    AttackType.RIGID_MASK: "a hard or transparent mask of plastic or resin; hard highlights and a sharp rim",
    AttackType.PARTIAL_EYE: "a face with its eye region covered; a piece of paper or print lies over the eyes",
    AttackType.PARTIAL_MOUTH: "a face with its mouth region covered; a piece of paper or print lies over the mouth",
    AttackType.MAKEUP: "a face under heavy make-up or paint; colour changes or hides its features",
    AttackType.TATTOO: "a face with tattoo-like patterns; lines of ink disturb its features",
}
"""What tells each type, in the words that a model is given beside the label."""

_ENDINGS = {
    Task.FINE: "Begin with the sentence '{verdict}' and add one or two sentences naming the clearest signs.",
    Task.REASONING: (
        "In three or four sentences say what lighting, shape, depth, texture and edges show. End with the sentence "
        "'Analyzing these attributes, we can conclude that {conclusion}'"
    ),
    Task.LOCALIZATION: "In at most eight words name what covers the attacked region, as in 'a printed photo'.",
}
_COT = (
    "Write exactly six parts, each inside its tags: <caption> the whole scene in a sentence </caption> "
    "<facial_description> the face </facial_description> <facial_attributes> lighting, shape, depth, texture, edges "
    "</facial_attributes> <reasoning> what follows from them </reasoning> <spoofing_description> the attack, or that "
    "there is none </spoofing_description> <conclusion>{sentence}</conclusion>"
)
_EXAMPLES = {
    Task.FINE: (
        (AttackType.PRINT, "The face in the image is a Print attack. Dull ink colours and a straight white paper "
         "border surround a face that lies flat on a sheet."),
        (AttackType.BONAFIDE, "The face in the image is real. Pores and uneven skin tone are visible, and nose and "
         "cheeks throw soft natural shadows."),
        (AttackType.REPLAY, "The face in the image is a Replay attack. A fine pixel grid crosses the skin and a dark "
         "device frame cuts the scene."),
    ),
    Task.REASONING: (
        (AttackType.REPLAY, "The face glows evenly instead of being lit by the room. It is flat, without relief "
         "between nose and cheeks. A fine pixel grid lies over the skin and a dark bezel ends the picture. "
         "Analyzing these attributes, we can conclude that the face in the image is a spoof (Replay)."),
        (AttackType.BONAFIDE, "Light falls off smoothly and agrees with the background. The nose stands clear of "
         "the cheeks and the skin shows pores and fine hair. No border crosses the face. "
         "Analyzing these attributes, we can conclude that the face in the image is real."),
        (AttackType.PAPER_MASK, "The light lies dull on creased paper. The sheet bends in one direction only, holes "
         "are cut for the eyes, and a cut edge follows the jaw. "
         "Analyzing these attributes, we can conclude that the face in the image is a spoof (Paper mask)."),
    ),
    Task.LOCALIZATION: (
        (AttackType.PRINT, "a photo printed on a paper sheet"),
        (AttackType.GLASSES, "paper glasses with printed eyes"),
    ),
    Task.COT: (
        (AttackType.PRINT, ChainOfThought(
            caption="A hand holds a sheet of paper that shows a man's face in front of a kitchen shelf.",
            facial_description="A man with short dark hair and a trimmed beard looks straight ahead; the left side of "
            "his face bends with the sheet.",
            facial_attributes="The lighting on the face is even and does not follow the lamp behind it. The shape is "
            "flat, without depth between nose and cheeks. The texture is dull ink with fine dots. White edges cut "
            "off the hair and the shoulders.",
            reasoning="Skin has no dots of ink, and a head in this room would be lit from the side as the shelf is. A "
            "face that bends as one surface and ends at straight white edges lies on paper.",
            spoofing_description="A printed photo on a slightly curled sheet is held before the camera.",
            conclusion="The face in the image is a spoof (Print).",
        ).format()),
        (AttackType.BONAFIDE, ChainOfThought(
            caption="A woman sits in an office in front of a window with half-closed blinds.",
            facial_description="She has curly hair tied back, freckles on both cheeks and a calm look to the camera.",
            facial_attributes="The lighting comes from the window and falls off smoothly across the face. The shape "
            "is rounded, with soft shadows that give depth beside the nose. The texture shows pores and fine hair. "
            "The edges of the hair blend into the background.",
            reasoning="Face and room share one direction of light, the skin changes in tone from forehead to chin, "
            "and nothing borders or covers the face.",
            spoofing_description="No trace of any medium can be seen.",
            conclusion="The face in the image is real.",
        ).format()),
    ),
}  # fmt: skip
_LENGTHS = {Task.DESCRIBE: 160, Task.FINE: 160, Task.REASONING: 320, Task.LOCALIZATION: 40, Task.COT: 640}


def generation_request(sample: Sample, task: Task, question: str, image: bytes, few_shot: int = 2) -> Request:
    """What a model is asked for one training answer.

    Args:
        sample (`Sample`): the labelled image; its label goes into the request, except for descriptions.
        task (`Task`): the task; not "coarse", whose answer is one fixed sentence.
        question (`str`): the record's question, for the model to answer in its spirit.
        image (`bytes`): the encoded image.
        few_shot (`int`, *optional*, defaults to 2): worked examples, as many as there are.

    Returns:
        `Request`: the request.

    Raises:
        ValueError: for the coarse task.
    """
    if task is Task.COARSE:
        raise ValueError("a coarse answer is one fixed sentence of the grammar: there is nothing to generate")
    if task is Task.DESCRIBE:
        return Request(CAPTION_SYSTEM, question, image, max_tokens=_LENGTHS[task])
    examples = tuple(
        (_instruction(kind, task, question), answer) for kind, answer in _EXAMPLES.get(task, ())[: max(0, few_shot)]
    )
    return Request(SYSTEM, _instruction(sample.attack_type, task, question), image, examples, _LENGTHS[task])


def correction_request(first: Request, wrong: str, kind: AttackType) -> Request:
    """The second pass of a chain of thought whose conclusion was wrong: show it, and ask once more.

    Args:
        first (`Request`): what was asked.
        wrong (`str`): what came.
        kind (`AttackType`): the truth.
    """
    question = (
        f"{first.question}\n\nAn earlier attempt was wrong:\n{wrong}\n\nIts conclusion or its form does not fit. "
        f"Look again for the signs of {_named(kind)} and write all six parts anew, ending in the given conclusion."
    )
    return Request(first.system, question, first.image, first.examples, first.max_tokens)


def _instruction(kind: AttackType, task: Task, question: str) -> str:
    verdict = "real" if kind.is_live else f"a {kind.value} attack"
    conclusion = "the face in the image is " + ("real." if kind.is_live else f"a spoof ({kind.value}).")
    if task is Task.COT:
        ending = _COT.format(sentence="T" + conclusion[1:])
    else:
        ending = _ENDINGS[task].format(verdict=f"The face in the image is {verdict}.", conclusion=conclusion)
    return f"{question}\n\nKnown truth, not to be mentioned: {_named(kind)}: {HINTS[kind]}.\n{ending}"


def _named(kind: AttackType) -> str:
    return "a bona fide face" if kind.is_live else f"a {kind.value} attack"
