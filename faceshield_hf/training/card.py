"""The model card of a training run: what it is for, what it learnt from, how, and how far it got.

Every number comes from the run's own record and log. The accuracy of verdicts is not known to a training run: the
evaluation measures it, and pushing a checkpoint adds its report to the card's metadata.

Example:
    >>> from faceshield_hf.training.card import final_metrics
    >>> final_metrics([{"loss": "2.5", "step": 1}, {"loss": 1.5, "step": 2}, {"eval_loss": 1.7, "step": 2}])
    {'loss': 1.5, 'eval_loss': 1.7}
"""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData


_TASK = "image-text-to-text"
_TAGS = ["face-anti-spoofing", "presentation-attack-detection", "liveness", "faceshield"]
# key of the trainer's log -> name in the card, split
_METRICS = {
    "loss": ("training loss", "train"),
    "reward": ("mean reward", "train"),
    "mean_token_accuracy": ("training token accuracy", "train"),
    "eval_loss": ("validation loss", "validation"),
    "eval_mean_token_accuracy": ("validation token accuracy", "validation"),
}
_TEMPLATE = """---
{metadata}
---

# {name}

A FaceShield model{kind} after one training stage: it answers questions on whether a face is live or a presentation
attack, which attack, where and why. Made with `faceshield_hf`, an independent re-implementation of FaceShield
([2505.09415](https://arxiv.org/abs/2505.09415)), I-FAS ([2501.01720](https://arxiv.org/abs/2501.01720)) and FaceCoT
([2506.01783](https://arxiv.org/abs/2506.01783)).

## Intended use

Research on face anti-spoofing, and advice beside other evidence. A verdict is an estimate from one picture. **Not for
access control on its own**, nor for judging who a person is or what they are like.

## Data

{data}

## Training

{training}

## Metrics

{metrics}

These say how well the answers of the data set were learnt, not how well verdicts are right. Measure that on people
and attacks that were held out: `python recipes/evaluate.py`, whose report belongs beside these weights.

## Limits

Kinds of attacks, cameras and people that the training data lacks are judged worse. Explanations are generated words:
they can sound sure and be wrong. Thresholds must be fitted on held-out subjects of the place of use.
"""


def write_card(
    folder: str | Path, run: dict[str, Any], log: list[dict[str, Any]], *, is_adapter: bool = False
) -> None:
    """Write a checkpoint's `README.md`.

    Args:
        folder (`str` or `Path`): the checkpoint.
        run (`dict`): what `describe_run` gave, with `rows` and `data`.
        log (`list[dict]`): the trainer's `state.log_history`.
        is_adapter (`bool`, *optional*, defaults to `False`): whether the folder holds a LoRA adapter alone; a model
            that was merged with one is whole.
    """
    folder = Path(folder)
    name = folder.resolve().name
    found = final_metrics(log)
    on_hub = "commit" in run["data"]
    metadata = ModelCardData(
        language="en",
        library_name="peft" if is_adapter else "transformers",
        pipeline_tag=_TASK,
        tags=_TAGS,
        model_name=name,
        base_model=_hub_id(run["model"]["model_name_or_path"]),
        datasets=[run["data"]["data"]] if on_hub else None,
        eval_results=[_result(key, value, run) for key, value in found.items()] or None,
    )
    text = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        name=name,
        kind="'s LoRA adapter" if is_adapter else "",
        data=_data(run),
        training=_training(run),
        metrics=_table(found) if found else "Nothing was logged: set `logging_steps`.",
    )
    ModelCard(text).save(folder / "README.md")


def final_metrics(log: list[dict[str, Any]]) -> dict[str, float]:
    """The last logged value of each metric.

    Args:
        log (`list[dict]`): the trainer's `state.log_history`.

    Returns:
        `dict`: metric -> value, those that were logged.
    """
    found = {}
    for key in _METRICS:
        values = [entry[key] for entry in log if key in entry]
        if values:
            found[key] = float(values[-1])
    return found


def _result(key: str, value: float, run: dict[str, Any]) -> EvalResult:
    title, split = _METRICS[key]
    return EvalResult(
        task_type=_TASK,
        dataset_type="faceshield-records",
        dataset_name=f"{Path(run['data']['data']).name} ({split})",
        dataset_split=split,
        metric_type=key.removeprefix("eval_"),
        metric_name=title,
        metric_value=round(value, 4),
    )


def _data(run: dict[str, Any]) -> str:
    data = run["data"]
    where = f"`{Path(data['data']).name}`" if "sha256" in data else f"[{data['data']}]({_dataset_url(data)})"
    if "sha256" in data:
        exact = f"SHA-256 of the records `{data['sha256']}`"
    else:
        exact = f"commit `{data['commit']}`" if data["commit"] else "its commit unknown, as the run was offline"
    counts = ", ".join(f"{count:,} rows for {split}" for split, count in run["rows"].items())
    return f"{where}, {exact}; {counts}."


def _training(run: dict[str, Any]) -> str:
    recipe, training, model = run["recipe"], run["training"], run["model"]
    told = {
        "started from": f"`{_public(model['model_name_or_path'])}`",
        "parts that learn": ", ".join(recipe["train_parts"]) or "none in full",
        "LoRA": f"rank {model['lora_r']}, alpha {model['lora_alpha']}" if model.get("use_peft") else "no",
        "learning rate": training["learning_rate"],
        "epochs": round(run.get("epoch") or 0, 3),
        "steps": run.get("global_step"),
        "rows a step": run["rows_a_step"],
        "seed": training["seed"],
        "precision": "bfloat16" if training.get("bf16") else "float32",
        "minutes": run.get("minutes"),
        "code": run["code"]["commit"] or f"faceshield_hf {run['code']['faceshield_hf']}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in told.items())])


def _table(found: dict[str, float]) -> str:
    return "\n".join(["| | last |", "|---|---|", *(f"| {_METRICS[key][0]} | {v:.4f} |" for key, v in found.items())])


def _dataset_url(data: dict[str, Any]) -> str:
    return f"https://huggingface.co/datasets/{data['data']}"


def _hub_id(path: str) -> str | None:
    """A name on the Hub; a local folder has no place in metadata."""
    return None if Path(path).exists() or path.count("/") != 1 else path


def _public(path: str) -> str:
    """A name on the Hub, or a local folder's own name without where it lies."""
    return path if _hub_id(path) else Path(path).name
