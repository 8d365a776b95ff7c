"""The dataset card of a build: what is in it, what was left out, where the faces come from.

All numbers are counted by the build; what no count can tell (licence, consent, contact) comes from the configuration
and is asked for in the card where it is missing. `datasets.load_dataset(folder)` finds the splits by the files' names.
The header does not list them: `datasets` would then cache the rows under the folder's last name alone, and give one
build's rows for another of that name. Pushing lists them; the Hub's revisions tell builds apart.

Example:
    >>> from faceshield_hf.data.build.card import table
    >>> print(table("type", {"Print": 3, "Tattoo": 1}))
    | type | records | share |
    |---|---|---|
    | Print | 3 | 75.0 % |
    | Tattoo | 1 | 25.0 % |
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from faceshield_hf.data.build.config import CardConfig
from faceshield_hf.data.schema import SPLITS
from faceshield_hf.version import __version__


_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MISSING = "**Not stated. Whoever publishes this data set must say so here first.**"
_TEMPLATE = """---
{metadata}
---

# {title}

{records:,} questions and answers about {images:,} face images, live and under presentation attack: instruction data
for face anti-spoofing with multimodal language models, built by `faceshield build-dataset` of faceshield_hf {version}.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="{split}")
print(rows[0]["question"], rows[0]["answer"])
```

## People in the images

- Faces: {faces}
- Consent: {consent}
- Licence of the images: {license}
- Simulated share: {simulated}
- Synthetic share: {synthetic}
- To have an image withdrawn: {contact}

Use it for research on presentation attack detection. It is not meant for recognising people, and says nothing about
how well a system works for any group of them.

## What is in it

{tables}

Splits never share a subject. `boxes` are fractions of the upright image; in answers they are integers 0 to 999.
`provenance` says for each record who wrote it, which filters it passed, whether a reviewer saw it and what it
paraphrases.

## What was left out

{losses}

Every item that was left out is in `skipped.jsonl` with its reason. `report.html` shows images and distributions.

## Labels and texts

The class label was shown to the writer of an answer at generation only; it is in no question. Answers of language
models are put into one grammar whose verdict, type and boxes are those of the label. {passes}
"""


def write_card(folder: str | Path, counts: Mapping[str, Any], config: CardConfig) -> Path:
    """Write `README.md` into a build.

    Args:
        folder (`str` or `Path`): the build.
        counts (`Mapping`): its counts.
        config (`CardConfig`): what no count can tell.

    Returns:
        `Path`: the card.
    """
    splits = [split for split in SPLITS if counts["split"].get(split)]
    kinds = {source: counts["source"][source] for source in sorted(counts["source"])}
    data = DatasetCardData(
        language="en",
        license=config.license,
        license_name=config.license_name or None,
        task_categories=["image-text-to-text", "visual-question-answering"],
        tags=["face-anti-spoofing", "presentation-attack-detection", "liveness", "faceshield"],
        size_categories=[next((name for most, name in _SIZES if counts["records"] < most), "1M<n<10M")],
        pretty_name=config.title,
        annotations_creators=["machine-generated", *(["expert-generated"] if _reviewed(counts) else [])],
    )
    synthetic = "unknown"
    if config.synthetic is not None:
        synthetic = f"{100 * config.synthetic:g} % of the images show people who don't exist"
    text = _TEMPLATE.format(
        metadata=data.to_yaml(),
        title=config.title,
        records=counts["records"],
        images=counts["images_used"],
        version=__version__,
        split=splits[0],
        faces=config.faces or _MISSING,
        consent=config.consent or _MISSING,
        license=config.license_name or (config.license if config.license != "other" else _MISSING),
        simulated=_simulated(counts),
        synthetic=synthetic,
        contact=config.contact or _MISSING,
        tables="\n\n".join(
            table(name, part)
            for name, part in (
                ("split", {split: counts["split"][split] for split in splits}),
                ("type", counts["attack_type"]),
                ("task", counts["task"]),
                ("source", kinds),
                ("written by", counts["generator"]),
                ("review", counts["review"]),
            )
        ),
        losses=losses_table(counts),
        passes=_passes(counts),
    )
    path = Path(folder) / "README.md"
    DatasetCard(text, ignore_metadata_errors=True).save(path)
    return path


def table(name: str, part: Mapping[str, int]) -> str:
    """Counts and shares in Markdown."""
    total = sum(part.values()) or 1
    rows = [f"| {key} | {number:,} | {100 * number / total:.1f} % |" for key, number in part.items()]
    return "\n".join([f"| {name} | records | share |", "|---|---|---|", *rows])


def losses_table(counts: Mapping[str, Any]) -> str:
    """What each filter saw and let through, and why items were left out, in Markdown."""
    lines = ["| filter | answers seen | passed | rate |", "|---|---|---|---|"]
    for name, one in {**counts["filters"], **_paraphrase_filter(counts)}.items():
        rate = f"{100 * one['passed'] / one['seen']:.2f} %" if one["seen"] else "-"
        lines.append(f"| {name} | {one['seen']:,} | {one['passed']:,} | {rate} |")
    reasons = [(step, reason, n) for step, part in counts["skipped"].items() for reason, n in part.items()]
    if not reasons:
        return "\n".join([*lines, "", "Nothing else was left out."])
    lines += ["", "| step | reason | items |", "|---|---|---|"]
    lines += [f"| {step} | {reason.replace('|', '/')} | {n:,} |" for step, reason, n in sorted(reasons)]
    return "\n".join(lines)


def _paraphrase_filter(counts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    told = counts.get("paraphrase")
    if not told:
        return {}
    kept = told["tried"] - told["unchanged"] - told["changed_facts"] - told["unanswered"]
    return {"paraphrase keeps the facts": {"seen": kept + told["changed_facts"], "passed": kept}}


def _simulated(counts: Mapping[str, Any]) -> str:
    """How many records show what the simulator made, as far as the rows of the inputs say it."""
    told = counts["simulated"]
    parts = []
    if told.keys() & {"yes", "no"}:
        parts.append(f"{100 * told.get('yes', 0) / counts['records']:.1f} % of the records")
    if told.get("unknown"):
        parts.append(f"unknown for {100 * told['unknown'] / counts['records']:.1f} % (their rows don't say)")
    return ", ".join(parts)


def _passes(counts: Mapping[str, Any]) -> str:
    passes = counts["passes"]
    if not passes["asked"]:
        return ""
    second = passes["asked"] - passes["right_first"]
    return (
        f"Of {passes['asked']:,} chains of thought {passes['right_first']:,} had the right conclusion and form at the "
        f"first pass, {passes['right_second']:,} of the other {second:,} at the second."
    )


def _reviewed(counts: Mapping[str, Any]) -> bool:
    return bool(set(counts["review"]) & {"accepted", "fixed"})
