import pytest

from faceshield_hf.attack_types_faceshield import AttackType
from faceshield_hf.claims_faceshield import claimed_labels, named_types


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("It is real.", "real"),
        ("REAL", "real"),
        ("a genuine, live person", "real"),
        ("This is bona fide", "real"),
        ("a bona-fide sample", "real"),
        ("The face is fake.", "spoof"),
        ("a presentation attack", "spoof"),
        ("not a real face", "spoof"),
        ("The face in the image is not real", "spoof"),
        ("This isn't really a live face.", "spoof"),
        ("This isn\u2019t a real face", "spoof"),
        ("It is non-live.", "spoof"),
        ("not a spoof", "real"),
        ("There are no signs of a presentation attack.", "real"),
        ("There is no spoof area", "real"),
        ("It is never fake", "real"),
        ("not real but a spoof", "spoof"),
        ("not a real face, it is a spoof", "spoof"),
        ("a spoof rather than a real face", "spoof"),
        ("a spoof instead of a real face", "spoof"),
        ("It is not flat and it is real", "real"),
        ("real or spoof", "both"),
        ("neither real nor spoof", "both"),
        ("It is real. It is fake.", "both"),
        ("Is the face real or spoof?", "none"),
        ("Is it real or fake? It is real.", "real"),
        ("I cannot say whether it is real.", "none"),
        ("It might be a spoof", "none"),
        ("Perhaps real. Surely a spoof.", "spoof"),
        ("The attack type is unknown.", "none"),
        ("a surreal, alive, spoofless picture of an attacker", "none"),
        ("", "none"),
        ("Yes.", "none"),
    ],
)
def test_claims_are_read_with_negation_and_doubt(text, labels):
    expected = {"none": set(), "both": {"real", "spoof"}}.get(labels, {labels})
    assert claimed_labels(text) == expected


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("This is a print attack", {AttackType.PRINT}),
        ("a Paper-Mask presentation attack", {AttackType.PAPER_MASK}),
        ("The attack type is replay.", {AttackType.REPLAY}),
        ("type of the attack: partial  eye", {AttackType.PARTIAL_EYE}),
        ("The attack type is Bonafide", {AttackType.BONAFIDE}),
        ("it is a spoof (Rigid mask)", {AttackType.RIGID_MASK}),
        ("Print", {AttackType.PRINT}),
        ("a tattoo.", {AttackType.TATTOO}),
        ("a print attack or a replay attack", {AttackType.PRINT, AttackType.REPLAY}),
        ("The person wears glasses and make-up.", set()),
        ("a mask attack", set()),
        ("blueprint attack", set()),
        ("", set()),
    ],
)
def test_types_count_only_where_they_are_named_as_the_finding(text, types):
    assert named_types(text) == types
