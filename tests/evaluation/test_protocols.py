"""Protocols: the published ones load, and samples fall where the rules say."""

from pathlib import Path

import pytest

from faceshield_hf.data.samples import Sample
from faceshield_hf.evaluation.protocols import Condition, assign, load_protocol, load_protocols, subject_share
from faceshield_hf.tasks_faceshield import AttackType


RECIPES = Path(__file__).parents[2] / "recipes"
FOLDER = RECIPES / "evaluate"
SIMPAD = [RECIPES / "sim-benchmark" / f"{name}.yaml" for name in ("intra", "cross")]
FILES = [*sorted(FOLDER.glob("*.yaml")), *SIMPAD]
LIVE, PRINT, REPLAY = AttackType.BONAFIDE, AttackType.PRINT, AttackType.REPLAY


def sample(kind=LIVE, subject="s1", **more):
    return Sample(Path(f"{subject}-{kind.value}-{more}.jpg"), kind, subject, **more)


def people(source, kinds=(LIVE, PRINT), count=40, **more):
    return [sample(kind, f"{source}-{i}", **more) for i in range(count) for kind in kinds]


def write(tmp_path, text):
    path = tmp_path / "protocol.yaml"
    path.write_text(text)
    return path


def test_all_named_protocols_are_there():
    names = {name for path in FILES for name in load_protocols(path)}
    assert {"wsp-intra", "wsp-to-padisi", "wsp-to-siw-mv2", "wsp-to-wmca", "wmca-grandtest", "celeba-spoof"} <= names
    assert {f"mcio-to-{s}" for s in ("msu-mfsd", "casia-fasd", "replay-attack", "oulu-npu")} <= names
    assert {"siw-mv2-1", "siw-mv2-3-E", "simpad-intra-all", "simpad-cross-A", "simpad-cross-C"} <= names
    assert sum(name.startswith("wmca-loo-") for name in names) == 7
    assert sum(name.startswith("siw-mv2-2-") for name in names) == 14
    assert sum(name.startswith("one-to-eleven-") for name in names) == 11


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_says_what_it_is_and_parts_all_three_splits(path):
    for protocol in load_protocols(path).values():
        assert protocol.about and "$" not in protocol.about
        assert set(protocol.rules) == {"train", "dev", "test"}


def test_leaving_a_source_out_puts_it_all_into_the_test_and_parts_the_others_by_subject():
    protocol = load_protocol(FOLDER / "wsp-cross.yaml", "wsp-to-padisi")
    data = {source: people(source) for source in ("wmca", "siw-mv2", "padisi")}
    found = assign(protocol, data)
    assert found.test == data["padisi"]
    assert len(found.train) + len(found.dev) == 160
    assert not {s.subject_id for s in found.train} & {s.subject_id for s in found.dev}
    assert 0 < len(found.dev) < 40  # about a tenth


def test_an_unseen_attack_is_only_in_the_test():
    protocol = load_protocol(FOLDER / "wmca-loo.yaml", "wmca-loo-Print")
    data = [
        sample(kind, f"{split}-{i}", split=split)
        for split in ("train", "validation", "test")
        for i in range(3)
        for kind in (LIVE, PRINT, REPLAY)
    ]
    found = assign(protocol, {"wmca": data})
    assert {s.attack_type for s in found.train + found.dev} == {LIVE, REPLAY}
    assert {s.attack_type for s in found.test} == {LIVE, PRINT}
    assert found.left_out == 3 * 2 + 3


def test_siw_leave_one_out_goes_by_the_folder_not_by_our_type():
    protocol = load_protocol(FOLDER / "siw-mv2-2.yaml", "siw-mv2-2-Makeup_Cosmetic")
    kinds = (("Live", LIVE), ("Makeup_Cosmetic", AttackType.MAKEUP), ("Makeup_Impersonation", AttackType.MAKEUP))
    data = [sample(kind, f"v{i}", native_label=label) for i in range(60) for label, kind in kinds]
    found = assign(protocol, {"siw-mv2": data})
    assert {s.native_label for s in found.train} == {"Live", "Makeup_Impersonation"}
    assert {s.native_label for s in found.test} == {"Live", "Makeup_Cosmetic"}


def test_a_class_missing_from_a_split_is_an_error_that_says_what_was_there():
    protocol = load_protocol(SIMPAD[1], "simpad-cross-C")
    learnt = people("t", split="train", domain="A") + people("v", split="validation", domain="B")
    tested = people("x", (PRINT,), 3, split="test", domain="C")
    message = r"simpad-cross-C: the test split has no bona fide images \(0 bona fide, 3 attacks.*simpad \(163 images\)"
    with pytest.raises(ValueError, match=message):
        assign(protocol, {"simpad": learnt + tested})
    with pytest.raises(ValueError, match=r"the test split has no images.*simpad \(160 images\)"):
        assign(protocol, {"simpad": learnt})
    assert len(assign(protocol, {"simpad": learnt + tested}, needs=["train"]).test) == 3


def test_a_subject_in_two_splits_is_an_error(tmp_path):
    path = write(tmp_path, "name: x\ntrain: [{domain: A}]\ntest: [{domain: B}]\n")
    data = {"x": [sample(LIVE, "s1", domain="A"), sample(PRINT, "s1", domain="B")]}
    with pytest.raises(ValueError, match="subject s1 of x is both in train and in test"):
        assign(load_protocol(path), data, needs=[])


def test_rules_that_overlap_are_an_error(tmp_path):
    path = write(tmp_path, "name: x\ntrain: [{live: true}]\ntest: [{domain: A}]\n")
    with pytest.raises(ValueError, match="falls into train and test"):
        assign(load_protocol(path), {"x": [sample(domain="A")]}, needs=[])


@pytest.mark.parametrize(
    ("field", "wanted", "holds"),
    [
        ("source", "wmca", True),
        ("source", {"not": ["wmca", "siw"]}, False),
        ("live", False, True),
        ("attack_type", ["Print", "Replay"], True),
        ("session", {"from": 2, "below": 3}, True),
        ("session", {"below": 2}, False),
        ("camera", "front", False),
        ("camera", {"not": "front"}, True),
        ("split", {"from": 1}, False),
    ],
)
def test_a_condition_holds_for_what_it_names(field, wanted, holds):
    assert Condition(field, wanted).holds(sample(PRINT, attributes={"session": 2}), "wmca") is holds


def test_shares_are_even_fixed_and_differ_by_source():
    shares = [subject_share("wmca", str(i)) for i in range(1000)]
    assert 0.45 < sum(shares) / 1000 < 0.55
    assert subject_share("wmca", "7") != subject_share("padisi", "7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "expected a mapping"),
        ("name: x\ntest: [{live: true}]\nextra: 1\n", "unknown keys extra"),
        ("name: x\ntest: {live: true}\n", "expected a list of rules"),
        ("name: x\ntest: [{attack_type: Paper}]\n", "'Paper' is none of the twelve types"),
        ("name: x\ntest: [{share: {above: 0.5}}]\n", "expected {not: ...} or {from: x, below: y}"),
        ("name: x-$held\ntest: [{live: true}]\n", "names something that vary does not hold"),
        ("name: x\ntest: [{live: true}\n", "is no YAML file: while parsing"),
        ("name: x-$a\nvary: [a]\ntest: [{live: true}]\n", "expected names with a list of values each"),
        ("name: x-$a\nvary: {a: b}\ntest: [{live: true}]\n", "expected names with a list of values each"),
        ("name: x\ntest: [{share: {from: a}}]\n", "a range has numbers as its ends"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError) as caught:
        load_protocols(write(tmp_path, text))
    assert message in str(caught.value)


def test_a_name_that_is_not_in_the_file_is_told_the_ones_that_are():
    with pytest.raises(ValueError, match="choose one of simpad-cross-A, simpad-cross-B, simpad-cross-C"):
        load_protocol(SIMPAD[1])
