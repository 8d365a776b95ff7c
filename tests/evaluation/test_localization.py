"""Boxes against hand-computed values, and average precision against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faceshield_hf.evaluation import localization
from faceshield_hf.tasks_faceshield import Box


WHOLE, HALF = Box(0, 0, 1, 1), Box(0, 0, 1, 0.45)


def test_boxes_are_matched_one_to_one():
    left, right = Box(0, 0, 0.4, 1), Box(0.6, 0, 1, 1)
    assert localization.matched_ious([left, left], [left, right]) == [1.0, 0.0]
    assert localization.matched_ious([right, left], [left, right]) == [1.0, 1.0]
    assert localization.matched_ious([], [left]) == [0.0]


def test_a_box_that_was_not_found_counts_as_no_overlap_and_a_superfluous_one_against_precision():
    told = localization.box_metrics([([WHOLE, HALF], [WHOLE]), ([], [WHOLE])])
    assert told == {"acc_iou50": 0.5, "acc_iou40": 0.5, "mean_iou": 0.5, "precision": 0.5}


def test_the_constant_answer_of_a_class_is_its_median_box():
    boxes = [[Box(0, 0, 0.5, 0.5)], [Box(0.2, 0.2, 0.9, 0.9), Box(0, 0, 0.1, 0.1)], [Box(0.1, 0.1, 0.7, 0.7)]]
    (median,) = localization.class_median_boxes({"Print": boxes})["Print"]
    assert (median.x1, median.y1, median.x2, median.y2) == pytest.approx((0.1, 0.1, 0.7, 0.7))


def test_average_precision_of_a_hand_worked_case():
    # right, wrong, right: precision 1 up to recall 1/2, then 2/3; 51 recall levels lie at or under 1/2, 50 above
    pairs = [([WHOLE], [WHOLE]), ([WHOLE], []), ([WHOLE], [WHOLE])]
    assert localization.average_precision(pairs, 0.5, [0.9, 0.8, 0.7]) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_without_scores_the_order_of_images_does_not_count():
    pairs = [([WHOLE], [WHOLE]), ([WHOLE], []), ([WHOLE], []), ([HALF], [WHOLE])]
    both = [localization.average_precision(order, 0.5) for order in (pairs, pairs[::-1])]
    # one of four is right, and recall stops at 1/2: 51 of 101 levels
    assert both == pytest.approx([51 / 101 / 4] * 2)


def test_a_box_on_a_bona_fide_image_costs_most_where_it_ranks_first():
    pairs = [([WHOLE], []), ([WHOLE], [WHOLE])]
    assert localization.average_precision(pairs, 0.5, [0.1, 0.9]) == 1
    assert localization.average_precision(pairs, 0.5, [0.9, 0.1]) == 0.5
    assert localization.average_precision([([], [WHOLE])], 0.5) == 0


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_pycocotools(seed):
    pairs, scores = random_images(np.random.default_rng(seed))
    for level in (0.4, 0.5):
        assert localization.average_precision(pairs, level, scores) == pytest.approx(coco_ap(pairs, level, scores))


def random_images(rng, count=30):
    """Images with up to three true boxes and as many found ones: near a true one, or anywhere."""

    def anywhere():
        x, y = rng.uniform(0, 0.7, 2)
        return Box(x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3))

    def near(box):
        x1, y1, x2, y2 = np.clip(np.array([box.x1, box.y1, box.x2, box.y2]) + rng.normal(0, 0.04, 4), 0, 1)
        return Box(x1, y1, max(x2, x1 + 0.02), max(y2, y1 + 0.02)) if x1 < 0.97 and y1 < 0.97 else box

    pairs = []
    for _ in range(count):
        true = [anywhere() for _ in range(rng.integers(0, 4))]
        found = [near(box) for box in true if rng.random() < 0.8] + [anywhere() for _ in range(rng.integers(0, 2))]
        pairs.append((found, true))
    return pairs, rng.random(count).tolist()


def coco_ap(pairs, threshold, scores):
    def corners(box):
        return [1000 * box.x1, 1000 * box.y1, 1000 * (box.x2 - box.x1), 1000 * (box.y2 - box.y1)]

    true = [(i, corners(box)) for i, (_, boxes) in enumerate(pairs, 1) for box in boxes]
    found = [(i, corners(box), scores[i - 1]) for i, (boxes, _) in enumerate(pairs, 1) for box in boxes]
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, len(pairs) + 1)],
            "categories": [{"id": 1}],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for n, (i, box) in enumerate(true, 1)
            ],
        }
        data.createIndex()
        results = data.loadRes([{"image_id": i, "category_id": 1, "bbox": b, "score": s} for i, b, s in found])
        judge = COCOeval(data, results, "bbox")
        judge.params.iouThrs = np.array([threshold])
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    return judge.eval["precision"][0, :, 0, 0, -1].mean()
