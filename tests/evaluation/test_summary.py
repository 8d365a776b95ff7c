"""The numbers of a run, on runs that are right, wrong, silent or broken in known ways."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_helpers import perfect, perfect_answers, read, write_images

from faceshield_hf.evaluation.judged import Judged, judged_from, mean_over, template_references
from faceshield_hf.evaluation.results import Said
from faceshield_hf.evaluation.summary import summarize
from faceshield_hf.tasks_faceshield import AttackType, Box, Task


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return read(write_images(tmp_path_factory.mktemp("images") / "a", 16, subjects=8))


def saying(samples, **answers):
    """A run that says the same of every image."""
    return [judged_from(sample, Said(str(sample.path), 0.5, answers)) for sample in samples]


def test_a_perfect_run_has_perfect_numbers(samples):
    report = summarize(perfect(samples), 0.5, resamples=50)
    assert report["score"]["hter"] == report["coarse"]["hter"] == report["reasoning"]["hter"] == 0
    assert report["fine"]["acc"] == report["consistency"] == 1
    assert report["localization"]["ap50"] == 1
    assert report["localization"]["mean_iou"] == pytest.approx(1, abs=0.01)  # answers hold whole numbers, 0 to 999
    assert report["localization"]["false_boxes_on_bona_fide"] == 0
    assert set(report["agreement"].values()) == {1.0}
    assert report["intervals"]["fine.acc"] == report["intervals"]["localization.ap50"] == [1.0, 1.0]
    assert report["intervals"]["coarse.hter"] == [0.0, 0.0]


def test_answers_without_a_verdict_are_errors_in_both_rates(samples):
    report = summarize(saying(samples, coarse="I cannot tell.", fine="Hm.", reasoning="", localization="?"), None)
    assert report["coarse"] == {"acc": 0.0, "apcer_pooled": 1.0, "bpcer": 1.0, "hter": 1.0, "parse_rate": 0.0}
    assert report["fine"]["parse_rate"] == 0
    assert report["consistency"] == 0  # silence agrees with nothing
    assert report["fine"]["confusion"]["rows"][0][-1] == 8


def test_without_a_threshold_scores_are_reported_without_decisions(samples):
    score = summarize(perfect(samples), None)["score"]
    assert score["auc"] == 1
    assert "hter" not in score and "acc" not in score


def test_the_threshold_comes_from_the_dev_images(samples):
    low = [replace(j, score=0.1 + 0.1 * j.score) for j in perfect(samples)]  # 0.1 live, 0.2 attack
    report = summarize(low, 0.5, dev=low)
    assert report["score"]["hter"] == 0.5
    assert report["score"]["hter_dev"] == 0
    assert 0.1 < report["score"]["dev_threshold"] <= 0.2


def test_an_image_that_failed_is_wrong_in_every_decision_and_left_out_of_curves(samples):
    judged = perfect(samples)
    judged[1] = Judged(samples[1], None, {}, error="broken")
    report = summarize(judged, 0.5, resamples=20)
    assert report["score"]["apcer_pooled"] == report["coarse"]["apcer_pooled"] == 1 / 8
    assert report["score"]["auc"] == 1
    assert report["localization"]["acc_iou50"] == 7 / 8
    assert report["fine"]["acc"] == 15 / 16


def test_a_class_that_failed_as_a_whole_is_reported_without_curves(samples):
    judged = [j if not j.sample.is_live else Judged(j.sample, None, {}, error="broken") for j in perfect(samples)]
    report = summarize(judged, 0.5, blank_score=0.25)
    assert report["score"]["bpcer"] == 1
    assert report["score"]["apcer_pooled"] == 0
    assert "auc" not in report["score"]
    assert report["debias"]["plain"]["hter_at_half"] == 0.5  # failed images are wrong here too


def test_intervals_come_from_drawing_subjects_of_every_data_set(samples):
    """Two people of eight images each, one always wrong: a draw has none, half or all of the images wrong."""
    two = [replace(s, subject_id="s", source="ab"[i // 8]) for i, s in enumerate(samples)]
    wrong = {"coarse": "The face in the image is real."}, {"coarse": "The face in the image is a spoof."}
    judged = [judged_from(s, Said(str(s.path), 0.5, wrong[s.is_live != (s.source == "a")])) for s in two]
    report = summarize(judged, None, resamples=200)
    assert report["subjects"] == 2
    assert report["coarse"]["acc"] == 0.5
    assert report["intervals"]["coarse.acc"] == [0.0, 1.0]


def test_only_one_class_is_refused(samples):
    with pytest.raises(ValueError, match="8 attacks and 0 bona fide"):
        summarize([j for j in perfect(samples) if not j.sample.is_live], 0.5)


def test_types_unseen_in_training_are_reported_apart(samples):
    judged = perfect(samples)
    spoof = {**perfect_answers(samples[1]), "fine": "The face in the image is a Print attack."}
    judged = [
        judged_from(j.sample, Said("", 1.0, spoof)) if j.sample.attack_type is AttackType.REPLAY else j for j in judged
    ]
    fine = summarize(judged, 0.5, seen_types={AttackType.BONAFIDE, AttackType.PRINT})["fine"]
    assert fine["acc"] == 0.75
    assert fine["acc_seen"] == fine["unseen_called_spoof"] == 1
    assert fine["unseen_types"] == ["Replay"]


def test_boxes_of_attacks_without_annotation_are_not_judged(samples):
    bare = [replace(s, boxes=()) if s.attack_type is AttackType.PRINT else s for s in samples]
    judged = [judged_from(s, Said("", 1.0, perfect_answers(o))) for s, o in zip(bare, samples, strict=True)]
    section = summarize(judged, 0.5)["localization"]
    assert (section["annotated_attacks"], section["attacks_without_true_box"]) == (4, 4)
    assert section["ap50"] == 1
    none = [judged_from(replace(s, boxes=()), Said("", 1.0, perfect_answers(s))) for s in samples]
    assert "ap50" not in summarize(none, 0.5, resamples=5)["localization"]


def test_the_constant_box_stands_beside_what_was_found(samples):
    wrong = saying(samples, localization="The spoof area is [0, 0, 100, 100].")
    section = summarize(wrong, 0.5)["localization"]
    assert section["acc_iou50"] == 0
    assert section["median_box_acc_iou50"] == section["median_box_ap50"] == 1  # all true boxes are alike
    assert section["false_boxes_on_bona_fide"] == 1
    assert section["classes"]["Print"]["median_box_mean_iou"] == pytest.approx(1)


def test_types_with_many_boxes_weigh_as_much_as_others_in_the_mean_over_types(samples):
    attacks = [s for s in samples if not s.is_live]
    crowded = [s.attack_type is attacks[0].attack_type for s in samples]
    more = (Box(0.0, 0.0, 0.1, 0.1), Box(0.8, 0.8, 0.9, 0.9))
    changed = [replace(s, boxes=s.boxes + more) if crowd else s for s, crowd in zip(samples, crowded, strict=True)]
    judged = [judged_from(c, Said("", 1.0, perfect_answers(s))) for c, s in zip(changed, samples, strict=True)]
    section = summarize(judged, 0.5)["localization"]
    kinds = len(section["classes"])
    assert section["class_mean_acc_iou50"] == pytest.approx((kinds - 1 + 1 / 3) / kinds)
    assert section["acc_iou50"] == pytest.approx(len(attacks) / (len(attacks) + 2 * sum(crowded)))


def test_contradicting_answers_lower_the_consistency(samples):
    judged = perfect(samples)
    contrary = {**perfect_answers(samples[0]), "coarse": "The face in the image is a spoof."}
    judged[0] = judged_from(samples[0], Said("", 0.0, contrary))
    report = summarize(judged, 0.5)
    assert report["consistency"] == report["agreement"]["coarse = fine"] == 15 / 16
    assert report["agreement"]["fine = reasoning"] == 1


def test_scores_alone_make_a_report_of_scores_alone(samples):
    judged = [Judged(s, float(not s.is_live), {}) for s in samples]
    assert set(summarize(judged, 0.5)) == {
        "images", "bona_fide", "attacks", "subjects", "simulated", "errors", "score", "calibration"
    }  # fmt: skip


def test_references_are_compared_with_the_models_own_words(samples):
    references = template_references(samples)
    assert references == template_references(samples)
    said = [Said(str(s.path), 0.5, {"reasoning": references[str(s.path)]}) for s in samples]
    report = summarize(
        [judged_from(s, words) for s, words in zip(samples, said, strict=True)], 0.5, references=references
    )
    assert report["text"]["model"]["bleu4"] == pytest.approx(1)
    assert report["text"]["baseline"]["bleu4"] < 1
    with pytest.raises(ValueError, match="none of the 16 images has a reference"):
        summarize(saying(samples, reasoning="x"), 0.5, references={"other.png": "x"})


def test_the_prior_is_ablated_only_when_asked(samples):
    judged = perfect(samples)
    assert "debias" not in summarize(judged, 0.5)
    assert summarize(judged, 0.5, blank_score=0.25)["debias"]["blank_score"] == 0.25


def test_frames_of_a_video_become_one_item_with_their_mean_score(samples):
    judged = [
        Judged(replace(s, subject_id="s", attributes={"video": i // 4}), score, {})
        for i, (s, score) in enumerate(zip(samples[:8], np.linspace(0, 0.7, 8), strict=True))
    ]
    merged = mean_over(judged, "video")
    assert len(merged) == 6  # two videos of three types each
    assert merged[0].score == pytest.approx((0.0 + 0.2) / 2)
    with pytest.raises(ValueError, match="no attribute 'clip' to average over; it has video"):
        mean_over(judged, "clip")


def test_unranked_and_ranked_precision_differ_where_a_live_face_got_a_box(samples):
    answers = {"localization": "The spoof area is [250, 250, 749, 749]."}
    judged = [judged_from(s, Said("", 0.1 if s.is_live else 0.9, answers)) for s in samples]
    section = summarize(judged, 0.5)["localization"]
    assert section["ap50"] == 1
    assert section["ap50_unranked"] < 1
    assert judged[0].read[Task.LOCALIZATION].boxes
