import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceshield_hf.tasks_faceshield import (
    QUESTIONS,
    REAL_ANSWER,
    SPOOF_ANSWER,
    AttackType,
    Box,
    ChainOfThought,
    Task,
    Verdict,
    format_answer,
    parse_answer,
)


PRINT_BOX = Box.from_grid(120, 80, 860, 990)
CONCLUSION = "Analyzing these attributes, we can conclude that the face in the image is "

# Pieces of the grammar itself, which an explanation may quote: they must not lead the reader astray.
PIECES = [
    "[1, 2, 3, 4]", ", and [1, 2, 3, 4]", "[", "]", "-1.5", "(Print)", "Print attack", ".", ",", ":", ";", "!", "\n",
    " ", "\u00a0", "<", "&", "&lt;", "&amp;", "</reasoning>", "<conclusion>", "< Reasoning >", "&lt;/reasoning>",
    "&amp;lt;caption>", "is", "not", "real", "spoof", "unclear", "The spoof area is ", "There is no spoof area",
    REAL_ANSWER, SPOOF_ANSWER, CONCLUSION, "we can conclude that ", "The face in the image is a Replay attack.",
]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=8).map("".join)


@st.composite
def boxes(draw):
    x = sorted(draw(st.sets(st.integers(0, 999), min_size=2, max_size=2)))
    y = sorted(draw(st.sets(st.integers(0, 999), min_size=2, max_size=2)))
    return Box.from_grid(x[0], y[0], x[1], y[1])


@st.composite
def verdicts(draw):
    """Verdicts of every type, with the type unknown too, and any number of boxes."""
    kind = draw(st.sampled_from([None, *AttackType]))
    label = "real" if kind is AttackType.BONAFIDE else "spoof"
    where = draw(st.lists(boxes(), max_size=4)) if label == "spoof" else []
    return Verdict(label=label, attack_type=kind, boxes=tuple(where), explanation=draw(texts))


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(Task), verdicts())
def test_reading_a_written_answer_gives_the_verdict_back(task, verdict):
    assert parse_answer(format_answer(verdict, task), task) == verdict.only(task)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("kind", list(AttackType))
def test_every_task_and_type_comes_back(task, kind):
    live = kind.is_live
    verdict = Verdict(
        label="real" if live else "spoof",
        attack_type=kind,
        boxes=() if live else (Box.from_grid(0, 0, 1, 999), Box.from_grid(998, 0, 999, 1)),
        explanation="The skin\nhas [1, 2, 3, 4] dots; it is not real. </reasoning>",
    )
    assert parse_answer(format_answer(verdict, task), task) == verdict.only(task)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(Task), texts)
def test_any_text_is_read_without_an_error(task, text):
    verdict = parse_answer(text, task)
    assert verdict.label in (None, "real", "spoof")
    if verdict.label is None:
        assert verdict == Verdict(explanation=text.strip() if task is Task.DESCRIBE else "")


# ---- the written form ----


@pytest.mark.parametrize(
    ("task", "verdict", "answer"),
    [
        ("describe", Verdict(explanation=" A man in a grey room.\n"), "A man in a grey room."),
        ("coarse", Verdict(label="real", explanation="left out"), "The face in the image is real."),
        ("coarse", Verdict(label="spoof"), "The face in the image is a spoof."),
        ("fine", Verdict(label="spoof", attack_type=AttackType.PRINT), "The face in the image is a Print attack."),
        (
            "fine",
            Verdict(label="spoof", attack_type=AttackType.PARTIAL_EYE, explanation="Paper covers the eyes."),
            "The face in the image is a Partial Eye attack. Paper covers the eyes.",
        ),
        ("fine", Verdict(label="spoof"), "The face in the image is a spoof."),
        ("fine", Verdict(label="real", explanation="Pores."), "The face in the image is real. Pores."),
        (
            "reasoning",
            Verdict(label="spoof", attack_type=AttackType.PRINT, explanation="The light is flat."),
            "The light is flat. " + CONCLUSION + "a spoof (Print).",
        ),
        ("reasoning", Verdict(label="real"), CONCLUSION + "real."),
        ("reasoning", Verdict(label="spoof"), CONCLUSION + "a spoof."),
        ("localization", Verdict(label="spoof", boxes=(PRINT_BOX,)), "The spoof area is [120, 80, 860, 990]."),
        (
            "localization",
            Verdict(label="spoof", boxes=(PRINT_BOX, Box(0, 0, 1, 1)), explanation="a printed photo."),
            "The spoof area is [120, 80, 860, 990], [0, 0, 999, 999], a printed photo.",
        ),
        (
            "localization",
            Verdict(label="spoof", boxes=(PRINT_BOX,), explanation="[1, 2, 3, 4] is no box"),
            "The spoof area is [120, 80, 860, 990]: [1, 2, 3, 4] is no box",
        ),
        ("localization", Verdict(label="spoof"), "The spoof area is unclear."),
        ("localization", Verdict(label="spoof", explanation="a tattoo"), "The spoof area is unclear, a tattoo"),
        ("localization", Verdict(label="real"), "There is no spoof area: the face in the image is real."),
        (
            "cot",
            Verdict(label="spoof", attack_type=AttackType.REPLAY, explanation="Moire."),
            "<caption></caption>\n<facial_description></facial_description>\n<facial_attributes></facial_attributes>\n"
            "<reasoning>Moire.</reasoning>\n<spoofing_description></spoofing_description>\n"
            "<conclusion>The face in the image is a spoof (Replay).</conclusion>",
        ),
    ],
)
def test_answers_are_written_as_the_grammar_says(task, verdict, answer):
    assert format_answer(verdict, task) == answer


@pytest.mark.parametrize("task", [task for task in Task if task is not Task.DESCRIBE])
@pytest.mark.parametrize("label", [None, "unsure", "fake"])
def test_an_undecided_verdict_cannot_be_written(task, label):
    with pytest.raises(ValueError, match=f"label {label!r}.*'{task}' needs 'real' or 'spoof'"):
        format_answer(Verdict(label=label), task)


@pytest.mark.parametrize("task", ["fine", "reasoning", "cot"])
def test_a_type_that_contradicts_the_label_cannot_be_written(task):
    with pytest.raises(ValueError, match="label 'real' with the attack type 'Print'"):
        format_answer(Verdict(label="real", attack_type=AttackType.PRINT), task)
    with pytest.raises(ValueError, match="label 'spoof' with the attack type 'Bonafide'"):
        format_answer(Verdict(label="spoof", attack_type=AttackType.BONAFIDE), task)


def test_a_real_face_with_boxes_cannot_be_written():
    with pytest.raises(ValueError, match="got 1 boxes for a real face"):
        format_answer(Verdict(label="real", boxes=(PRINT_BOX,)), "localization")


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="segment"):
        format_answer(Verdict(label="real"), "segment")
    with pytest.raises(ValueError, match="segment"):
        parse_answer("real", "segment")


# ---- tolerant reading ----


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the face in the image is REAL", "real"),
        ("  The  face in the\timage is a spoof !", "spoof"),
        ("This face is real.", "real"),
        ("The face in the photo is a spoof (Print).", "spoof"),
        ("The face in the image is not real.", "spoof"),
        ("not a real face", "spoof"),
        ("It's not a spoof.", "real"),
        ("It is a genuine face.", "real"),
        ("a presentation attack", "spoof"),
        ("The face in the image is real. The face in the image is a spoof.", None),
        ("The face in the image is real or a spoof.", None),
        ("Is the face in the image real or spoof?", None),
        ("I can't tell whether it is real.", None),
        ("Yes.", None),
        ("", None),
        ("\x00\ud800", None),
    ],
)
def test_coarse_answers_are_read_tolerantly_but_contradictions_are_not(text, label):
    assert parse_answer(text, "coarse") == Verdict(label=label)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the face in the image is an print attack", Verdict("spoof", attack_type=AttackType.PRINT)),
        ("The face in the image is a PAPER-MASK attack", Verdict("spoof", attack_type=AttackType.PAPER_MASK)),
        (
            "The face in the image is a Replay attack, with a bezel.",
            Verdict("spoof", attack_type=AttackType.REPLAY, explanation="with a bezel."),
        ),
        (
            "The face in the image is a Replay attack\nA bezel shows.",
            Verdict("spoof", attack_type=AttackType.REPLAY, explanation="A bezel shows."),
        ),
        ("Print", Verdict("spoof", attack_type=AttackType.PRINT, explanation="Print")),
        ("Bonafide.", Verdict("real", attack_type=AttackType.BONAFIDE, explanation="Bonafide.")),
        ("a dragon attack", Verdict("spoof", explanation="a dragon attack")),
        ("a print attack or a replay attack", Verdict("spoof", explanation="a print attack or a replay attack")),
        ("It is not a print attack", Verdict()),
        ("A real face. The attack type is print.", Verdict()),
        ("qwertz", Verdict()),
    ],
)
def test_fine_answers_are_read_tolerantly(text, expected):
    assert parse_answer(text, "fine") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Flat. Analysing these attributes we conclude that this face is a spoof (rigid mask)",
            Verdict("spoof", attack_type=AttackType.RIGID_MASK, explanation="Flat."),
        ),
        (
            "Flat. We can conclude that the face in the image is real. No: " + CONCLUSION + "not real.",
            Verdict("spoof", explanation="Flat. We can conclude that the face in the image is real. No:"),
        ),
        (
            "Pores show. It is real.",
            Verdict("real", attack_type=AttackType.BONAFIDE, explanation="Pores show. It is real."),
        ),
        ("Flat. " + CONCLUSION + "blue.", Verdict()),
        ("Flat. " + CONCLUSION, Verdict()),
        ("Flat. Analyzing these attr", Verdict()),
    ],
)
def test_the_last_conclusion_of_a_reasoning_answer_counts(text, expected):
    assert parse_answer(text, "reasoning") == expected


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ("The spoof area is [10, 20, 30, 40].", [(10, 20, 30, 40)]),
        ("the spoof areas are: [10,20,30,40] and [1 , 2 , 3 , 4]", [(10, 20, 30, 40), (1, 2, 3, 4)]),
        ("The spoof area is [30, 40, 10, 20]", [(10, 20, 30, 40)]),
        ("The spoof area is [-5, 20, 1200, 99999]", [(0, 20, 999, 999)]),
        ("The spoof area is [10.4, 20.6, 30, 40]", [(10, 21, 30, 40)]),
        ("The spoof area is [0.1, 0.25, 0.5, 1.0]", [(100, 250, 500, 999)]),
        ("The spoof area is [10, 10, 10, 40], [1, 2, 3, 4]", [(1, 2, 3, 4)]),
        ("The spoof area is [1200, 10, 1300, 40]", []),
        ('{"boxes": [[1, 2, 3, 4], [5, 6, 7, 8]]}', [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("The spoof area is [1, 2, 3]", None),
        ("The spoof area is", None),
        ("There is no spoof area in [1, 2, 3, 4]", None),
        ("[9" * 40, None),
    ],
)
def test_boxes_are_repaired_or_dropped(text, corners):
    verdict = parse_answer(text, "localization")
    expected = () if corners is None else tuple(Box.from_grid(*corner) for corner in corners)
    assert verdict.boxes == expected
    if corners is not None:
        assert verdict.label == "spoof"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("there is no spoof area", Verdict("real")),
        ("There is no spoof area. Pores show.", Verdict("real", explanation="Pores show.")),
        ("There is no spoof area: the face in the image is a spoof", Verdict()),
        ("The face is real", Verdict("real", explanation="The face is real")),
        (
            "The spoof area is [1, 2, 3, 4]. A mask.",
            Verdict("spoof", boxes=(Box.from_grid(1, 2, 3, 4),), explanation="A mask."),
        ),
        ("nothing", Verdict()),
    ],
)
def test_localization_answers_are_read_tolerantly(text, expected):
    assert parse_answer(text, "localization") == expected


# ---- chain of thought ----


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=6, max_size=6))
def test_all_six_parts_come_back_whatever_tags_they_hold(parts):
    assert ChainOfThought.parse(ChainOfThought(*parts).format()) == ChainOfThought(*(part.strip() for part in parts))


def test_parts_are_read_from_untidy_tags():
    text = "<Caption>a man< / caption> x <Facial Description>round<reasoning>flat</reasoning><conclusion>It is fake"
    parts = ChainOfThought(caption="a man", facial_description="round", reasoning="flat", conclusion="It is fake")
    assert ChainOfThought.parse(text) == parts
    assert parse_answer(text, "cot") == Verdict("spoof", explanation="flat")


def test_the_conclusion_of_a_chain_of_thought_decides():
    text = ChainOfThought(reasoning="It looks real.", conclusion="The face in the image is a spoof (Makeup).").format()
    assert parse_answer(text, "cot") == Verdict("spoof", attack_type=AttackType.MAKEUP, explanation="It looks real.")
    assert parse_answer(text.replace("a spoof (Makeup)", "hidden"), "cot") == Verdict()
    assert parse_answer("The face is fake.", "cot") == Verdict("spoof", explanation="The face is fake.")


def test_the_first_of_a_repeated_part_counts():
    assert ChainOfThought.parse("<caption>a</caption><caption>b</caption>").caption == "a"


# ---- questions and speed ----


def test_the_canonical_questions_come_first():
    assert {task.value: QUESTIONS[task][0] for task in Task} == {
        "describe": "Describe the face in the image.",
        "coarse": "Is the face in the image real or spoof?",
        "fine": "What is the attack type of the face in the image?",
        "reasoning": "Why is the face in the image real or spoof?",
        "localization": "Where is the spoof area of the face in the image?",
        "cot": "Analyze the face in the image step by step.",
    }


def test_every_task_has_at_least_eight_wordings_and_no_two_tasks_share_one():
    assert all(len(QUESTIONS[task]) >= 8 for task in Task)
    wordings = [question for task in Task for question in QUESTIONS[task]]
    assert len(set(wordings)) == len(wordings)


GARBAGE = [
    " ", "[1, ", "not real ", "&amp;", "<caption", "type is ", "the face in the image is ", "[1,2,3,4]",
    "analyzing these attributes, ", "we can conclude that ",
]  # fmt: skip


@pytest.mark.parametrize("task", list(Task))
def test_a_megabyte_of_garbage_is_read_in_linear_time(task):
    for piece in GARBAGE:
        start = time.perf_counter()
        parse_answer(piece * (1_000_000 // len(piece)), task)
        assert time.perf_counter() - start < 10, piece  # quadratic time would be hours
