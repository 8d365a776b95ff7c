"""The words on the page, in one place; no logic but the choice between them.

Example:
    >>> TASKS["all"].tasks
    ('coarse', 'fine', 'reasoning', 'localization')
"""

from dataclasses import dataclass


TITLE = "FaceShield"
SUBTITLE = "Is this face live or a presentation attack? How sure, which attack, where, and why."
NOTICE = "Demo weights, trained on simulated attacks; not for access control."
PRIVACY = "Images are not stored: what you upload is deleted within the hour, and no run is recorded."


@dataclass(frozen=True)
class TaskChoice:
    """One line of the task selector.

    Attributes:
        name (`str`): what the visitor reads.
        help (`str`): one line on what it gives.
        tasks (`tuple[str, ...]`): what the detector is asked.
    """

    name: str
    help: str
    tasks: tuple[str, ...]


TASKS = {
    "all": TaskChoice(
        "Everything",
        "The decision with its score, which attack it is, why, and where.",
        ("coarse", "fine", "reasoning", "localization"),
    ),
    "coarse": TaskChoice("Real or spoof", "Only the decision and its score: the quickest.", ("coarse",)),
    "fine": TaskChoice("Which attack", "Which of eleven kinds of attack, or a bona fide face.", ("fine",)),
    "reasoning": TaskChoice("Why", "What lighting, shape, depth, texture and edges show.", ("reasoning",)),
    "localization": TaskChoice("Where", "The attacked areas, as boxes over the photo.", ("localization",)),
    "cot": TaskChoice("Step by step", "Chain of thought, from a caption to the conclusion.", ("cot",)),
}

EXAMPLES = "Or try one: a portrait in the public domain, and attacks simulated on it."
CHANNELS = ("LBP", "Gray", "HOG")
THRESHOLD_HELP = "From this p(spoof) on, a face is called a spoof. Moving it decides again at once."
WAITING = "Choose a photo or an example, then press Analyze."
NO_IMAGE = "There is no photo yet: upload one, take one with the camera, paste one, or choose an example."
NO_QUESTION = "There is no question yet: type one about the face."
CHAT_EXAMPLES = (
    "Is the face in the image real or spoof?",
    "What is the attack type of the face in the image?",
    "Where is the spoof area of the face in the image?",
)
NO_WORDS = "This task gives no explanation: choose Everything or Why."
LABEL_NAMES = {"real": "Real", "spoof": "Spoof", "unsure": "Unsure", None: "No decision"}
