"""A paraphrase says the same: verdict, type, boxes, numbers, negations and named attacks never change."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshield_hf.data.instruct.assistants import Reply
from faceshield_hf.data.instruct.drafts import Draft, Picture
from faceshield_hf.data.instruct.paraphrase import paraphrase, reworded, same_facts
from faceshield_hf.data.instruct.template import TemplateAssistant
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import AttackType, Box, Task, parse_answer


TASKS = (Task.FINE, Task.REASONING, Task.LOCALIZATION)
END = " Analyzing these attributes, we can conclude that the face in the image is a spoof (Print)."


def picture():
    data = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 100, 50)).save(data, "PNG")
    return data.getvalue()


def sample_of(kind):
    boxes = () if kind.is_live else (Box(0.1, 0.2, 0.6, 0.7, "there"),)
    return Sample(Path("a.png"), kind, "s", boxes, content=picture())


def draft_of(kind, task, answer, index=0):
    return Draft(Picture(sample_of(kind), "set/a.png", "demo", "train", b"", 8, 8), task, 0, index, answer, "template")


@pytest.mark.parametrize("kind", list(AttackType))
def test_the_lexicon_never_changes_a_fact(kind):
    changed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for task in TASKS:
            answer = TemplateAssistant().answer(sample_of(kind), task, rng)
            other = reworded(answer, rng)
            changed += other != answer
            assert same_facts(answer, other, task)
            one, two = parse_answer(answer, task), parse_answer(other, task)
            assert (one.label, one.attack_type, one.boxes) == (two.label, two.attack_type, two.boxes)
    assert changed > 10


@pytest.mark.parametrize(
    ("original", "other", "task"),
    [
        ("It is flat." + END, "It is flat." + END.replace("Print", "Replay"), Task.REASONING),
        ("It is flat." + END, "It is flat." + END.replace("a spoof (Print)", "real"), Task.REASONING),
        ("It is flat." + END, "It is flat, as far as one can see.", Task.REASONING),
        ("Two holes are cut." + END, "Three holes are cut." + END, Task.REASONING),
        ("No relief shows." + END, "Relief shows." + END, Task.REASONING),
        ("Paper shows." + END, "Paper shows, not a screen, and no ink." + END, Task.REASONING),
        ("It is flat." + END, "A silicone mask is flat." + END, Task.REASONING),
        ("The spoof area is [1, 2, 30, 40], paper.", "The spoof area is [1, 2, 30, 41], paper.", Task.LOCALIZATION),
        ("The spoof area is [1, 2, 30, 40], paper.", "The spoof area is at the left.", Task.LOCALIZATION),
        ("The face in the image is real. Pores show.", "The face in the image is a spoof.", Task.FINE),
        ("A face at 20 % of the height.", "A face at 30 % of the height.", Task.DESCRIBE),
        ("<caption>a</caption><conclusion>The face in the image is real.</conclusion>",
         "<conclusion>The face in the image is real.</conclusion>", Task.COT),
    ],
)  # fmt: skip
def test_a_changed_fact_is_seen(original, other, task):
    assert same_facts(original, original, task)
    assert not same_facts(original, other, task)


def test_other_words_for_the_same_pass():
    assert same_facts("Paper edges surround it." + END, "Edges of paper enclose it." + END, Task.REASONING)


class Says:
    """An assistant with one reply for everything."""

    name = "model"

    def __init__(self, text):
        self.text = text

    def reply(self, requests):
        return [Reply(self.text, "" if self.text else "timed out") for _ in requests]


@pytest.mark.parametrize(
    ("text", "fault", "count"),
    [
        ("Edges of paper enclose it." + END, "", None),
        ("Edges of paper enclose it.", "paraphrase: changes the verdict", "changed_facts"),
        ("", "paraphrase: no answer", "unanswered"),
    ],
)
def test_a_models_paraphrase_is_taken_only_if_the_facts_stay(text, fault, count):
    original = draft_of(AttackType.PRINT, Task.REASONING, "Paper edges surround it." + END)
    (new,), counts = paraphrase([original], Says(text), 1.0, seed=0)
    assert new.fault.startswith(fault) and bool(new.fault) == bool(fault)
    assert new.paraphrase_of == original.id != new.id
    assert new.generator == "template+model"
    assert original.fault == ""
    assert {name for name, number in counts.items() if number} == {"tried"} | ({count} if count else set())
    assert new.passing == (count == "unanswered")


def test_what_comes_back_unchanged_makes_no_record():
    answer = "Paper edges surround it." + END
    made, counts = paraphrase([draft_of(AttackType.PRINT, Task.REASONING, answer)], Says(answer), 1.0, seed=0)
    assert made == [] and counts["unchanged"] == 1


def test_a_fixed_sentence_and_a_rejected_answer_are_left_alone():
    coarse = draft_of(AttackType.PRINT, Task.COARSE, "The face in the image is a spoof.")
    bad = draft_of(AttackType.PRINT, Task.REASONING, "Paper edges surround it." + END)
    bad.reject("keywords", "any")
    assert paraphrase([coarse, bad], None, 1.0, seed=0)[1]["tried"] == 0


def test_the_share_is_kept_and_the_choice_is_the_drafts_own():
    drafts = [draft_of(AttackType.PRINT, Task.REASONING, "It shows dots." + END, index=i) for i in range(400)]
    made, counts = paraphrase(drafts, None, 0.25, seed=0)
    assert 70 < counts["tried"] < 130
    again, _ = paraphrase(drafts[200:], None, 0.25, seed=0)
    assert {new.id: new.answer for new in again}.items() <= {new.id: new.answer for new in made}.items()
