"""How close explanations are to reference texts: BLEU-1 to 4, ROUGE-L and METEOR, beside what a template alone earns.

The metrics come from libraries (sacrebleu, rouge-score, NLTK), named with their versions in every report. N-gram
metrics reward the wording that all answers share. So every result stands beside that of a baseline that sees no image:
the reference of another image of the same class. Only what lies above it was read from the picture.

It knows texts and classes, no models. Whether the verdict of an explanation is right is counted in `summary.py`.

Example:
    >>> from faceshield_hf.evaluation.text import text_metrics
    >>> round(text_metrics(["the skin is flat"], ["the skin is flat"])["rouge_l"], 2)
    1.0
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np


class NoWordNet:
    """Stands for WordNet where its data is not installed: no word has synonyms, exact and stem matches remain."""

    def synsets(self, word: str) -> list[Any]:
        """No synonyms."""
        return []


def text_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Compare texts with one reference each.

    Args:
        texts (`Sequence[str]`): what was said; empty texts count as nothing said.
        references (`Sequence[str]`): what should have been said, in the same order.

    Returns:
        `dict[str, float]`: `bleu1` to `bleu4` (of the whole corpus, uniform weights up to that length), `rouge_l`
            (mean F1) and `meteor` (mean); 0..1.

    Raises:
        ValueError: without any text, or unless there are as many references.
    """
    if not texts or len(texts) != len(references):
        raise ValueError(
            f"got {len(texts)} texts and {len(references)} references; expected as many, and at least one"
        )
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    scores = {
        f"bleu{n}": BLEU(lowercase=True, max_ngram_order=n).corpus_score(list(texts), [list(references)]).score / 100
        for n in (1, 2, 3, 4)
    }
    rouge = RougeScorer(["rougeL"])
    pairs = list(zip(texts, references, strict=True))
    scores["rouge_l"] = float(np.mean([rouge.score(reference, text)["rougeL"].fmeasure for text, reference in pairs]))
    scores["meteor"] = float(np.mean([_meteor(text, reference) for text, reference in pairs]))
    return scores


def against_template(
    texts: Sequence[str], references: Sequence[str], classes: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Text metrics with the shuffled baseline beside them.

    The baseline answers each image with the reference of another image of the same class. An image that is the only
    one of its class has no such reference and is left out of the baseline.

    Args:
        texts (`Sequence[str]`): what was said.
        references (`Sequence[str]`): one each.
        classes (`Sequence[str]`): the true attack type of each.
        seed (`int`, *optional*, defaults to 0): of the shuffling.

    Returns:
        `dict`: `count`, `model`, `baseline` (missing if every class has one image), `gain` (model minus baseline),
            `exact_matches` (share of texts equal to their reference) and `tools`.
    """
    model = text_metrics(texts, references)
    others = other_of_class(classes, seed)
    result: dict[str, Any] = {
        "count": len(texts),
        "model": model,
        "exact_matches": float(np.mean([a == b for a, b in zip(texts, references, strict=True)])),
        "tools": tools(),
    }
    kept = [(i, other) for i, other in enumerate(others) if other is not None]
    if kept:
        baseline = text_metrics([references[other] for _, other in kept], [references[i] for i, _ in kept])
        result |= {"baseline": baseline, "baseline_count": len(kept)}
        result["gain"] = {name: model[name] - baseline[name] for name in model}
    return result


def other_of_class(classes: Sequence[str], seed: int = 0) -> list[int | None]:
    """For each item another one of its class: each is used once, none stands for itself; `None` if it is alone."""
    rng = np.random.default_rng(seed)
    others: list[int | None] = [None] * len(classes)
    for name in sorted(set(classes)):
        members = rng.permutation([i for i, value in enumerate(classes) if value == name]).tolist()
        if len(members) > 1:
            for i, member in enumerate(members):
                others[member] = members[i - 1]
    return others


def tools() -> dict[str, str]:
    """Which library computed what, in which version, and what METEOR could match."""
    matches = "exact and stem matches only (WordNet is not installed)" if _synonyms() is _NONE else "with WordNet"
    return {
        "bleu": f"sacrebleu {version('sacrebleu')}, corpus, lower case, tokenizer 13a, smoothing exp",
        "rouge_l": f"rouge-score {version('rouge-score')}, mean F1, no stemming",
        "meteor": f"NLTK {version('nltk')}, mean, {matches}; its values are not those of METEOR 1.5 (Java)",
    }


_NONE = NoWordNet()


@cache
def _synonyms() -> Any:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return _NONE
    return wordnet


def _meteor(text: str, reference: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    words = Tokenizer13a()
    return float(
        single_meteor_score(words(reference.lower()).split(), words(text.lower()).split(), wordnet=_synonyms())
    )
