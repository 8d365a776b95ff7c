"""The embedded checkpoint's card, and any report's numbers in the form the Hub reads.

The card is made from the reports that `recipes/evaluate.py` writes: no number in it is typed by hand. It knows the
Hub's card format and nothing of training.

Example:
    >>> from faceshield_hf.hub.report import eval_results
    >>> report = {"score": {"auc": 0.9, "hter": 0.2}, "fine": {"acc": 0.8}, "localization": {"acc_iou50": 0.7}}
    >>> [result.metric_type for result in eval_results({"validation-AB": report})]
    ['auc', 'hter', 'accuracy', 'acc_iou50']
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from faceshield_hf.version import __version__
from faceshield_hf.whole_files import write_json


_TASK = "image-text-to-text"
# A checkpoint learns from two of the simulator's three domains.
_DOMAINS = {
    "AB": "A and B (seen in training)",
    "AC": "A and C (seen in training)",
    "BC": "B and C (seen in training)",
    "A": "A (never seen in training)",
    "B": "B (never seen in training)",
    "C": "C (never seen in training)",
}
# metric -> where it stands in a report
_METRICS = {
    "auc": "score.auc",
    "hter": "score.hter",
    "accuracy": "fine.acc",
    "acc_iou50": "localization.acc_iou50",
}
_TEMPLATE = """---
{metadata}
---

# FaceShield tiny

A small multimodal LLM that tells live faces from presentation attacks, names the attack among 12 types, marks it
with boxes and says why. It is the embedded default of `faceshield_hf` {version}: made on two CPU cores, to try the
software.

**Demo weights, trained on simulated attacks on synthetic faces; not for access control.** They have seen no real
attack. What they do on real photos is unknown; expect many errors.

## Use

```python
from faceshield_hf import FaceShield

detector = FaceShield.from_pretrained()
verdict = detector.detect("photo.jpg")
print(verdict.label, verdict.score, verdict.attack_type, verdict.boxes, verdict.explanation)
```

Without the package: `AutoModel.from_pretrained(repo, trust_remote_code=True, revision="<commit>")` and
`AutoProcessor` likewise; the code stands beside the weights.

## What it is

- Vision tower: MobileNetV2 (2.2 M parameters, ImageNet weights of torchvision, BSD-3-Clause), adapted to RGB and
  spoof-aware views of 256 x 256 pixels, read at strides 8, 16 and 32.
- Connector: a token joins one cell of the coarsest map with all that the finer maps have inside it; two-layer MLP; 64
  tokens a view, 128 an image.
- Language model: Phi-3 architecture, 4 layers, 192 wide, trained from nothing; vocabulary learnt from the project's
  own texts. It can say little beyond the six tasks.
- Weights are stored in float16 and load in float32.

## Data

Attacks simulated by `faceshield_hf.data.simulate` on portraits of people who don't exist:
faker-js/assets-person-portrait (CC0-1.0) and SelfishGene/SFHQ-dataset (MIT). Subjects of training,
calibration, validation and test are disjoint.
Domains {seen} (cameras, light, media) were trained on; domain {unseen}, with attack variants of its own, was not.

## Results

On simulated attacks on held-out synthetic faces, with the threshold fitted on other subjects. They say nothing of real
attacks. Made by `python recipes/make_tiny.py --config recipes/faceshield-tiny/make.yaml --faces path/to/faces`
(seed {seed}).

{table}

Acc@IoU 0.5 of a constant box, the median of the true class, is the baseline that localization must beat.
"""

# label -> where it stands in a report; all are shares
_ROWS = (
    ("coarse ACC, text verdict", "coarse.acc"),
    ("HTER, text verdict", "coarse.hter"),
    ("AUC, score", "score.auc"),
    ("HTER, score at the fitted threshold", "score.hter"),
    ("APCER of the worst species", "score.apcer_max"),
    ("BPCER", "score.bpcer"),
    ("fine ACC, 12 types", "fine.acc"),
    ("Acc@IoU 0.5 of all boxes", "localization.acc_iou50"),
    ("that of the constant box", "localization.median_box_acc_iou50"),
    ("Acc@IoU 0.5, mean over the types", "localization.class_mean_acc_iou50"),
    ("that of the constant box", "localization.class_mean_median_box_acc_iou50"),
    ("AP@50", "localization.ap50"),
    ("reasoning verdict ACC", "reasoning.acc"),
    ("all four answers agree", "consistency"),
    ("ECE of the score", "score.ece"),
)


def results_table(reports: Mapping[str, dict[str, Any]], intervals: bool = False) -> str:
    """The main numbers of several reports side by side, in Markdown.

    Args:
        reports (`Mapping[str, dict]`): split and domains, such as "validation-AB", -> report.
        intervals (`bool`, *optional*, defaults to `False`): whether the 95 % intervals stand beside the numbers, in
            square brackets, where the report has them.

    Returns:
        `str`: a table with a column a report.
    """
    counts = [f"{report['bona_fide']} + {report['attacks']}" for report in reports.values()]
    rows = [["", *map(_title, reports)], ["---"] * (len(reports) + 1), ["images (bona fide + attacks)", *counts]]
    rows += [[label, *(_cell(report, key, intervals) for report in reports.values())] for label, key in _ROWS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def eval_results(reports: Mapping[str, dict[str, Any]]) -> list[EvalResult]:
    """The main numbers as the Hub's evaluation results (`model-index`).

    Args:
        reports (`Mapping[str, dict]`): name -> report; a name of split and domains, such as "test-C", stands for the
            simulator's images.

    Returns:
        `list[EvalResult]`: one a metric and report, for the metrics that the report has.
    """
    return [
        EvalResult(
            task_type=_TASK,
            dataset_type="simulated" if _is_simulated(name) else "face-anti-spoofing",
            dataset_name=f"simulated attacks on synthetic faces, {_title(name)}" if _is_simulated(name) else name,
            dataset_config=name,  # results of one configuration are merged into one entry of `model-index`
            metric_type=metric,
            metric_value=round(share, 4),
        )
        for name, report in reports.items()
        for metric, key in _METRICS.items()
        if (share := _share(report, key)) is not None
    ]


def write_model_card(
    folder: str | Path, reports: Mapping[str, dict[str, Any]], seed: int, unseen_domain: str = "C"
) -> None:
    """Write the embedded checkpoint's card, `README.md`, and its reports, `report.json`.

    Args:
        folder (`str` or `Path`): the checkpoint.
        reports (`Mapping[str, dict]`): split and domains -> report.
        seed (`int`): the run's seed.
        unseen_domain (`str`, *optional*, defaults to `"C"`): the simulator's domain that was not trained on.
    """
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag=_TASK,
        tags=["face-anti-spoofing", "presentation-attack-detection", "liveness", "faceshield"],
        model_name="faceshield-tiny",
        eval_results=eval_results(reports),
    )
    table = results_table(reports)
    text = _TEMPLATE.format(
        metadata=data.to_yaml(),
        version=__version__,
        seed=seed,
        table=table,
        seen=" and ".join(domain for domain in "ABC" if domain != unseen_domain),
        unseen=unseen_domain,
    )
    ModelCard(text).save(Path(folder) / "README.md")
    write_json(Path(folder) / "report.json", dict(reports))


def _is_simulated(name: str) -> bool:
    return name.partition("-")[2] in _DOMAINS


def _title(name: str) -> str:
    """Write "validation-AB" for a reader; any other name stays as it is."""
    split, _, domains = name.partition("-")
    return f"{split}, {_DOMAINS[domains]}" if domains in _DOMAINS else name


def _share(report: dict[str, Any], key: str) -> float | None:
    """What a report says, or `None` where it was made without that question, threshold or true boxes."""
    part, _, metric = key.partition(".")
    share: float | None = report.get(part, {}).get(metric) if metric else report.get(part)
    return share


def _cell(report: dict[str, Any], key: str, intervals: bool) -> str:
    share = _share(report, key)
    if share is None:
        return ""
    bounds = report.get("intervals", {}).get(key) if intervals else None
    return f"{100 * share:.1f} %" + (f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else "")
