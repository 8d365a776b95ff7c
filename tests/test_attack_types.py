import pytest

from faceshield_hf.attack_types_faceshield import AttackType


NATIVE = [
    ("wmca", "0_00", "Bonafide"),
    ("wmca", "1_01", "Glasses"),
    ("wmca", "1_02", "Rigid mask"),
    ("wmca", "2_01", "Fakehead"),
    ("wmca", "2_08", "Paper mask"),
    ("wmca", "2_17", "Rigid mask"),
    ("wmca", "2_18", "Flexible mask"),
    ("wmca", "2_99", "Flexible mask"),
    ("wmca", "3_04", "Print"),
    ("wmca", "3_05", "Replay"),
    ("wmca", "3_15", "Replay"),
    ("wmca", "4_02", "Replay"),
    ("wmca", "5_01", "Makeup"),
    ("padisi", "m00000", "Bonafide"),
    ("padisi", 0, "Bonafide"),
    ("padisi", "m50101", "Glasses"),
    ("padisi", 50203, "Print"),
    ("padisi", "m50301", "Fakehead"),
    ("padisi", "m50401", "Rigid mask"),
    ("padisi", "m50501", "Rigid mask"),
    ("padisi", "m50602", "Makeup"),
    ("padisi", "m50701", "Flexible mask"),
    ("padisi", "m50801", "Glasses"),
    ("padisi", "m50901", "Tattoo"),
    ("siw-mv2", "Live", "Bonafide"),
    ("siw-mv2", "Mannequin", "Fakehead"),
    ("siw-mv2", "Mask_Mann_3", "Fakehead"),
    ("siw-mv2", "Paper", "Print"),
    ("siw-mv2", "Paper_12", "Print"),
    ("siw-mv2", "Mask_PaperMask", "Paper mask"),
    ("siw-mv2", "Mask_Paper_4", "Paper mask"),
    ("SiW_Mv2", "Partial_FunnyeyeGlasses", "Glasses"),
    ("siw-mv2", "Mask_TransparentMask", "Rigid mask"),
    ("siw-mv2", "Silicone", "Flexible mask"),
    ("siw-mv2", "Partial_Eye", "Partial Eye"),
    ("siw-mv2", "Partial_Mouth", "Partial Mouth"),
    ("siw-mv2", "Makeup_Ob", "Makeup"),
    ("celeba-spoof", 0, "Bonafide"),
    ("celeba-spoof", "3", "Print"),
    ("celeba-spoof", 6, "Paper mask"),
    ("celeba-spoof", "Phone", "Replay"),
    ("celeba-spoof", 10, "Rigid mask"),
    ("celeba-spoof", "3D mask", "Rigid mask"),
    ("facecot", "Live", "Bonafide"),
    ("facecot", "adultdull", "Fakehead"),
    ("facecot", "Replay", "Replay"),
    ("facecot", "poster", "Print"),
    ("faceshield", "partial eye", "Partial Eye"),
]

NOT_OURS = [
    ("wmca", "1_08"),  # a wig
    ("wmca", "2_50"),
    ("wmca", "6_01"),
    ("wmca", "3"),
    ("padisi", "m50507"),  # a mask of fabric
    ("padisi", "502"),
    ("padisi", "m59901"),
    ("siw-mv2", "MyPaper"),
    ("siw-mv2", "Paperback"),
    ("celeba-spoof", 11),
    ("celeba-spoof", -1),
    ("facecot", "hologram"),
    ("faceshield", ""),
]


@pytest.mark.parametrize(("source", "label", "expected"), NATIVE)
def test_native_labels_map_to_our_types(source, label, expected):
    assert AttackType.from_native(source, label) == expected


@pytest.mark.parametrize(("source", "label"), NOT_OURS)
def test_native_labels_of_no_type_are_refused_by_name(source, label):
    with pytest.raises(ValueError, match=f"{source}.*none of the twelve types; leave the row out"):
        AttackType.from_native(source, label)


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown source 'casia'; choose from 'wmca'"):
        AttackType.from_native("casia", "1")


def test_there_are_twelve_types_and_one_of_them_is_live():
    assert [kind.value for kind in AttackType] == [
        "Bonafide", "Fakehead", "Print", "Glasses", "Replay", "Paper mask", "Flexible mask", "Rigid mask",
        "Partial Eye", "Partial Mouth", "Makeup", "Tattoo",
    ]  # fmt: skip
    assert [kind for kind in AttackType if kind.is_live] == [AttackType.BONAFIDE]


def test_every_type_has_a_super_class():
    groups = {}
    for kind in AttackType:
        groups.setdefault(kind.super_class, []).append(kind.name)
    assert groups == {
        "Bona fide": ["BONAFIDE"],
        "3D mask": ["FAKEHEAD", "PAPER_MASK", "FLEXIBLE_MASK", "RIGID_MASK"],
        "2D": ["PRINT", "REPLAY"],
        "Partial": ["GLASSES", "PARTIAL_EYE", "PARTIAL_MOUTH"],
        "Make-up": ["MAKEUP", "TATTOO"],
    }


@pytest.mark.parametrize("name", ["Paper mask", "paper_mask", "PAPER-MASK", " papermask "])
def test_a_name_is_found_however_it_is_spelled(name):
    assert AttackType.from_name(name) is AttackType.PAPER_MASK


def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(ValueError, match="'hologram' is no attack type; choose from Bonafide, Fakehead"):
        AttackType.from_name("hologram")


def test_a_type_prints_as_its_name():
    assert f"a {AttackType.PARTIAL_EYE} attack" == "a Partial Eye attack"
