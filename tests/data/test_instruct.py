"""The offline assistant tells the truth of its sample, in many wordings, and never leaks the label into describe."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshield_hf.data import simulate
from faceshield_hf.data.instruct.build import build_records, write_records
from faceshield_hf.data.instruct.phrases import ASPECTS, CLAUSES, REGIONS, clauses_of
from faceshield_hf.data.instruct.template import PictureFacts, TemplateAssistant, describe, facts_of, on_grid
from faceshield_hf.data.samples import Sample
from faceshield_hf.data.sft import load_sft
from faceshield_hf.tasks_faceshield import AttackType, Box, ChainOfThought, Task, parse_answer


ATTACKS = [kind for kind in AttackType if not kind.is_live]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "face.png"
    Image.new("RGB", (64, 48), (200, 100, 50)).save(path)
    return path


def sample_of(kind, path, **changes):
    boxes = () if kind.is_live else (Box(0.1, 0.2, 0.6, 0.7, "there"),)
    cues = () if kind.is_live else ("a halftone dot pattern", "a white border")
    return Sample(**({"path": path, "attack_type": kind, "subject_id": "s", "boxes": boxes, "cues": cues} | changes))


@pytest.mark.parametrize("kind", list(AttackType))
@pytest.mark.parametrize("task", [Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION, Task.COT])
def test_every_answer_reads_back_to_the_samples_truth(kind, task, picture):
    sample = sample_of(kind, picture)
    for seed in range(5):
        verdict = parse_answer(TemplateAssistant().answer(sample, task, np.random.default_rng(seed)), task)
        assert verdict.label == ("real" if kind.is_live else "spoof")
        if task in (Task.FINE, Task.REASONING, Task.COT):
            assert verdict.attack_type is kind
        if task is Task.LOCALIZATION:
            assert verdict.boxes == on_grid(sample.boxes)


def test_boxes_are_answered_from_left_to_right_in_whatever_order_they_were_marked(picture):
    left, right, under = Box(0.1, 0.5, 0.2, 0.6), Box(0.7, 0.1, 0.8, 0.2), Box(0.1, 0.7, 0.2, 0.8)
    texts = set()
    for boxes in ((left, right, under), (under, right, left), (right, under, left)):
        sample = sample_of(AttackType.TATTOO, picture, boxes=boxes)
        texts.add(TemplateAssistant().answer(sample, Task.LOCALIZATION, np.random.default_rng(0)))
    (text,) = texts
    assert parse_answer(text, Task.LOCALIZATION).boxes == on_grid((left, under, right))
    assert text.index("[100, 500") < text.index("[100, 699") < text.index("[699, 100")


def test_every_attribute_of_every_type_has_at_least_three_clauses_that_need_nothing():
    assert set(CLAUSES) == set(AttackType)
    for kind, clauses in CLAUSES.items():
        assert tuple(clauses) == ASPECTS, kind
        assert all(len(set(clauses_of(kind, aspect, ""))) >= 3 for aspect in ASPECTS), kind


DOTS = {
    r"print dots|dots of ink": "a halftone dot pattern on the skin",
    r"printed lines": "a halftone line pattern on the skin",
    r"bands of the printer": "horizontal printing bands",
    r"dull": "dull, washed-out printed colours",
}
# type -> words of an answer -> the cue, or attribute, without which they would be false.
TRACES = {
    AttackType.PRINT: DOTS
    | {
        r"straight edges|cut border|straight border": "straight paper edges around the face",
        r"white border": "a white paper border",
        r"bends with|bend of": "the curl of a bent sheet",
        r"sheen": "a glossy sheen on flat paper",
        r"gray": "a face printed in black and white",
        r"[Ff]ingers": "fingers holding the sheet",
        r"fills the frame|hardly anything": {"fills_frame": True},
    },
    AttackType.REPLAY: {
        r"screen border|frame borders|device frame|bezel": "a screen bezel around the face",
        r"grid|pixels break": "a visible sub-pixel grid",
        r"waves|moire": "moire patterns over the face",
        r"bands": "dark refresh bands across the picture",
        r"reflections": "a bright reflection on the glass",
        r"stays gray": "lifted, glowing blacks",
        r"too blue": "a bluish screen tint",
        r"straight border": {"fills_frame": False},
    },
    AttackType.PAPER_MASK: DOTS
    | {
        r"the eyes lie|surround the eyes": "holes cut for the eyes",
        r"the mouth lies": "a hole cut for the mouth",
        r"crease": "creases in the paper",
        r"to the ears": "elastic bands towards the ears",
    },
    AttackType.FLEXIBLE_MASK: {
        r"seams|openings": "seams around the eyes and the mouth",
        r"neck": "a mask edge at the neck",
        r"folds|wrinkles": "rubber folds in the skin",
        r"sheen|shines": "a rubbery sheen",
        r"uniform": "one even, rubber-like skin tone",
        r"pores|waxy|wiped": "waxy skin without pores",
    },
    AttackType.RIGID_MASK: {
        r"hard material|moulded|pores|painted|flat and even": "one uniform hard material instead of skin",
        r"clear|through|dimly": "a transparent shell before the face",
        r"openings": "holes for the eyes",
        r"highlights|gloss|plastic": "hard plastic highlights",
        r"sharp edge|hard rim|shadow": "a hard mask edge with a shadow",
    },
    AttackType.FAKEHEAD: {
        r"hair is modelled|hairline": "moulded or painted hair",
        r"neck": "the neck of a mannequin",
        r"eyes are painted": "painted, staring eyes",
        r"wood": "a carved wood grain",
        r"lacquered|shines": "plastic highlights on the head",
    },
    AttackType.GLASSES: {
        r"lenses are covered": "opaque lenses that hide the eyes",
        r"wrong size": ("cartoon eyes on the lenses", "eyes too large for the face"),
        r"false eyes|on the lens|lenses|each lens|no living detail": (
            "cartoon eyes on the lenses",
            "opaque lenses that hide the eyes",
            "printed eyes in the lenses",
            "round pictures of eyes before the eyes",
        ),
        r"region is printed": ("printed eyes in the lenses", "round pictures of eyes before the eyes"),
        r"foil|coloured": "red and cyan foil before the eyes",
        r"paper|cut windows|cut shape": ("a flat paper frame around the eyes", "cut paper edges at the glasses"),
        r"cut windows": {"foil": False},
        r"stiff mask|pattern": "a patterned eye mask worn as glasses",
    },
    AttackType.PARTIAL_EYE: DOTS
    | {
        r"eyes are a foreign|no relief but print|print replaces": {"printed": True},
        r"hidden": {"holes": False},
        r"in holes": {"holes": True},
        r"straight lines": {"kind": "printed strip"},
        r"torn": "a torn paper edge",
        r"tape": "pieces of tape at the patch",
        r"fingers": "fingers holding a patch to the face",
        r"does not fit": "printed eyes that do not line up with the face",
        r"paper replaces": "a paper patch over the eyes",
        r"plain paper|hidden": "blank paper over the eyes",
    },
    AttackType.PARTIAL_MOUTH: DOTS
    | {
        r"mouth is a foreign|no relief but print|print replaces": {"printed": True},
        r"hidden": {"holes": False},
        r"in a hole": {"holes": True},
        r"does not fit": "a printed mouth that does not line up with the face",
        r"plain paper|hidden": "blank paper over the mouth",
    },
    AttackType.MAKEUP: {
        r"contours|deepens": "painted contours that reshape cheeks and nose",
        r"folds": "painted wrinkles",
        r"lids": "strong lipstick and eye shadow",
        r"evened|even layer": "a thick, even layer of foundation",
        r"stripes": "angular camouflage stripes painted on the face",
        r"blocks": "opaque blocks of face paint",
        r"red nose": "a painted red nose and mouth",
        r"white paint": "a white painted face",
        r"sallow": "a painted, sallow skin tone",
        r"outlines": "drawn liner and brows",
        r"reshaped": "redrawn brows and lips",
    },
}
CASES = [(kind, words) for kind, traces in TRACES.items() for words in traces]


def with_facts(kind, path, words, lacks):
    """A sample with all cues and attributes of its type, the traces named by `words` being there or lacking."""
    told, wanted = TRACES[kind].values(), TRACES[kind][words]
    cues = [cue for fact in told if not isinstance(fact, dict) for cue in ((fact,) if isinstance(fact, str) else fact)]
    attributes = {name: value for fact in told if isinstance(fact, dict) for name, value in fact.items()}
    if isinstance(wanted, dict):
        attributes |= {name: (not value if lacks else value) for name, value in wanted.items()}
    elif lacks:
        cues = [cue for cue in cues if cue not in ((wanted,) if isinstance(wanted, str) else wanted)]
    return sample_of(kind, path, cues=tuple(cues), attributes=attributes)


def clause_texts(sample):
    """Every clause that an answer about an image may hold, without the cues that stand in it too."""
    return [words for aspect in ASPECTS for words in clauses_of(sample.attack_type, aspect, facts_of(sample))]


@pytest.mark.parametrize(("kind", "words"), CASES)
def test_a_trace_is_named_with_its_cue_and_never_without_it(kind, words, picture):
    assert any(re.search(words, text) for text in clause_texts(with_facts(kind, picture, words, lacks=False)))
    assert not any(re.search(words, text) for text in clause_texts(with_facts(kind, picture, words, lacks=True)))


def test_every_cue_and_parameter_that_a_clause_needs_is_one_that_the_simulator_gives():
    source = "".join(path.read_text() for path in sorted(Path(simulate.__file__).parent.glob("*.py")))
    needed = {
        pattern
        for kind in ATTACKS
        for clauses in CLAUSES[kind].values()
        for clause in clauses
        if not isinstance(clause, str)
        for pattern in clause.needs
    }
    assert len(needed) > 50
    for pattern in needed:
        name, value, _ = pattern.partition(": ")
        words = [f"{name}="] if value else pattern.split("|")
        assert all(word in source for word in words), pattern


@pytest.mark.parametrize("kind", ATTACKS)
def test_answers_of_an_image_without_cues_hold_no_trace(kind, picture):
    sample = sample_of(kind, picture, cues=(), attributes={"native": "moire, halftone dot pattern"})
    rng = np.random.default_rng(0)
    for task in (Task.FINE, Task.REASONING, Task.COT):
        told = {TemplateAssistant().answer(sample, task, rng) for _ in range(60)}
        for words in TRACES.get(kind, ()):
            assert not any(re.search(words, text) for text in told), words


def test_answers_say_only_clauses_that_hold_for_the_image(picture):
    rng = np.random.default_rng(0)
    for kind, words in CASES:
        sample = with_facts(kind, picture, words, lacks=True)
        true = clause_texts(sample)
        told = TemplateAssistant().answer(sample, Task.REASONING, rng)
        for part in told.split(". ")[0].split("; "):
            assert part.split(": ")[1] in true


def test_a_blurred_live_picture_is_not_said_to_show_fine_detail(picture, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "sharp.png")
    rng = np.random.default_rng(0)
    for task in (Task.FINE, Task.REASONING, Task.COT):
        blurred, sharp = (
            " ".join(TemplateAssistant().answer(sample_of(AttackType.BONAFIDE, p), task, rng) for _ in range(80))
            for p in (picture, tmp_path / "sharp.png")
        )
        assert "fine skin detail is intact" in sharp.lower()
        assert not re.search("detail is intact|uneven, fine|pores|own texture|texture of skin", blurred.lower())
        assert "the blur hides fine detail" in blurred.lower()
        assert "blur hides" not in sharp


def test_every_attack_has_a_name_for_its_region():
    assert set(REGIONS) == set(ATTACKS)


@pytest.mark.parametrize("kind", list(AttackType))
def test_reasoning_of_every_type_has_at_least_200_texts(kind, picture):
    # The cues are those of one image: the wordings alone must differ.
    sample = sample_of(kind, picture)
    rng = np.random.default_rng(0)
    texts = {TemplateAssistant().answer(sample, Task.REASONING, rng) for _ in range(400)}
    assert len(texts) >= 200


def test_a_localization_names_its_region(picture):
    for kind in ATTACKS:
        text = TemplateAssistant().answer(sample_of(kind, picture), Task.LOCALIZATION, np.random.default_rng(0))
        assert text.endswith(f", {REGIONS[kind]} (there).")


def test_any_of_the_cues_may_be_named_and_none_is_called_the_clearest(picture):
    sample = sample_of(AttackType.PRINT, picture, cues=("a dot", "a border", "a curl"))
    for task, most in ((Task.FINE, 3), (Task.REASONING, 2)):
        texts = [TemplateAssistant().answer(sample, task, np.random.default_rng(i)) for i in range(120)]
        named = {tuple(cue for cue in sample.cues if cue in text) for text in texts}
        assert named == {cues for n in range(1, most + 1) for cues in itertools.combinations(sample.cues, n)}
        assert not any(re.search("clearest|strongest|most telling", text.lower()) for text in texts)


@pytest.mark.parametrize("kind", list(AttackType))
def test_describe_is_the_same_whatever_the_label(kind, picture):
    ours = describe(sample_of(kind, picture), np.random.default_rng(3))
    assert ours == describe(sample_of(AttackType.BONAFIDE, picture), np.random.default_rng(3))


def test_describe_tells_light_tint_focus_and_place(picture):
    sample = sample_of(AttackType.BONAFIDE, picture, attributes={"face_box": [0.7, 0.1, 0.95, 0.4]})
    text = describe(sample, np.random.default_rng(0))
    assert "a small face at the right" in text
    assert "medium" in text
    assert "warm" in text
    assert "blurred" in text


def test_focus_follows_the_detail_of_the_picture():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    assert PictureFacts.of(noise).focus == "sharp"
    assert PictureFacts.of(Image.new("RGB", (256, 256))).light == "dark"


def test_chain_of_thought_fills_every_part(picture):
    text = TemplateAssistant().answer(sample_of(AttackType.TATTOO, picture), Task.COT, np.random.default_rng(0))
    parts = ChainOfThought.parse(text)
    assert all(getattr(parts, name) for name in ("caption", "facial_description", "facial_attributes", "reasoning"))
    assert "tattoo" in parts.conclusion.lower()


def test_the_same_seed_gives_the_same_records(picture):
    samples = [sample_of(kind, picture) for kind in AttackType]
    tasks = {Task.COARSE: 1.0, Task.REASONING: 2.0}
    first, second = (list(build_records(samples, tasks, seed=4, split="train", per_image=2)) for _ in range(2))
    assert first == second
    assert len(first) == 2 * len(samples)
    assert list(build_records(samples, tasks, seed=5, split="train", per_image=2)) != first


def test_an_image_is_never_asked_the_same_task_twice(picture):
    records = list(
        build_records(
            [sample_of(AttackType.PRINT, picture)], dict.fromkeys(Task, 1.0), seed=0, split="train", per_image=6
        )
    )
    assert {record["task"] for record in records} == {task.value for task in Task}


def test_attacks_without_boxes_are_not_asked_where_they_are(picture):
    bare = [sample_of(kind, picture, boxes=()) for kind in AttackType]
    tasks = {Task.FINE: 1.0, Task.LOCALIZATION: 1.0}
    with pytest.warns(UserWarning, match=r"of 11 attacks no box is known, such as face\.png"):
        records = list(build_records(bare, tasks, seed=0, split="train", per_image=2))
    assert [r["attack_type"] for r in records if r["task"] == "localization"] == ["Bonafide"]
    assert len([r for r in records if r["task"] == "fine"]) == len(bare)
    with pytest.warns(UserWarning, match="no box is known"):
        assert not list(build_records(bare[1:], {Task.LOCALIZATION: 1.0}, seed=0, split="train"))


def test_what_a_data_set_calls_the_attack_stays_in_the_record(picture):
    sample = sample_of(AttackType.REPLAY, picture, native_label="ipad_video")
    (record,) = build_records([sample], {Task.COARSE: 1.0}, seed=0, split="train")
    assert (record["native_label"], record["attack_type"]) == ("ipad_video", "Replay")


def test_more_questions_than_tasks_are_refused(picture):
    with pytest.raises(ValueError, match="per_image is 2; expected 1 to 1"):
        next(
            build_records([sample_of(AttackType.PRINT, picture)], {Task.FINE: 1.0}, seed=0, split="train", per_image=2)
        )


def test_records_are_written_whole_or_not_at_all(tmp_path):
    def broken():
        yield {"image": "/photos/a.jpg"}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_records(broken(), tmp_path / "train.jsonl")
    assert not (tmp_path / "train.jsonl").exists()
    assert write_records(iter([{"image": "/photos/a.jpg"}]), tmp_path / "train.jsonl") == 1
    assert json.loads((tmp_path / "train.jsonl").read_text()) == {"image": "/photos/a.jpg"}


def test_records_of_relative_images_are_read_from_any_folder(tmp_path, picture, monkeypatch):
    monkeypatch.chdir(picture.parent)
    seen = [sample_of(AttackType.PRINT, Path(picture.name))]
    write_records(build_records(seen, {Task.FINE: 1.0}, seed=0, split="train"), tmp_path / "sft" / "train.jsonl")
    monkeypatch.chdir(tmp_path)
    (row,) = load_sft("sft")
    assert row["image"].size == Image.open(picture).size
