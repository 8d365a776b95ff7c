"""Training data that can't teach is refused before the first step; questions about one image can share a row."""

import io
import json

import pytest
from tiny import face


pytest.importorskip("datasets", reason="needs the train extra")

from faceshield_hf.training.rows import group_by_image, join_questions, load_prompts, load_rows


REAL, SPOOF = "The face in the image is real.", "The face in the image is a spoof."


def row(image, label="real", **changes):
    told = {
        "image": image,
        "question": f"Is {image} real?",
        "answer": REAL if label == "real" else SPOOF,
        "task": "coarse",
        "label": label,
        "attack_type": "Bonafide" if label == "real" else "Print",
        "boxes": [],
    }
    return told | changes


@pytest.fixture
def write(tmp_path):
    for i in range(2):
        face(i).save(tmp_path / f"{i}.png")

    def records(*rows, split="train"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        return str(tmp_path)

    return records


def test_rows_keep_the_attack_type_beside_question_and_answer(write):
    rows = load_rows(write(row("0.png"), row("1.png", "spoof")))
    assert set(rows.column_names) == {"image", "prompt", "completion", "attack_type", "length"}
    assert rows["attack_type"][:] == ["Bonafide", "Print"]
    assert rows[1]["completion"] == [{"role": "assistant", "content": SPOOF}]


def test_an_empty_split_is_named(write):
    with pytest.raises(ValueError, match="has no records in its split train: was the data set built"):
        load_rows(write())


def test_a_missing_split_is_named(write):
    with pytest.raises(ValueError, match=r"holds neither validation\.jsonl|validation"):
        load_rows(write(row("0.png"), row("1.png", "spoof")), "validation")


def test_a_class_missing_from_the_split_is_named(write):
    with pytest.raises(ValueError, match="no record is spoof, so there is nothing to tell apart"):
        load_rows(write(row("0.png"), row("1.png")))


def test_answers_without_a_verdict_are_counted_and_the_first_is_shown(write):
    silent = row("1.png", "spoof", answer="Hard to say.")
    with pytest.raises(ValueError, match=r"1 of 2 answers state no verdict .* row 1 \(task coarse\): 'Hard to say"):
        load_rows(write(row("0.png"), silent))


def test_descriptions_need_no_verdict(write):
    told = {"task": "describe", "answer": "A face at the left."}
    assert len(load_rows(write(row("0.png", **told), row("1.png", "spoof", **told)))) == 2


def test_an_unknown_attack_type_is_named(write):
    with pytest.raises(ValueError, match="attack_type 'Hologram' is not one of"):
        load_rows(write(row("0.png"), row("1.png", "spoof", attack_type="Hologram")))


def test_questions_about_one_image_share_a_row_and_none_is_lost(write):
    rows = [row("0.png", question=f"q{i}") for i in range(3)] + [row("1.png", "spoof", question="q9")]
    joined = load_rows(write(*rows), questions_per_row=2)
    turns = [[turn["content"] for turn in messages if turn["role"] == "user"] for messages in joined["messages"]]
    assert sorted(len(asked) for asked in turns) == [1, 1, 2]
    assert sorted(q for asked in turns for q in asked) == ["q0", "q1", "q2", "q9"]
    assert [turn["role"] for turn in joined[0]["messages"]] == ["user", "assistant"] * 2
    assert joined["attack_type"][:] == ["Bonafide", "Bonafide", "Print"]


def test_images_inside_a_data_set_are_known_by_a_hash_and_not_kept(monkeypatch):
    import datasets

    def encoded(i):
        buffer = io.BytesIO()
        face(i).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    turns = {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": REAL}]}
    made = [{"image": encoded(i), **turns} for i in (0, 1, 0)]
    table = datasets.Dataset.from_list(made).cast_column("image", datasets.Image())
    named = []

    def grouped(images, *rest):
        named.extend(images)
        return group_by_image(images, *rest)

    monkeypatch.setattr("faceshield_hf.training.rows.group_by_image", grouped)
    assert len(join_questions(table, 2)) == 2
    assert [len(name) for name in named] == [32] * 3
    assert named[0] == named[2] != named[1]


def test_questions_of_some_tasks_stay_alone(write):
    box = {"task": "localization", "answer": "The face in the image is real."}
    rows = [row("0.png", question=f"q{i}") for i in range(2)] + [row("0.png", question=q, **box) for q in ("a", "b")]
    joined = load_rows(write(*rows, row("1.png", "spoof")), questions_per_row=4, alone_tasks=["localization"])
    turns = [[turn["content"] for turn in messages if turn["role"] == "user"] for messages in joined["messages"]]
    assert [asked for asked in turns if {"a", "b"} & set(asked)] == [["a"], ["b"]]
    assert sorted(len(asked) for asked in turns) == [1, 1, 1, 2]


def test_an_unknown_task_to_keep_alone_is_refused(write):
    with pytest.raises(ValueError, match="'where' is not a valid Task"):
        load_rows(write(row("0.png"), row("1.png", "spoof")), questions_per_row=2, alone_tasks=["where"])


def test_groups_depend_on_the_seed_alone():
    images = ["a", "b"] * 10
    assert group_by_image(images, 3, seed=1) == group_by_image(images, 3, seed=1)
    assert group_by_image(images, 3, seed=1) != group_by_image(images, 3, seed=2)
    assert sorted(i for group in group_by_image(images, 3, seed=2) for i in group) == list(range(20))


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_question_a_row_is_refused(write, count):
    with pytest.raises(ValueError, match=f"questions_per_row is {count}"):
        load_rows(write(row("0.png"), row("1.png", "spoof")), questions_per_row=count)


def test_prompts_keep_what_rewards_are_computed_from(write):
    data = write(row("0.png"), row("1.png", "spoof", task="localization", answer="The spoof area is [1, 1, 9, 9]."))
    prompts = load_prompts(data, "train", None, ["localization"])
    assert len(prompts) == 1
    assert set(prompts.column_names) == {"image", "prompt", "task", "label", "attack_type", "boxes"}
    with pytest.raises(ValueError, match="has no question of the tasks cot"):
        load_prompts(data, "train", None, ["cot"])


def test_a_data_set_that_is_nowhere_is_named():
    from faceshield_hf.training.provenance import data_revision

    with pytest.raises(ValueError, match="is neither a folder nor a data set on the Hub"):
        data_revision("not a/name at all", None)
