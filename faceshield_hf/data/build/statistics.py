"""What is in a build, in numbers: counted shard by shard, added up at the end.

Everything is a nested dictionary of counts, so that the statistics of a shard can be stored as JSON and two of them
added. It knows nothing of files.

Example:
    >>> from faceshield_hf.data.build.statistics import add_counts
    >>> add_counts({"a": 1, "b": {"c": 2}}, {"b": {"c": 3, "d": 1}})
    {'a': 1, 'b': {'c': 5, 'd': 1}}
"""

import re
from collections.abc import Sequence
from typing import Any

from faceshield_hf.data.build.inputs import Skip
from faceshield_hf.data.instruct.drafts import Draft


BOX_BINS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Upper edges of the box sizes that are counted, as shares of the image."""

WORD_BINS = (10, 20, 30, 40, 60, 80, 120, 10_000)
"""Upper edges of the answer lengths that are counted, in words."""

CLIP_BINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1.0)
"""Upper edges of the CLIP scores that are counted."""

_SIMULATED = {True: "yes", False: "no", None: "unknown"}


def count(images: int, drafts: Sequence[Draft], skips: Sequence[Skip]) -> dict[str, Any]:
    """Count one shard.

    Args:
        images (`int`): rows that were read, bad ones too.
        drafts (`Sequence[Draft]`): all of them; those with a fault count only as scores.
        skips (`Sequence[Skip]`): everything left out.

    Returns:
        `dict`: nested counts.
    """
    stats: dict[str, Any] = {
        "images_read": images,
        "images_used": len({draft.picture.name for draft in drafts if not draft.fault}),
        "records": 0,
        "paraphrases": 0,
        "attack_type": {},
        "task": {},
        "source": {},
        "split": {},
        "generator": {},
        "review": {},
        "domain": {},
        "simulated": {},
        "box_share": {},
        "answer_words": {},
        "clip_score": {},
        "skipped": {},
    }
    for draft in drafts:
        if draft.clip_score is not None:
            _one(stats["clip_score"], _bin(draft.clip_score, CLIP_BINS))
        if draft.fault:
            continue
        sample = draft.picture.sample
        stats["records"] += 1
        stats["paraphrases"] += bool(draft.paraphrase_of)
        for name, value in (
            ("attack_type", sample.attack_type.value),
            ("task", draft.task.value),
            ("source", draft.picture.source),
            ("split", draft.picture.split),
            ("generator", draft.generator),
            ("review", draft.review),
            ("domain", sample.domain or "unknown"),
            ("simulated", _SIMULATED[sample.is_simulated]),
        ):
            _one(stats[name], value)
        _one(stats["answer_words"].setdefault(draft.task.value, {}), _bin(len(draft.answer.split()), WORD_BINS))
    for sample in {draft.picture.name: draft.picture.sample for draft in drafts if not draft.fault}.values():
        for box in sample.boxes:
            _one(stats["box_share"], _bin(box.area, BOX_BINS))
    for skip in skips:
        _one(stats["skipped"].setdefault(skip.step, {}), reason_class(skip.reason))
    return stats


def add_counts(total: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add nested counts to others, which are changed and returned."""
    for key, value in more.items():
        if isinstance(value, dict):
            add_counts(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
    return total


def reason_class(reason: str) -> str:
    """A reason without names and numbers, so that like ones are counted together."""
    if "field " in reason:
        return "a bad row: field " + reason.split("field ")[1].split(":")[0]
    reason = re.sub(r"\(.*?\)", "", re.sub(r"[\w./-]*\.\w{3,5}\b", "the file", reason))
    return re.sub(r"\d+", "n", reason.split(": '")[0]).strip()[:80]


def _one(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _bin(value: float, edges: Sequence[float]) -> str:
    """The upper edge of the bin that a value falls into."""
    return f"{next((edge for edge in edges if value <= edge), edges[-1]):g}"
