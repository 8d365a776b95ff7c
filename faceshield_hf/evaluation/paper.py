"""What the papers report, as far as it could be checked, in the shape of their tables.

Shares 0..1, as everywhere. FaceShield's rows are from its text (arXiv 2505.09415); the rows of other systems in its
tables, and the single rows of its ablations, are not repeated here. The other papers' HTER is mostly at the test set's
own EER threshold, which is an oracle: they stand beside `hter_oracle`, never beside our HTER.

Example:
    >>> from faceshield_hf.evaluation.paper import FACESHIELD
    >>> FACESHIELD["coarse"]["hter"]
    0.0053
"""

FACESHIELD: dict[str, dict[str, float]] = {
    "coarse": {"acc": 0.9941, "hter": 0.0053},
    "fine": {"acc": 0.9581},
    "reasoning": {"acc": 0.9929, "hter": 0.0057},
    "text": {"bleu4": 0.8398, "rouge_l": 0.8298, "meteor": 0.5310},
    "localization": {"ap40": 0.9778, "ap50": 0.9560},
}
"""FaceShield on its intra protocol (W&S&P), by the sections of a report."""

BUNNY_TEXT = {"bleu4": 0.813}
"""The paper's fine-tuned Bunny, which has neither SAVP nor PVTM: near-template references lift every system."""

CROSS_HTER: dict[str, tuple[str, float]] = {
    "wsp-to-padisi": ("W&S -> P", 0.0637),
    "wsp-to-siw-mv2": ("W&P -> S", 0.103),
    "wsp-to-wmca": ("S&P -> W", 0.0571),
}
"""FaceShield's cross-dataset HTER by our protocols' names."""

MCIO_AVERAGE: dict[str, tuple[float, float | None]] = {
    "FLIP (ICCV 2023)": (0.0301, None),
    "CFPL (CVPR 2024)": (0.0360, None),
    "I-FAS (AAAI 2025)": (0.0133, 0.9950),
}
"""Mean HTER and AUC over the four leave-one-out tests."""

ONE_TO_ELEVEN: dict[str, dict[str, float]] = {
    "FLIP": {
        "casia-fasd": 0.0488,
        "csmad-3dmask": 0.0883,
        "hkbu-mars": 0.1725,
        "hifimask": 0.2832,
        "msu-mfsd": 0.1937,
        "oulu-npu": 0.2057,
        "replay-attack": 0.2567,
        "siw": 0.1101,
        "siw-mv2": 0.2595,
        "wmca": 0.1936,
        "mean": 0.1873,
    },
    "I-FAS": {
        "casia-fasd": 0.0111,
        "csmad-3dmask": 0.0618,
        "hkbu-mars": 0.1864,
        "hifimask": 0.2823,
        "msu-mfsd": 0.0563,
        "oulu-npu": 0.1486,
        "replay-attack": 0.0915,
        "rose-youtu": 0.0552,
        "siw": 0.0402,
        "siw-mv2": 0.1089,
        "wmca": 0.2007,
        "mean": 0.1130,
    },
    "FaceCoT-100K": {
        "casia-fasd": 0.0,
        "csmad-3dmask": 0.0133,
        "hkbu-mars": 0.1174,
        "hifimask": 0.1863,
        "msu-mfsd": 0.0458,
        "oulu-npu": 0.1270,
        "replay-attack": 0.0737,
        "rose-youtu": 0.0551,
        "siw": 0.0003,
        "siw-mv2": 0.0950,
        "wmca": 0.1277,
        "mean": 0.0765,
    },
}
"""HTER of models trained on CelebA-Spoof alone, by target. From reading notes, not from the papers themselves; FLIP's
value on Rose-Youtu contradicts its row's mean and is left out."""
