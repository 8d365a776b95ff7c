"""From a finished training run to a checkpoint worth shipping: calibration, half-precision weights, the card.

It stores what was fitted on held-out subjects in the configuration, and it writes small safetensors files that load in
float32. It neither trains nor judges.

Example:
    >>> from faceshield_hf.training.export import export_checkpoint
    >>> export_checkpoint("outputs/tiny/sft", "outputs/tiny/checkpoint")  # doctest: +SKIP
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from faceshield_hf.configuration_faceshield import FaceShieldConfig
from faceshield_hf.evaluation.calibration import fit_margin, fit_temperature, from_log_odds, log_odds
from faceshield_hf.evaluation.judged import Judged
from faceshield_hf.evaluation.metrics import eer_threshold
from faceshield_hf.evaluation.summary import with_scores
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.whole_files import write_json


def calibrate(judged: Sequence[Judged], folder: str | Path) -> dict[str, float]:
    """Fit temperature, threshold and unsure band on other subjects than are tested, and store them in the checkpoint.

    The temperature is the one that maximises the likelihood of the labels (Guo et al. 2017, arXiv 1706.04599), the
    threshold that of the equal error rate, and the band as wide as `fit_margin` makes it.

    Args:
        judged (`Sequence[Judged]`): a run of this checkpoint over the held-out images.
        folder (`str` or `Path`): the checkpoint, whose `config.json` is changed.

    Returns:
        `dict[str, float]`: `score_temperature`, `score_threshold` and `score_margin`.
    """
    config = FaceShieldConfig.from_pretrained(folder)
    attack, scores = with_scores(judged)
    temperature = fit_temperature(attack, scores)
    calibrated = from_log_odds(log_odds(scores) / temperature)
    threshold, _ = eer_threshold(attack, calibrated)
    fitted = {
        "score_temperature": config.score_temperature * temperature,
        "score_threshold": threshold,
        "score_margin": fit_margin(attack, calibrated, threshold),
    }
    _change_json(Path(folder) / "config.json", fitted)
    return fitted


def export_checkpoint(source: str | Path, target: str | Path) -> None:
    """Copy a checkpoint with weights in float16 that load in float32.

    Args:
        source (`str` or `Path`): a trained checkpoint with its processor.
        target (`str` or `Path`): the folder to write.

    Raises:
        ValueError: when a weight doesn't fit into float16.
    """
    model = FaceShieldForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    model = model.half()
    broken = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
    if broken:
        raise ValueError(f"{source}: {len(broken)} tensors don't fit into float16 or aren't finite, first {broken[0]}")
    model.save_pretrained(target)
    FaceShieldProcessor.from_pretrained(source).save_pretrained(target)
    # transformers loads in the configuration's dtype: small files, full precision arithmetic. Where the parts once lay
    # on the maker's disk is nobody's business.
    path = Path(target) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    parts = {
        name: {**config[name], "dtype": "float32", "_name_or_path": ""} for name in ("vision_config", "text_config")
    }
    _change_json(path, {"dtype": "float32", **parts})


def _change_json(path: Path, values: dict) -> None:
    """Change some keys of a JSON file; the file is replaced as a whole."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(values)
    write_json(path, content, sort_keys=True)
