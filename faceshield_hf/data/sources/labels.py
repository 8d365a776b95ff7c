"""Native label -> type, for every data set: one place to look them up, and the tables of the documentation.

WMCA's, PADISI's, SiW-Mv2's and CelebA-Spoof's maps belong to `AttackType.from_native`; those of the MCIO sets, which
know prints and replays only, are here.

Example:
    >>> from faceshield_hf.data.sources.labels import native_type_of
    >>> native_type_of("casia-fasd", "cut photo").value, native_type_of("wmca", "3_05").value
    ('Print', 'Replay')
"""

from faceshield_hf.tasks_faceshield import AttackType


_LIVE, _PRINT, _REPLAY = AttackType.BONAFIDE, AttackType.PRINT, AttackType.REPLAY
MCIO_TYPES: dict[str, dict[str, AttackType]] = {
    "msu-mfsd": {"real": _LIVE, "printed_photo": _PRINT, "ipad_video": _REPLAY, "iphone_video": _REPLAY},
    # Photos with the eyes cut out are held, not worn: prints.
    "casia-fasd": {"real": _LIVE, "warped photo": _PRINT, "cut photo": _PRINT, "video": _REPLAY},
    # A photo shown on a screen is a replay, as it is in WMCA.
    "replay-attack": {
        "real": _LIVE,
        "print_photo": _PRINT,
        "mobile_photo": _REPLAY,
        "mobile_video": _REPLAY,
        "highdef_photo": _REPLAY,
        "highdef_video": _REPLAY,
    },
    "oulu-npu": {"1": _LIVE, "2": _PRINT, "3": _PRINT, "4": _REPLAY, "5": _REPLAY},
}
"""Data set -> its own label -> our type."""

_SIW_MV2_FOLDERS = (
    "Live",
    "Mannequin",
    "Print",
    "Partial_FunnyeyeGlasses",
    "Partial_PaperGlasses",
    "Replay",
    "Mask_PaperMask",
    "Silicone",
    "Mask_HalfMask",
    "Mask_TransparentMask",
    "Partial_Eye",
    "Partial_Mouth",
    "Makeup_Cosmetic",
    "Makeup_Impersonation",
    "Makeup_Obfuscation",
)
# Every label that a data set can have by its own naming; those of no type are left out of the tables.
_CANDIDATES: dict[str, tuple[str, ...]] = {
    "wmca": tuple(f"{kind}_{instrument:02d}" for kind in range(10) for instrument in range(100)),
    "padisi": ("m00000", *(f"m5{code:02d}{species:02d}" for code in range(100) for species in range(1, 100))),
    "siw-mv2": _SIW_MV2_FOLDERS,
    "celeba-spoof": tuple(str(code) for code in range(100)),
    **{source: tuple(types) for source, types in MCIO_TYPES.items()},
}


def native_type_of(source: str, label: str) -> AttackType:
    """The type behind a data set's own label.

    Args:
        source (`str`): the data set's name, as in `faceshield_hf.data.sources.read.SOURCES`.
        label (`str`): the label as the data set writes it.

    Returns:
        `AttackType`: the type.

    Raises:
        ValueError: if the source is unknown, or the label belongs to none of the twelve types.
    """
    if source not in MCIO_TYPES:
        return AttackType.from_native(source, label)
    if label not in MCIO_TYPES[source]:
        raise ValueError(f"{source}: the label {label!r} is none of {', '.join(MCIO_TYPES[source])}")
    return MCIO_TYPES[source][label]


def label_table(source: str) -> str:
    """The map of one data set as a Markdown table: type, native labels (runs of numbers shortened)."""
    labels: dict[AttackType, list[str]] = {}
    for label in _CANDIDATES[source]:
        try:
            labels.setdefault(native_type_of(source, label), []).append(label)
        except ValueError:
            continue
    rows = [f"| {kind} | {_shortened(labels[kind])} |" for kind in AttackType if kind in labels]
    return "\n".join(["| type | native labels |", "|---|---|", *rows])


def _shortened(labels: list[str]) -> str:
    """Runs of labels that differ by one at the end, as "first to last"."""
    runs: list[list[str]] = []
    for label in labels:
        if runs and _follows(runs[-1][-1], label):
            runs[-1].append(label)
        else:
            runs.append([label])
    return ", ".join(f"`{run[0]}`" if len(run) == 1 else f"`{run[0]}` to `{run[-1]}`" for run in runs)


def _follows(before: str, label: str) -> bool:
    """Whether the last two digits of `label` come next after those of `before`, all else being equal."""
    if not (before[-2:].isdigit() and label[-2:].isdigit()) or before[:-2] != label[:-2]:
        return False
    return int(label[-2:]) == int(before[-2:]) + 1
