"""The keyword filter knows negation, other types and contradictions, and lets the template's own answers through."""

import numpy as np
import pytest
from PIL import Image

from faceshield_hf.data.filters.keywords import claims, keyword_fault, mentioned_types, own_words
from faceshield_hf.data.filters.slips import slip
from faceshield_hf.data.instruct.phrases import CLAUSES, REGIONS
from faceshield_hf.data.instruct.template import TemplateAssistant
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import AttackType, Box, Task


LIVE_END = " Analyzing these attributes, we can conclude that the face in the image is real."


def print_end(text):
    return text + " Analyzing these attributes, we can conclude that the face in the image is a spoof (Print)."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This is a real face.", {"real"}),
        ("This is not a real face.", {"spoof"}),
        ("The face in the image is genuine.", {"real"}),
        ("It is not live.", {"spoof"}),
        ("It isn't a live person.", {"spoof"}),
        ("This is a spoof.", {"spoof"}),
        ("There are no signs of a presentation attack.", {"real"}),
        ("No evidence of spoofing is visible.", {"real"}),
        ("A live person is in front of the camera.", {"real"}),
        ("The relief is real but repainted.", set()),
        ("The rest of the face has real depth.", set()),
        ("The mask stands off the real face.", set()),
        ("A real face would show pores.", set()),
        ("Unlike a real person, it has no pores.", set()),
        ("This is a fake rather than a real face.", {"spoof"}),
        ("It looks real. However, it is a spoof.", {"spoof"}),
        ("It is a mannequin instead of a real person.", {"spoof"}),
        ("The skin is natural.", set()),
        ("This is a real face, not an attack.", {"real"}),
    ],
)
def test_what_a_text_claims_about_the_face(text, expected):
    assert claims(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A screen bezel surrounds the face.", {AttackType.REPLAY}),
        ("No screen bezel surrounds the face.", set()),
        ("There is no moire, halftone or screen border.", set()),
        ("A screen bezel is not visible.", set()),
        ("The screen is absent.", set()),
        ("It lacks a silicone mask's seams.", set()),
        ("There is no screen; a paper mask covers the face.", {AttackType.PAPER_MASK}),
        ("There is no screen, but a tattoo is visible.", {AttackType.TATTOO}),
        ("The person wears glasses and daily make-up.", set()),
        ("A mannequin head with a painted face.", {AttackType.FAKEHEAD}),
    ],
)
def test_only_affirmed_types_are_mentioned(text, expected):
    assert mentioned_types(text) == expected


@pytest.mark.parametrize(
    ("text", "kind", "task", "fault"),
    [
        ("Paper edges show.", AttackType.PRINT, Task.REASONING, ""),
        ("A screen bezel and pixel grid show.", AttackType.PRINT, Task.REASONING, "names another type: Replay"),
        ("It is a real face on paper.", AttackType.PRINT, Task.REASONING, "contradicts the verdict"),
        ("The light is odd.", AttackType.PRINT, Task.REASONING, "says nothing of its type"),
        ("No paper shows.", AttackType.PRINT, Task.REASONING, "says nothing of its type"),
    ],
)
def test_faults_of_an_attacks_reasoning(text, kind, task, fault):
    assert keyword_fault(print_end(text), kind, task) == fault


def test_faults_of_a_live_faces_reasoning():
    assert keyword_fault("The skin shows pores." + LIVE_END, AttackType.BONAFIDE, Task.REASONING) == ""
    assert keyword_fault("It is a spoof." + LIVE_END, AttackType.BONAFIDE, Task.REASONING) == "contradicts the verdict"
    assert keyword_fault("Paper edges.", AttackType.BONAFIDE, Task.REASONING) == "cannot be read"
    assert keyword_fault(print_end("Skin."), AttackType.BONAFIDE, Task.REASONING) == "contradicts the verdict"


def test_another_type_in_the_grammars_sentence_contradicts():
    answer = "The face in the image is a Replay attack. It shows paper."
    assert keyword_fault(answer, AttackType.PRINT, Task.FINE) == "contradicts the verdict"


def test_a_description_may_name_things_but_no_verdict():
    assert keyword_fault("A person holds a tablet with a face.", AttackType.REPLAY, Task.DESCRIBE) == ""
    assert keyword_fault("This is a spoof of a face.", AttackType.REPLAY, Task.DESCRIBE) == "tells the verdict"


def test_captions_are_kept_by_their_types_words():
    assert own_words("A face on a sheet of paper.", AttackType.PRINT)
    assert not own_words("A smiling woman.", AttackType.PRINT)
    assert not own_words("A woman without a mask.", AttackType.RIGID_MASK)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Template answers of every type: (type, task, answer)."""
    path = tmp_path_factory.mktemp("p") / "face.png"
    Image.new("RGB", (64, 48), (200, 100, 50)).save(path)
    made = []
    for kind in AttackType:
        boxes = () if kind.is_live else (Box(0.1, 0.2, 0.6, 0.7, "there"),)
        sample = Sample(path, kind, "s", boxes)
        for task in (Task.DESCRIBE, Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION, Task.COT):
            for seed in range(20):
                rng = np.random.default_rng(seed)
                made.append((kind, task, TemplateAssistant().answer(sample, task, rng)))
        made += [(kind, Task.REASONING, text) for text in every_clause(kind)]
    return made


def every_clause(kind):
    """Reasoning texts that hold each clause of a type, those that need a trace included."""
    live = kind is AttackType.BONAFIDE
    end = "is real." if live else f"is a spoof ({kind.value})."
    for aspect, clauses in CLAUSES[kind].items():
        for clause in clauses:
            said = clause if isinstance(clause, str) else clause.words
            reasons = f"{aspect}: {said}. " + ("" if live else f"What tells is {REGIONS[kind]}. ")
            yield f"{reasons}Analyzing these attributes, we can conclude that the face in the image {end}"


def test_the_templates_own_answers_pass(answers):
    faults = [(kind, keyword_fault(text, kind, task) or slip(text), text) for kind, task, text in answers]
    assert [fault for fault in faults if fault[1]] == []


def test_an_answer_of_another_type_never_passes(answers):
    for kind, task, text in answers:
        if task in (Task.FINE, Task.REASONING, Task.COT):
            wrong = [other for other in AttackType if other is not kind and not keyword_fault(text, other, task)]
            assert wrong == [], text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("As stated in the hint, it is a print.", "speaks of what it was told"),
        ("The ground truth says spoof.", "speaks of what it was told"),
        ("It is labeled as a replay.", "speaks of what it was told"),
        ("I'm sorry, I can't help with faces.", "speaks of itself"),
        ("As an AI, I see paper.", "speaks of itself"),
        ("Это бумажная маска.", "not English"),
        ("A white border surrounds the sheet.", ""),
        ("The café's light is dim.", ""),
        ("A tag on the shirt carries letters.", ""),
    ],
)
def test_slips_of_the_tongue(text, fault):
    assert slip(text) == fault
