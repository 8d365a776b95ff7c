import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceshield_hf.tasks_faceshield import AttackType, Box, Task, Verdict


def test_a_box_on_the_grid_comes_back_exactly():
    assert Box.from_grid(0, 1, 998, 999).to_grid() == (0, 1, 998, 999)
    assert Box.from_grid(0, 0, 999, 999) == Box(0.0, 0.0, 1.0, 1.0)


@given(*[st.integers(0, 999)] * 4)
def test_every_grid_box_comes_back_exactly(x1, y1, x2, y2):
    if x1 < x2 and y1 < y2:
        assert Box.from_grid(x1, y1, x2, y2).to_grid() == (x1, y1, x2, y2)


@given(*[st.floats(0, 1)] * 4)
def test_no_box_is_too_thin_for_the_grid(x1, y1, x2, y2):
    if x1 < x2 and y1 < y2:
        box = Box(x1, y1, x2, y2)
        left, top, right, bottom = box.to_grid()
        assert 0 <= left < right <= 999
        assert 0 <= top < bottom <= 999
        assert Box.from_grid(left, top, right, bottom).to_grid() == (left, top, right, bottom)


def test_pixels_come_back_exactly():
    box = Box.from_pixels(10, 20, 110, 220, width=640, height=480, label="print")
    assert box == Box(10 / 640, 20 / 480, 110 / 640, 220 / 480, "print")
    assert box.to_pixels(640, 480) == (10, 20, 110, 220)


def test_what_sticks_out_of_the_image_is_cut_off():
    assert Box.from_pixels(-5, -5, 50, 1000, width=100, height=100) == Box(0, 0, 0.5, 1)


@pytest.mark.parametrize(
    "corners",
    [(0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (0, 0.2, 1, 0.1), (-0.1, 0, 1, 1), (0, 0, 1.01, 1), (math.nan, 0, 1, 1)],
)
def test_an_impossible_box_is_refused(corners):
    with pytest.raises(ValueError, match=r"expected 0 <= x1 < x2 <= 1"):
        Box(*corners)


def test_a_box_outside_the_image_or_an_empty_image_is_refused():
    with pytest.raises(ValueError, match="expected 0 <= x1 < x2"):
        Box.from_pixels(200, 0, 300, 50, width=100, height=100)
    with pytest.raises(ValueError, match="0 x 100 pixels"):
        Box.from_pixels(0, 0, 1, 1, width=0, height=100)


def test_iou_of_known_boxes():
    left, right = Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1)
    assert left.iou(right) == pytest.approx(1 / 3)
    assert left.iou(left) == 1
    assert left.iou(Box(0.5, 0, 1, 1)) == 0
    assert left.iou(Box(0.6, 0, 1, 1)) == 0


def test_a_verdict_is_the_documented_json():
    verdict = Verdict(
        label="spoof",
        score=0.9,
        threshold=0.4,
        attack_type=AttackType.PAPER_MASK,
        boxes=(Box(0, 0, 0.5, 1, "mask"),),
        explanation="Paper.",
        answers={Task.COARSE: "The face in the image is a spoof."},
        quality=("dark",),
        model="tiny",
    )
    assert verdict.to_dict() == {
        "label": "spoof",
        "score": 0.9,
        "threshold": 0.4,
        "attack_type": "Paper mask",
        "boxes": [{"x1": 0, "y1": 0, "x2": 0.5, "y2": 1, "label": "mask"}],
        "explanation": "Paper.",
        "answers": {"coarse": "The face in the image is a spoof."},
        "quality": ["dark"],
        "model": "tiny",
    }
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def test_an_empty_verdict_comes_back_from_json():
    assert Verdict.from_dict(Verdict().to_dict()) == Verdict()
    assert Verdict.from_dict({}) == Verdict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label": "fake"}, "got the label 'fake'; expected one of"),
        ({"attack_type": "hologram"}, "'hologram' is no attack type"),
        ({"scroe": 1}, r"unknown keys in a verdict: \['scroe'\]"),
        ({"boxes": [{"x1": 0, "y1": 0, "x2": 2, "y2": 1}]}, "expected 0 <= x1 < x2"),
    ],
)
def test_a_wrong_record_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        Verdict.from_dict(values)


def test_only_keeps_what_a_task_can_say():
    verdict = Verdict(
        label="spoof",
        score=0.9,
        attack_type=AttackType.PRINT,
        boxes=(Box(0.1234567, 0, 1, 1, "x"),),
        explanation=" a \n",
    )
    boxes = (Box.from_grid(123, 0, 999, 999),)
    assert verdict.only(Task.DESCRIBE) == Verdict(explanation="a")
    assert verdict.only(Task.COARSE) == Verdict(label="spoof")
    assert verdict.only("fine") == Verdict(label="spoof", attack_type=AttackType.PRINT, explanation="a")
    assert verdict.only(Task.LOCALIZATION) == Verdict(label="spoof", boxes=boxes, explanation="a")


def test_only_names_the_type_of_a_real_face():
    assert Verdict(label="real").only(Task.FINE).attack_type is AttackType.BONAFIDE
    assert Verdict(label="real", attack_type=AttackType.BONAFIDE).only(Task.COARSE).attack_type is None
