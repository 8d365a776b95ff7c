"""The offline assistant tells the truth of its sample, in many wordings, and never leaks the label into describe."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshield_hf.data.instruct.build import build_records, write_records
from faceshield_hf.data.instruct.phrases import ASPECTS, CLAUSES, REGIONS
from faceshield_hf.data.instruct.template import PictureFacts, TemplateAssistant, describe, on_grid
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


def test_every_attribute_of_every_type_has_at_least_three_clauses():
    assert set(CLAUSES) == set(AttackType)
    for kind, clauses in CLAUSES.items():
        assert tuple(clauses) == ASPECTS, kind
        assert all(len(set(options)) >= 3 for options in clauses.values()), kind


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


def test_which_cues_are_named_varies_but_the_first_is_always_there(picture):
    sample = sample_of(AttackType.PRINT, picture, cues=("dots", "a border", "a curl"))
    texts = [TemplateAssistant().answer(sample, Task.FINE, np.random.default_rng(i)) for i in range(60)]
    assert all("dots" in text for text in texts)
    named = {tuple(cue for cue in sample.cues if cue in text) for text in texts}
    assert named == {("dots",), ("dots", "a border"), ("dots", "a curl"), ("dots", "a border", "a curl")}


def test_reasoning_and_evidence_name_the_cue_that_was_drawn(picture):
    sample = sample_of(AttackType.PRINT, picture)
    for task in (Task.REASONING, Task.FINE):
        assert "a halftone dot pattern" in TemplateAssistant().answer(sample, task, np.random.default_rng(1))


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
