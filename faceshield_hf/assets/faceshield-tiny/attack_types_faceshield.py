"""The twelve kinds of face: bona fide and eleven presentation attacks, and what the public data sets call them.

One table a source. It knows names only: nothing of images, questions or answers. A native label that belongs to none
of the twelve kinds (a wig, a fabric mask) is refused, so that a reader leaves the row out on purpose.

Example:
    >>> AttackType.from_native("siw-mv2", "Mask_PaperMask")
    <AttackType.PAPER_MASK: 'Paper mask'>
    >>> AttackType.PAPER_MASK.super_class
    '3D mask'
"""

import re
from enum import Enum


class AttackType(str, Enum):
    """One of the twelve kinds; the value is the name used in answers, records and reports."""

    BONAFIDE = "Bonafide"
    FAKEHEAD = "Fakehead"
    PRINT = "Print"
    GLASSES = "Glasses"
    REPLAY = "Replay"
    PAPER_MASK = "Paper mask"
    FLEXIBLE_MASK = "Flexible mask"
    RIGID_MASK = "Rigid mask"
    PARTIAL_EYE = "Partial Eye"
    PARTIAL_MOUTH = "Partial Mouth"
    MAKEUP = "Makeup"
    TATTOO = "Tattoo"

    def __str__(self) -> str:
        return self.value

    @property
    def is_live(self) -> bool:
        """Whether this is a live face rather than an attack."""
        return self is AttackType.BONAFIDE

    @property
    def super_class(self) -> str:
        """The family: "Bona fide", "2D", "3D mask", "Partial" or "Make-up"."""
        return _SUPER_CLASSES[self]

    @classmethod
    def from_name(cls, name: str) -> "AttackType":
        """The type of that name, whatever its case, spaces, hyphens or underscores.

        Args:
            name (`str`): such as "Paper mask", "paper_mask" or "PAPER-MASK".

        Returns:
            `AttackType`: the type.

        Raises:
            ValueError: if no type has that name.
        """
        found = _BY_KEY.get(_key(name))
        if found is None:
            raise ValueError(f"{name!r} is no attack type; choose from {', '.join(kind.value for kind in cls)}.")
        return found

    @classmethod
    def from_native(cls, source: str, label: str | int) -> "AttackType":
        """The type behind a data set's own label.

        Args:
            source (`str`): "wmca", "padisi", "siw-mv2", "celeba-spoof", "facecot" or "faceshield" (our own names).
            label (`str` or `int`): the label as the source writes it: WMCA `"3_01"` (type and instrument), PADISI
                `"m50203"` or `50203`, SiW-Mv2's folder `"Mask_HalfMask"` or video prefix `"Mask_Half_12"`,
                CelebA-Spoof `0` to `10` or its name, FaceCoT's word.

        Returns:
            `AttackType`: the type.

        Raises:
            ValueError: if the source is unknown, or the label belongs to none of the twelve types.
        """
        readers = {
            "wmca": _from_wmca,
            "padisi": _from_padisi,
            "siwmv2": _from_siw_mv2,
            "celebaspoof": _from_celeba_spoof,
            "facecot": _from_facecot,
            "faceshield": lambda text: _BY_KEY.get(_key(text)),
        }
        reader = readers.get(_key(source))
        if reader is None:
            raise ValueError(
                f"unknown source {source!r}; choose from 'wmca', 'padisi', 'siw-mv2', 'celeba-spoof', 'facecot', "
                "'faceshield'."
            )
        found = reader(str(label).strip())
        if found is None:
            raise ValueError(f"{source}: the label {label!r} belongs to none of the twelve types; leave the row out.")
        return found


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


_SUPER_CLASSES = {
    AttackType.BONAFIDE: "Bona fide",
    AttackType.PRINT: "2D",
    AttackType.REPLAY: "2D",
    AttackType.FAKEHEAD: "3D mask",
    AttackType.PAPER_MASK: "3D mask",
    AttackType.FLEXIBLE_MASK: "3D mask",
    AttackType.RIGID_MASK: "3D mask",
    AttackType.GLASSES: "Partial",
    AttackType.PARTIAL_EYE: "Partial",
    AttackType.PARTIAL_MOUTH: "Partial",
    AttackType.MAKEUP: "Make-up",
    AttackType.TATTOO: "Make-up",
}
_BY_KEY = {_key(kind.value): kind for kind in AttackType}


# WMCA, `<type>_<instrument>`: type -> (instruments, our type). Wigs (1_08 to 1_12) are not among the twelve.
_WMCA = {
    0: (({0, 1, 2}, AttackType.BONAFIDE),),
    1: (({1, 3, 4, 5, 6, 7, 15, 16}, AttackType.GLASSES), ({2, 13, 14}, AttackType.RIGID_MASK)),
    2: (
        (set(range(1, 8)), AttackType.FAKEHEAD),
        (set(range(8, 12)), AttackType.PAPER_MASK),
        (set(range(12, 18)), AttackType.RIGID_MASK),
        ({18, *range(75, 100)}, AttackType.FLEXIBLE_MASK),
    ),
    # A print shown on a screen is a replay: instruments 5, 10 and 15.
    3: (({1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14}, AttackType.PRINT), ({5, 10, 15}, AttackType.REPLAY)),
    4: ((set(range(100)), AttackType.REPLAY),),
    5: ((set(range(100)), AttackType.MAKEUP),),
}


def _from_wmca(label: str) -> AttackType | None:
    match = re.fullmatch(r"(\d)_(\d{1,2})", label, re.ASCII)
    if match is None:
        return None
    group, instrument = int(match[1]), int(match[2])
    return next((kind for members, kind in _WMCA.get(group, ()) if instrument in members), None)


# PADISI, the first three digits of the code. Paper glasses (508) are glasses.
_PADISI = {
    "501": AttackType.GLASSES,
    "502": AttackType.PRINT,
    "503": AttackType.FAKEHEAD,
    "504": AttackType.RIGID_MASK,
    "505": AttackType.RIGID_MASK,
    "506": AttackType.MAKEUP,
    "507": AttackType.FLEXIBLE_MASK,
    "508": AttackType.GLASSES,
    "509": AttackType.TATTOO,
}


def _from_padisi(label: str) -> AttackType | None:
    code = label.lower().removeprefix("m")
    if not re.fullmatch(r"\d{1,5}", code, re.ASCII):
        return None
    if int(code) == 0:
        return AttackType.BONAFIDE
    # 50507 is a mask of fabric among the rigid ones: none of the twelve.
    return None if code == "50507" or len(code) != 5 else _PADISI.get(code[:3])


# SiW-Mv2: folders, then the prefixes of its video names. The prefix "Paper" alone means a print.
_SIW_MV2 = {
    "live": AttackType.BONAFIDE,
    "mannequin": AttackType.FAKEHEAD,
    "mask_mann": AttackType.FAKEHEAD,
    "print": AttackType.PRINT,
    "paper": AttackType.PRINT,
    "partial_funnyeyeglasses": AttackType.GLASSES,
    "partial_funnyeye": AttackType.GLASSES,
    "partial_paperglasses": AttackType.GLASSES,
    "partial_paperglass": AttackType.GLASSES,
    "replay": AttackType.REPLAY,
    "mask_papermask": AttackType.PAPER_MASK,
    "mask_paper": AttackType.PAPER_MASK,
    "silicone": AttackType.FLEXIBLE_MASK,
    "mask_silicone": AttackType.FLEXIBLE_MASK,
    "mask_halfmask": AttackType.RIGID_MASK,
    "mask_half": AttackType.RIGID_MASK,
    "mask_transparentmask": AttackType.RIGID_MASK,
    "mask_trans": AttackType.RIGID_MASK,
    "partial_eye": AttackType.PARTIAL_EYE,
    "partial_mouth": AttackType.PARTIAL_MOUTH,
    "makeup_cosmetic": AttackType.MAKEUP,
    "makeup_co": AttackType.MAKEUP,
    "makeup_impersonation": AttackType.MAKEUP,
    "makeup_im": AttackType.MAKEUP,
    "makeup_obfuscation": AttackType.MAKEUP,
    "makeup_ob": AttackType.MAKEUP,
}


def _from_siw_mv2(label: str) -> AttackType | None:
    # "Mask_Half_12" and "Live_7" carry the video's number; the rest must match whole, never in part.
    return _SIW_MV2.get(re.sub(r"(?:_\d+)+$", "", label.lower(), flags=re.ASCII))


_CELEBA_SPOOF = (
    ("live", AttackType.BONAFIDE),
    ("photo", AttackType.PRINT),
    ("poster", AttackType.PRINT),
    ("a4", AttackType.PRINT),
    ("facemask", AttackType.PAPER_MASK),
    ("upperbodymask", AttackType.PAPER_MASK),
    ("regionmask", AttackType.PAPER_MASK),
    ("pc", AttackType.REPLAY),
    ("pad", AttackType.REPLAY),
    ("phone", AttackType.REPLAY),
    ("3dmask", AttackType.RIGID_MASK),
)


def _from_celeba_spoof(label: str) -> AttackType | None:
    if re.fullmatch(r"\d{1,2}", label, re.ASCII):
        return _CELEBA_SPOOF[int(label)][1] if int(label) < len(_CELEBA_SPOOF) else None
    return dict(_CELEBA_SPOOF).get(_key(label))


# FaceCoT's four families, CelebA-Spoof's finer names (its images) and the doll of the wild set it adds, which it
# spells "adultdull". Its plain "mask" is mostly CelebA-Spoof's paper ones.
_FACECOT = {
    **dict(_CELEBA_SPOOF),
    "real": AttackType.BONAFIDE,
    "bonafide": AttackType.BONAFIDE,
    "print": AttackType.PRINT,
    "replay": AttackType.REPLAY,
    "mask": AttackType.PAPER_MASK,
    "adultdull": AttackType.FAKEHEAD,
    "adultdoll": AttackType.FAKEHEAD,
}


def _from_facecot(label: str) -> AttackType | None:
    return _FACECOT.get(_key(label))
