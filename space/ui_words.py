"""The words on the page, in English; another language is another `Words` with every field filled (`ui_words_fr.py`).

No logic but how a share is written. The model itself answers in the language that it was trained in.

Example:
    >>> ENGLISH.tasks["all"].tasks
    ('coarse', 'fine', 'reasoning', 'localization')
    >>> ENGLISH.percent(0.995)
    '99.5%'
"""

from dataclasses import dataclass

from faceshield_hf.quality import ADVICE
from faceshield_hf.tasks_faceshield import AttackType


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


TASK_LISTS: dict[str, tuple[str, ...]] = {
    "all": ("coarse", "fine", "reasoning", "localization"),
    "coarse": ("coarse",),
    "fine": ("fine",),
    "reasoning": ("reasoning",),
    "localization": ("localization",),
    "cot": ("cot",),
}
"""What the detector is asked for each choice of the selector, in every language."""


def task_choices(**names_and_helps: tuple[str, str]) -> dict[str, TaskChoice]:
    """Build the selector's lines from `key=(name, help)`, one for each of `TASK_LISTS`."""
    return {key: TaskChoice(*names_and_helps[key], tasks) for key, tasks in TASK_LISTS.items()}


@dataclass(frozen=True)
class Words:
    """Every word of the page in one language; fields in braces are filled in with `str.format`."""

    code: str  # BCP 47
    own_name: str
    decimal_comma: bool
    # The frame
    subtitle: str
    notice: str
    privacy: str
    languages: str
    tab_photo: str
    tab_batch: str
    tab_simulate: str
    # The photo
    photo: str
    photo_alt: str
    photo_hint: str
    examples: str
    example_photo: str
    question: str
    tasks: dict[str, TaskChoice]
    analyze: str
    checkpoint: str
    checkpoint_named: str
    checkpoint_help: str
    checkpoint_fixed: str
    # The verdict
    waiting: str
    judging: str
    labels: dict[str | None, str]
    types: dict[str, str]
    score: str
    threshold: str
    threshold_help: str
    margin: str
    margin_help: str
    scale: str
    unsure_zone: str
    advice_title: str
    advice: dict[str, str]
    # Where, why, what the model saw
    where: str
    where_alt: str
    areas: str
    area: str
    unnamed_area: str
    no_areas: str
    areas_not_asked: str
    why: str
    no_words: str
    model_language: str
    all_answers: str
    chain: dict[str, str]
    cut_short: str
    views_tab: str
    views: str
    views_help: str
    views_slider: str
    view_rgb: str
    view_sav: str
    view_lbp: str
    view_gray: str
    view_hog: str
    heat: str
    heat_help: str
    heat_question: str
    heat_rgb: str
    heat_sav: str
    heat_low: str
    heat_high: str
    heat_none: str
    after_run: str
    # The conversation
    chat: str
    chat_label: str
    chat_empty: str
    chat_placeholder: str
    chat_examples: tuple[str, ...]
    send: str
    stop: str
    chat_area: str
    # For programs
    json: str
    json_label: str
    code_label: str
    # Many photos
    batch_files: str
    batch_help: str
    batch_run: str
    batch_waiting: str
    batch_progress: str
    batch_done: str
    batch_columns: tuple[str, ...]
    batch_table: str
    batch_csv: str
    batch_thumb: str
    batch_unreadable: str
    # A simulated attack
    simulate_kind: str
    simulate_domain: str
    simulate_domain_help: str
    simulate_domains: tuple[str, ...]
    simulate_seed: str
    simulate_seed_help: str
    simulate_run: str
    simulate_waiting: str
    simulate_working: str
    simulate_before: str
    simulate_after: str
    simulate_truth: str
    simulate_said: str
    simulate_cues: str
    simulate_change: str
    simulate_alt: str
    simulate_seen_from: str
    # What a visitor did wrong
    no_image: str
    image_gone: str
    bad_image: str
    no_question: str
    no_files: str
    too_many_files: str
    unknown_task: str
    unknown_type: str
    unknown_domain: str
    bad_threshold: str
    bad_seed: str
    unknown_checkpoint: str
    no_face: str

    def percent(self, share: float) -> str:
        """Write a share of 1 as a percentage with one decimal, as this language does."""
        return f"{100 * share:.1f} %".replace(".", ",") if self.decimal_comma else f"{share:.1%}"

    def type_name(self, kind: AttackType | str) -> str:
        """Name an attack type."""
        return self.types[str(kind)]


TITLE = "FaceShield"

ENGLISH = Words(
    code="en",
    own_name="English",
    decimal_comma=False,
    subtitle="Is this face live or a presentation attack? How sure, which attack, where, and why.",
    notice="Demo weights, trained on simulated attacks; not for access control.",
    privacy=(
        "Nothing is stored: a photo is deleted when you replace it or leave the page, at the latest within the hour. "
        "No run is recorded."
    ),
    languages="Language",
    tab_photo="One photo",
    tab_batch="Many photos",
    tab_simulate="Simulate",
    photo="Photo",
    photo_alt="The photo to judge",
    photo_hint="# Drop a photo of a face here\nor click to choose one",
    examples="Or try one: a portrait (public domain), and attacks simulated on it.",
    example_photo="Portrait",
    question="Question",
    tasks=task_choices(
        all=("Everything", "The decision with its score, which attack it is, why, and where."),
        coarse=("Real or spoof", "Only the decision and its score: the quickest."),
        fine=("Which attack", "Which of eleven kinds of attack, or a bona fide face."),
        reasoning=("Why", "What lighting, shape, depth, texture and edges show."),
        localization=("Where", "The attacked areas, as boxes over the photo."),
        cot=("Step by step", "Chain of thought, from a caption to the conclusion."),
    ),
    analyze="Analyze",
    checkpoint="Checkpoint",
    checkpoint_named="Checkpoint: {name}",
    checkpoint_help="The embedded one, a Hub id (user/model), or a folder on this machine.",
    checkpoint_fixed="This server offers these and no others.",
    waiting="Choose a photo or an example, then press Analyze.",
    judging="Judging ...",
    labels={"real": "Real", "spoof": "Spoof", "unsure": "Unsure", None: "No decision"},
    types={kind.value: kind.value for kind in AttackType} | {"Bonafide": "Bona fide", "Makeup": "Make-up"},
    score="p(spoof)",
    threshold="Threshold",
    threshold_help="From this p(spoof) on it is a spoof. Moving it decides again at once.",
    margin="Unsure within",
    margin_help="So close to the threshold, no decision.",
    scale="p(spoof) {score}, threshold {threshold}",
    unsure_zone=", unsure from {low} to {high}",
    advice_title="About the photo",
    advice=dict(ADVICE),
    where="Where",
    where_alt="The photo that was judged",
    areas="Areas shown",
    area="{name}: {x1} to {x2} of the width, {y1} to {y2} of the height",
    unnamed_area="Spoof area",
    no_areas="No attacked area: none was named, or the face counts as real.",
    areas_not_asked="This question does not ask for areas: choose Everything or Where.",
    why="Why",
    no_words="This question gives no explanation: choose Everything, Why or Step by step.",
    model_language="",
    all_answers="Every answer, as the model gave it",
    chain={
        "caption": "Caption",
        "facial_description": "The face",
        "facial_attributes": "Its attributes",
        "reasoning": "Reasoning",
        "spoofing_description": "Traces of an attack",
        "conclusion": "Conclusion",
    },
    cut_short="Stopped after {seconds} seconds.",
    views_tab="Views",
    views="What the model saw",
    views_help=(
        "Beside the colours the model reads a spoof-aware view (SAV): local texture (LBP), brightness (gray) and "
        "edges (HOG) as one picture."
    ),
    views_slider="Photo or spoof-aware view",
    view_rgb="The photo",
    view_sav="The spoof-aware view",
    view_lbp="Texture (LBP)",
    view_gray="Brightness (gray)",
    view_hog="Edges (HOG)",
    heat="Where it looked",
    heat_help="How much each part of the picture matters to a question; bright is much.",
    heat_question="Question for the map",
    heat_rgb="In the colours",
    heat_sav="In the spoof-aware view",
    heat_low="little",
    heat_high="much",
    heat_none="This model gives no map: {reason}",
    after_run="It appears after Analyze.",
    chat="Chat",
    chat_label="About this face",
    chat_empty="Ask anything about the face; answers with areas show them on the photo.",
    chat_placeholder="Ask about this face",
    chat_examples=(
        "Is the face in the image real or spoof?",
        "What is the attack type of the face in the image?",
        "Where is the spoof area of the face in the image?",
    ),
    send="Send",
    stop="Stop",
    chat_area="The areas that the answer names",
    json="JSON",
    json_label="The verdict, for programs",
    code_label="The same in Python",
    batch_files="Photos",
    batch_help="Up to {count} photos, one face each.",
    batch_run="Analyze all",
    batch_waiting="Choose photos, then press Analyze all. The likeliest attacks come first.",
    batch_progress="{done} of {total} judged",
    batch_done="{total} photos: {spoof} spoof, {unsure} unsure, {real} real, {failed} unreadable",
    batch_columns=("Photo", "File", "Verdict", "p(spoof)", "Attack", "Remarks"),
    batch_table="Verdicts, the highest p(spoof) first",
    batch_csv="Save as CSV",
    batch_thumb="{name}, small",
    batch_unreadable="Unreadable",
    simulate_kind="Attack",
    simulate_domain="Conditions",
    simulate_domain_help="Camera, light and material. The demo weights never saw C.",
    simulate_domains=("A", "B", "C"),
    simulate_seed="Seed",
    simulate_seed_help="The same number gives the same picture.",
    simulate_run="Simulate and judge",
    simulate_waiting="Choose a photo and an attack: you see the attack and how the verdict changes.",
    simulate_working="Simulating ...",
    simulate_before="Your photo",
    simulate_after="The simulated attack: {kind}",
    simulate_truth="True area",
    simulate_said="Named by the model",
    simulate_cues="What gives it away",
    simulate_change="p(spoof) went from {before} to {after}.",
    simulate_alt="{kind}, simulated on the photo",
    simulate_seen_from="Areas: solid as simulated, dashed as the model names them.",
    no_image="There is no photo yet: upload one, take one with the camera, paste one, or choose an example.",
    image_gone="The photo is not here any more, since nothing is kept: choose it again.",
    bad_image="{reason}",
    no_question="There is no question yet: type one about the face.",
    no_files="There are no photos yet: choose some.",
    too_many_files="Got {count} photos: choose at most {limit} at once.",
    unknown_task="Got the task {got!r}: choose one of {known}.",
    unknown_type="Got the attack {got!r}: choose one of {known}.",
    unknown_domain="Got the conditions {got!r}: choose one of {known}.",
    bad_threshold="Got the threshold {got}: expected a number from 0 to 1.",
    bad_seed="Got the seed {got}: expected a whole number from 0 to 4294967295.",
    unknown_checkpoint="This server does not offer {got!r}: choose one of {known}.",
    no_face="{reason}",
)
