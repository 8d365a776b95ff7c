"""Reviewers' decisions are never lost, count as they should, and change what a build holds."""

import json

import pytest


datasets = pytest.importorskip("datasets", reason="needs the train extra")

from data.build_parts import settings, turned  # noqa: E402
from data.chat_server import chat_server  # noqa: E402

from faceshield_hf.data.build.run import build_dataset  # noqa: E402
from faceshield_hf.data.review import main  # noqa: E402
from faceshield_hf.data.review.decisions import (  # noqa: E402
    Decision,
    Verdicts,
    answer_hash,
    append_decision,
    fix_fault,
    read_decisions,
)
from faceshield_hf.data.review.page import Review, picture_of  # noqa: E402
from faceshield_hf.tasks_faceshield import AttackType, Box, Task  # noqa: E402


@pytest.fixture
def build(images, tmp_path):
    build_dataset(settings(images, tmp_path / "out", tasks={"fine": 1}, paraphrase={}), progress=False)
    return tmp_path / "out"


def decide(folder, reviewer, **actions):
    for record, action in actions.items():
        append_decision(folder, Decision(record, action, reviewer, answer="x" if action == "fix" else ""))


def test_the_latest_decision_of_a_reviewer_counts_and_nothing_is_erased(tmp_path):
    decide(tmp_path, "ann", a="accept")
    decide(tmp_path, "ann", a="reject")
    assert read_decisions(tmp_path)["ann"]["a"].action == "reject"
    assert len((tmp_path / "ann.jsonl").read_text().splitlines()) == 2


def test_half_a_line_of_a_crash_loses_that_line_only(tmp_path):
    decide(tmp_path, "ann", a="accept")
    with (tmp_path / "ann.jsonl").open("a") as file:
        file.write('{"id": "b", "act')
    decide(tmp_path, "ann", c="reject")
    assert {key: one.action for key, one in read_decisions(tmp_path)["ann"].items()} == {"a": "accept", "c": "reject"}


def test_a_whole_line_that_is_no_decision_is_an_error(tmp_path):
    (tmp_path / "ann.jsonl").write_text('{"id": "a", "action": "maybe", "reviewer": "ann"}\n')
    with pytest.raises(ValueError, match=r"ann\.jsonl, row 1: got the action 'maybe'"):
        read_decisions(tmp_path)


@pytest.mark.parametrize("name", ["", "../ann", "a b", "x" * 65])
def test_a_reviewers_name_is_a_file_name(name):
    with pytest.raises(ValueError, match="got the reviewer"):
        Decision("a", "accept", name)


def test_the_majority_decides_and_a_tie_rejects(tmp_path):
    decide(tmp_path, "ann", a="accept", b="accept", c="fix")
    decide(tmp_path, "bob", a="accept", b="reject", c="fix")
    decide(tmp_path, "cid", a="reject")
    verdicts = Verdicts.read(tmp_path)
    assert verdicts.of("a").action == "accept"
    assert (verdicts.of("b").action, verdicts.of("b").note) == ("reject", "the reviewers disagree")
    assert verdicts.of("c").action == "fix"
    assert verdicts.of("z") is None
    append_decision(tmp_path, Decision("c", "fix", "bob", answer="y"))
    assert Verdicts.read(tmp_path).of("c").note == "the reviewers' fixes differ"


def test_kappa_is_that_of_the_textbook(tmp_path):
    # Both accept 20, both reject 15, ann alone accepts 5, bob alone 10: p_o 0.7, p_e 0.5, kappa 0.4.
    pairs = [("accept", "accept")] * 20 + [("accept", "reject")] * 5 + [("reject", "accept")] * 10
    pairs += [("reject", "reject")] * 15
    decide(tmp_path, "ann", **{f"r{i}": one for i, (one, _) in enumerate(pairs)})
    decide(tmp_path, "bob", **{f"r{i}": other for i, (_, other) in enumerate(pairs)})
    (row,) = Verdicts.read(tmp_path).agreement()
    assert (row["reviewers"], row["records"], row["equal"]) == (["ann", "bob"], 50, 0.7)
    assert row["kappa"] == pytest.approx(0.4)


def test_agreement_without_common_records_is_undefined(tmp_path):
    decide(tmp_path, "ann", a="accept")
    decide(tmp_path, "bob", b="accept")
    assert Verdicts.read(tmp_path).agreement()[0]["kappa"] is None


def test_a_build_applies_the_decisions(build, images, tmp_path):
    rows = datasets.load_dataset(str(build), split="train", cache_dir=str(tmp_path / "cache")).remove_columns("image")
    attack = [row for row in rows if row["label"] == "spoof"]
    fixed = attack[1]["answer"].split(".")[0] + ". Straight edges can be seen."
    folder = tmp_path / "decisions"
    append_decision(folder, Decision(attack[0]["id"], "reject", "ann", note="blurred"))
    append_decision(folder, Decision(attack[1]["id"], "fix", "ann", answer=fixed))
    append_decision(folder, Decision(attack[2]["id"], "accept", "ann", seen=answer_hash(attack[2]["answer"])))
    append_decision(folder, Decision(attack[3]["id"], "fix", "ann", answer="The face in the image is real."))
    config = settings(images, tmp_path / "new", tasks={"fine": 1}, paraphrase={}, review=str(folder))
    counts = build_dataset(config, progress=False)
    assert counts["review"] == {"unreviewed": 20, "fixed": 1, "accepted": 1}
    assert counts["skipped"]["review"] == {"blurred": 1, "the answer reads as real, but the label is spoof": 1}
    new = datasets.load_dataset(str(tmp_path / "new"), split="train", cache_dir=str(tmp_path / "cache"))
    by_id = {row["id"]: row for row in new.remove_columns("image")}
    assert by_id[attack[1]["id"]]["answer"] == fixed
    assert by_id[attack[2]["id"]]["provenance"]["review"] == "accepted"
    assert "expert-generated" in (tmp_path / "new" / "README.md").read_text()


def test_a_reviewer_goes_on_where_they_stopped(build, tmp_path):
    review = Review(build, tmp_path / "d", "ann")
    assert picture_of(review.record()).size == (64, 48)
    seen = []
    for action in ("accept", "reject", "accept"):
        seen.append(review.current.id)
        review.decide(action)
    again = Review(build, tmp_path / "d", "ann")
    assert again.current.id == review.current.id not in seen
    again.back()
    assert again.current.id == seen[-1]
    assert "3 of 24 decided by ann" in again.progress()


def test_a_reviewer_sees_the_image_upright_like_its_boxes():
    record = {"image": {"bytes": turned()}, "boxes": [], "answer": "The face in the image is real.", "task": "fine"}
    assert picture_of(record).size == (48, 64)


def test_an_acceptance_holds_for_the_words_that_were_seen(build, images, tmp_path):
    """By the page at seed 0; of seed 5's answers some are others."""
    review = Review(build, tmp_path / "d", "ann")
    while review.current is not None:
        review.decide("accept")
    same = settings(images, tmp_path / "same", tasks={"fine": 1}, paraphrase={}, review=str(tmp_path / "d"))
    assert build_dataset(same, progress=False)["review"] == {"accepted": 24}
    assert Review(tmp_path / "same", tmp_path / "d", "ann").current is None
    other = settings(images, tmp_path / "other", tasks={"fine": 1}, paraphrase={}, review=str(tmp_path / "d"), seed=5)
    counts = build_dataset(other, progress=False)
    answers = [
        {row["id"]: row["answer"] for row in datasets.load_dataset(
            str(folder), split="train", cache_dir=str(tmp_path / "cache")).remove_columns("image")}
        for folder in (build, tmp_path / "other")
    ]  # fmt: skip
    changed = [record for record in answers[0] if answers[0][record] != answers[1][record]]
    assert changed and counts["review"]["stale"] == len(changed)
    assert counts["review"].get("accepted", 0) == 24 - len(changed)
    again = Review(tmp_path / "other", tmp_path / "d", "ann")
    assert again.current.id in changed and len(again.decided) == 24 - len(changed)
    assert f"| stale | {len(changed)} |" in (tmp_path / "other" / "README.md").read_text()


def test_acceptances_that_do_not_say_what_was_seen_are_stale_and_others_hold(build, images, tmp_path):
    rows = datasets.load_dataset(str(build), split="train", cache_dir=str(tmp_path / "cache")).remove_columns("image")
    folder = tmp_path / "d"
    folder.mkdir()
    old = [{"id": rows[0]["id"], "action": "accept"}, {"id": rows[1]["id"], "action": "reject"}]
    lines = [json.dumps(one | {"reviewer": "ann", "answer": "", "note": ""}) for one in old]
    (folder / "ann.jsonl").write_text("\n".join(lines) + "\n")
    config = settings(images, tmp_path / "new", tasks={"fine": 1}, paraphrase={}, review=str(folder))
    counts = build_dataset(config, progress=False)
    assert counts["review"] == {"stale": 1, "unreviewed": 22}
    assert counts["skipped"]["review"] == {"turned down by a reviewer": 1}
    assert "expert-generated" not in (tmp_path / "new" / "README.md").read_text()


def test_a_stale_acceptance_does_not_outvote_a_rejection(tmp_path):
    append_decision(tmp_path, Decision("a", "accept", "ann", seen=answer_hash("one")))
    append_decision(tmp_path, Decision("a", "accept", "bob", seen=answer_hash("one")))
    append_decision(tmp_path, Decision("a", "reject", "cid", seen=answer_hash("two")))
    verdicts = Verdicts.read(tmp_path)
    assert verdicts.of("a", " one ").action == "accept"
    assert verdicts.of("a", "two").action == "reject"


def test_two_reviewers_meet_on_the_same_records(build, tmp_path):
    first = Review(build, tmp_path / "d", "ann")
    for _ in range(5):
        first.decide("accept")
    second = Review(build, tmp_path / "d", "bob")
    common = set()
    for _ in range(5):
        common.add(second.current.id)
        second.decide("accept")
    assert common == set(read_decisions(tmp_path / "d")["ann"])
    assert "kappa undefined on 5 records" in second.progress()  # both only ever accepted


def test_a_fix_must_change_the_answer_and_keep_the_label(build, tmp_path):
    review = Review(build, tmp_path / "d", "ann")
    record = review.record()
    with pytest.raises(ValueError, match="as it was"):
        review.decide("fix", record["answer"])
    other = "spoof" if record["label"] == "real" else "real"
    wrong = "The face in the image is real." if other == "real" else "The face in the image is a Print attack. Ink."
    with pytest.raises(ValueError, match=f"reads as {other}, but the label is {record['label']}"):
        review.decide("fix", wrong)
    assert not (tmp_path / "d").exists()


PRINT_BOXES = (Box(0.7, 0.1, 0.8, 0.2), Box(0.1, 0.2, 0.6, 0.7))
AREA = "The spoof area is [100, 200, 599, 699], [699, 100, 799, 200]"


@pytest.mark.parametrize(
    ("answer", "task", "fault"),
    [
        ("The face in the image is a Print attack. Ink.", Task.FINE, ""),
        ("The face in the image is a Replay attack. Ink.", Task.FINE, "reads as Replay, but the type is Print"),
        ("The face in the image is real.", Task.FINE, "reads as real, but the label is spoof"),
        ("Perhaps.", Task.COARSE, "can't be read; the label is spoof"),
        (AREA + ", a photo.", Task.LOCALIZATION, ""),
        ("The spoof area is [700, 100, 800, 200], [100, 199, 600, 700].", Task.LOCALIZATION, ""),  # a step of rounding
        ("The spoof area is [1, 1, 9, 9].", Task.LOCALIZATION, "boxes are [[1, 1, 9, 9]], but the label's are [[699,"),
        ("The spoof area is [100, 200, 599, 699], a photo.", Task.LOCALIZATION, "but the label's are"),
        (AREA + ", [5, 5, 9, 9].", Task.LOCALIZATION, "but the label's are"),
        ("The spoof area is unclear.", Task.LOCALIZATION, "boxes are none, but the label's are"),
        ("There is no face at all.", Task.DESCRIBE, ""),
    ],
)
def test_a_fix_says_nothing_against_label_type_and_boxes(answer, task, fault):
    found = fix_fault(answer, task, AttackType.PRINT, PRINT_BOXES)
    assert found == fault if not fault else fault in found


def test_neither_page_nor_build_takes_boxes_that_are_not_the_labels(images, tmp_path):
    config = {"tasks": {"localization": 1}, "paraphrase": {}}
    build_dataset(settings(images, tmp_path / "out", **config), progress=False)
    review = Review(tmp_path / "out", tmp_path / "d", "ann")
    while review.record()["label"] == "real":
        review.decide("reject")
    record = review.record()
    with pytest.raises(ValueError, match="the label's are"):
        review.decide("fix", "The spoof area is [1, 1, 9, 9].")
    append_decision(tmp_path / "d", Decision(record["id"], "fix", "ann", "The spoof area is [1, 1, 9, 9]."))
    counts = build_dataset(settings(images, tmp_path / "new", review=str(tmp_path / "d"), **config), progress=False)
    assert "fixed" not in counts["review"]
    assert any("the label's are" in reason for reason in counts["skipped"]["review"])


def test_a_fix_to_another_type_is_refused_on_the_page(build, tmp_path):
    review = Review(build, tmp_path / "d", "ann")
    while review.record()["attack_type"] != "Print":
        review.decide("reject")
    with pytest.raises(ValueError, match="reads as Replay, but the type is Print"):
        review.decide("fix", "The face in the image is a Replay attack. A screen glows.")


def test_all_decided_ends_the_review(build, tmp_path):
    review = Review(build, tmp_path / "d", "ann")
    while review.current is not None:
        review.decide("accept")
    assert len(read_decisions(tmp_path / "d")["ann"]) == 24
    with pytest.raises(ValueError, match="all records are decided"):
        review.record()


def test_what_the_filters_turned_down_can_be_reviewed_and_saved(images, tmp_path, reachable_loopback):

    def bad(asked):
        text = json.dumps(asked)
        return "A screen bezel surrounds it." if "a Print attack" in text else "Paper, skin and screen are there."

    with chat_server(bad) as server:
        config = {
            "tasks": {"fine": 1, "coarse": 1},
            "paraphrase": {},
            "assistant": {"kind": "endpoint", "model": "m", "base_url": server.url},
        }
        build_dataset(settings(images, tmp_path / "out", **config), progress=False)
        review = Review(tmp_path / "out", tmp_path / "d", "ann", rejected=True)
        while review.record()["attack_type"] != "Print":
            review.decide("reject")
        saved = review.current.id
        review.decide("fix", "The face in the image is a Print attack. Paper edges surround the face.")
        counts = build_dataset(
            settings(images, tmp_path / "new", review=str(tmp_path / "d"), **config), progress=False
        )
    assert counts["review"]["fixed"] == 1
    new = datasets.load_dataset(str(tmp_path / "new"), split="train", cache_dir=str(tmp_path / "cache"))
    assert saved in new["id"]


def test_wrong_input_is_one_line(tmp_path, capsys):
    assert main(["--build", str(tmp_path), "--decisions", str(tmp_path / "d"), "--reviewer", "ann"]) == 2
    assert "has nothing to review" in capsys.readouterr().err
    assert main(["--build", "b", "--decisions", str(tmp_path / "none"), "--agreement"]) == 2
    assert main(["--build", "b", "--decisions", "d"]) == 2
