"""From a finished training run to a checkpoint worth shipping: calibration, half-precision weights, the card.

It fits two numbers on held-out subjects and stores them in the configuration, and it writes small safetensors files
that load in float32. It neither trains nor judges.

Example:
    >>> from faceshield_hf.training.export import fit_temperature
    >>> import numpy as np
    >>> round(fit_temperature(np.array([True, True, False, False]), np.array([0.9, 0.9, 0.9, 0.1])), 2) > 1
    True
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from faceshield_hf.configuration_faceshield import FaceShieldConfig
from faceshield_hf.evaluation.evaluate import Judged
from faceshield_hf.evaluation.metrics import eer_threshold
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor


_LOGIT_LIMIT = 30.0  # float32 scores saturate at 0 and 1


def calibrate(judged: Sequence[Judged], folder: str | Path) -> dict[str, float]:
    """Fit temperature and threshold on other subjects than are tested, and store them in the checkpoint.

    The threshold is that of the equal error rate; the temperature is the one that maximises the likelihood of the
    labels (Guo et al. 2017, arXiv 1706.04599).

    Args:
        judged (`Sequence[Judged]`): a run of this checkpoint over the held-out images.
        folder (`str` or `Path`): the checkpoint, whose `config.json` is changed.

    Returns:
        `dict[str, float]`: `score_temperature` and `score_threshold`.
    """
    config = FaceShieldConfig.from_pretrained(folder)
    attack = np.array([not j.sample.is_live for j in judged])
    scores = np.array([j.score for j in judged], np.float64)
    temperature = fit_temperature(attack, scores)
    threshold, _ = eer_threshold(attack, scores)
    fitted = {
        "score_temperature": config.score_temperature * temperature,
        "score_threshold": float(1 / (1 + np.exp(-_log_odds(np.array([threshold]))[0] / temperature))),
    }
    _change_json(Path(folder) / "config.json", fitted)
    return fitted


def fit_temperature(is_attack: np.ndarray, scores: np.ndarray) -> float:
    """The factor by which log-odds must be divided for the labels to be most likely.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof), 0..1.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(np.asarray(is_attack, bool), 1, -1) * _log_odds(scores)
    loss = lambda log_t: float(np.logaddexp(0, -signed / np.exp(log_t)).mean())  # noqa: E731
    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


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


def _log_odds(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(scores) - np.log1p(-scores), -_LOGIT_LIMIT, _LOGIT_LIMIT)


def _change_json(path: Path, values: dict) -> None:
    """Change some keys of a JSON file; the file is replaced as a whole."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(values)
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, path)
