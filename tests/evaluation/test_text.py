"""Text metrics: what the libraries give, and the baseline that sees no image."""

import pytest

from faceshield_hf.evaluation import text


def test_equal_texts_score_one_and_different_ones_none():
    told = ["the skin is flat and the light is even here"]
    equal = text.text_metrics(told, told)
    assert equal["bleu4"] == pytest.approx(1)
    assert equal["rouge_l"] == 1
    assert equal["meteor"] > 0.99
    assert text.text_metrics(["nothing alike"], told)["rouge_l"] == 0


def test_bleu_and_rouge_of_a_hand_worked_case():
    told = text.text_metrics(["the cat sat on the mat"], ["the cat is on the mat"])
    assert told["bleu1"] == pytest.approx(5 / 6)  # "sat" is not in the reference
    assert told["bleu2"] == pytest.approx((5 / 6 * 3 / 5) ** 0.5)  # "the cat", "on the", "the mat" of five
    assert told["rouge_l"] == pytest.approx(5 / 6)


def test_without_wordnet_meteor_matches_stems_but_no_synonyms(monkeypatch):
    monkeypatch.setattr(text, "_synonyms", lambda: text._NONE)
    stem = text.text_metrics(["masks"], ["mask"])["meteor"]
    assert stem > 0
    assert text.text_metrics(["picture"], ["photograph"])["meteor"] == 0
    assert "exact and stem matches only" in text.tools()["meteor"]


def test_the_tools_are_named_with_their_versions():
    from importlib.metadata import version

    tools = text.tools()
    assert f"sacrebleu {version('sacrebleu')}" in tools["bleu"]
    assert f"rouge-score {version('rouge-score')}" in tools["rouge_l"]
    assert f"NLTK {version('nltk')}" in tools["meteor"]


def test_a_stand_in_is_of_the_same_class_never_itself_and_used_once():
    classes = ["a"] * 5 + ["b"] * 3 + ["c"]
    others = text.other_of_class(classes, seed=1)
    assert others[-1] is None
    assert sorted(others[:5]) == list(range(5))
    assert sorted(others[5:8]) == [5, 6, 7]
    assert all(i != other for i, other in enumerate(others))


def test_a_template_earns_everything_and_gains_nothing():
    references = ["the same sentence for all of this class"] * 4
    told = text.against_template(references, references, ["a", "a", "b", "b"])
    assert told["baseline"]["bleu4"] == pytest.approx(1)
    assert told["gain"]["bleu4"] == pytest.approx(0)


def test_what_is_read_from_the_image_shows_as_gain():
    references = [
        "red marks on the left cheek",
        "a pale seam under the chin",
        "moire over the eyes",
        "glare at the edge",
    ]
    told = text.against_template(references, references, ["a"] * 4)
    assert told["exact_matches"] == 1
    assert told["gain"]["bleu4"] > 0.8


def test_silence_scores_nothing():
    assert text.text_metrics(["", ""], ["a b c d e", "a b c d f"])["bleu1"] == 0


def test_texts_without_references_are_refused():
    with pytest.raises(ValueError, match="2 texts and 1 references"):
        text.text_metrics(["a", "b"], ["a"])
