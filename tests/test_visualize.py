"""Pictures of a verdict: what is drawn where, in which colour, and what is refused."""

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageColor

from faceshield_hf.savp_faceshield import sav_image
from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.visualize import (
    ATTACK_COLORS,
    UNKNOWN_COLOR,
    attack_color,
    draw_boxes,
    importance_map,
    pixel_boxes,
    sav_views,
)


GRAY = (128, 128, 128)


def canvas(width=320, height=320, color=GRAY):
    return Image.new("RGB", (width, height), color)


def contrast_with_white(color):
    """WCAG 2.2 contrast ratio of white text on a colour."""
    channels = np.array(ImageColor.getrgb(color)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


# ---- boxes ----


def test_a_box_is_drawn_at_its_pixels_and_nowhere_else():
    drawn = np.asarray(draw_boxes(canvas(), [Box(0.25, 0.5, 0.75, 0.875)]))
    changed_rows, changed_columns = np.nonzero((drawn != GRAY[0]).any(axis=2))
    assert (changed_columns.min(), changed_columns.max() + 1) == (80, 240)
    assert (changed_rows.min(), changed_rows.max() + 1) == (160, 280)
    assert (drawn[200, 100:220] == GRAY[0]).all(), "the inside stays as it was"
    assert tuple(drawn[160, 160]) == ImageColor.getrgb(UNKNOWN_COLOR)


def test_the_image_given_is_left_alone():
    image = canvas()
    draw_boxes(image, [Box(0, 0, 1, 1, "Print")])
    assert image.getcolors() == [(320 * 320, GRAY)]


def test_no_boxes_give_the_same_picture_in_rgb():
    assert draw_boxes(canvas().convert("L"), []).getcolors() == canvas().getcolors()


def test_a_box_over_the_whole_frame_shows_all_four_edges():
    drawn = np.asarray(draw_boxes(canvas(), [Box(0, 0, 1, 1)]))
    color = ImageColor.getrgb(UNKNOWN_COLOR)
    assert [tuple(drawn[y, x]) for y, x in ((0, 160), (319, 160), (160, 0), (160, 319))] == [color] * 4


@pytest.mark.parametrize("kind", list(AttackType))
def test_each_attack_type_has_its_own_readable_colour(kind):
    color = ATTACK_COLORS[kind.value]
    assert list(ATTACK_COLORS.values()).count(color) == 1
    assert contrast_with_white(color) >= 4.5
    drawn = draw_boxes(canvas(), [Box(0.25, 0.5, 0.75, 0.875, kind.value)])
    assert drawn.getpixel((160, 279)) == ImageColor.getrgb(color)


@pytest.mark.parametrize("label", [None, "", "print", "hat"])
def test_a_label_that_is_no_attack_type_takes_the_unknown_colour(label):
    assert attack_color(label) == UNKNOWN_COLOR
    assert contrast_with_white(UNKNOWN_COLOR) >= 4.5


def test_lines_grow_with_the_image():
    def line_pixels(side):
        column = np.asarray(draw_boxes(canvas(side, side), [Box(0.25, 0.25, 0.75, 0.75)]))[:, side // 2]
        return (column == ImageColor.getrgb(UNKNOWN_COLOR)).all(axis=1).sum()

    assert line_pixels(320) == 2 * 2
    assert line_pixels(1600) == 2 * 10


def test_a_small_box_is_drawn_over_a_large_one_whatever_their_order():
    large, small = Box(0.1, 0.1, 0.9, 0.9, "Print"), Box(0.1, 0.1, 0.5, 0.5, "Tattoo")
    first, second = draw_boxes(canvas(), [large, small]), draw_boxes(canvas(), [small, large])
    assert first.tobytes() == second.tobytes()
    assert first.getpixel((32, 120)) == ImageColor.getrgb(ATTACK_COLORS["Tattoo"])


def test_captions_of_boxes_at_the_same_place_do_not_cover_each_other():
    boxes = [Box(0.25, 0.5, 0.75, 0.875, label) for label in ("Print", "Tattoo", "Makeup")]
    pixels = np.asarray(draw_boxes(canvas(640, 640), boxes)).reshape(-1, 3)
    for label in ("Print", "Tattoo", "Makeup"):
        filled = (pixels == ImageColor.getrgb(ATTACK_COLORS[label])).all(axis=1).sum()
        assert filled > 400, f"the {label} tag is hidden"


@pytest.mark.parametrize("corner", [(0.5, 0), (0.9875, 0), (0, 0.9875), (0.9875, 0.9875)])
def test_a_caption_at_the_edge_stays_inside_the_image(corner):
    """All its letters are there: as many white pixels as in the middle, for boxes too small for a white hairline."""

    def white_pixels(x, y):
        box = Box(x, y, x + 0.0125, y + 0.0125, "Flexible mask")
        pixels = np.asarray(draw_boxes(canvas(320, 320), [box])).reshape(-1, 3)
        return (pixels > 240).all(axis=1).sum()

    assert white_pixels(*corner) == white_pixels(0.5, 0.5) > 20


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 200), (200, 3), (30, 30)])
def test_a_tiny_image_is_drawn_on_without_failing(size):
    assert draw_boxes(canvas(*size), [Box(0, 0, 1, 1, "Flexible mask")]).size == size


def test_pixel_boxes_are_rounded_clipped_and_largest_first():
    boxes = [Box(0.101, 0.1, 0.2, 0.2, "Print"), Box(0, 0, 1, 0.996)]
    assert pixel_boxes(boxes, (100, 200)) == [((0, 0, 100, 199), None), ((10, 20, 20, 40), "Print")]


def test_pixel_boxes_under_three_pixels_are_left_out():
    assert pixel_boxes([Box(0, 0, 0.02, 1), Box(0, 0, 0.03, 1)], (100, 100)) == [((0, 0, 3, 100), None)]


# ---- the SAV views ----


def test_sav_views_are_what_the_model_sees():
    photo = Image.fromarray(skimage.data.astronaut())
    views = sav_views(photo, 64)
    expected = sav_image(np.asarray(photo.resize((64, 64), Image.Resampling.BICUBIC)))
    assert np.array_equal(np.asarray(views["sav"]), expected)
    for channel, name in enumerate(("lbp", "gray", "hog")):
        assert views[name].mode == "L"
        assert np.array_equal(np.asarray(views[name]), expected[..., channel])


def test_sav_views_take_width_and_height_and_the_other_hog_picture():
    photo = Image.fromarray(skimage.data.astronaut())
    assert {view.size for view in sav_views(photo, (64, 48)).values()} == {(64, 48)}
    assert sav_views(photo, 64, "skimage")["hog"].tobytes() != sav_views(photo, 64)["hog"].tobytes()


# ---- importance ----


def test_the_most_important_token_is_the_brightest_place():
    scores = np.zeros(12)
    scores[7] = 1  # row 1 of 3, column 3 of 4
    heat = np.asarray(importance_map(canvas(400, 300, "black"), scores, (3, 4), opacity=1.0)).sum(axis=2)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] in range(100, 200)
    assert np.unravel_index(heat.argmax(), heat.shape)[1] in range(300, 400)
    assert tuple(heat.shape) == (300, 400)


def test_lowest_and_highest_score_take_the_ends_of_the_colours():
    heat = np.asarray(importance_map(canvas(2, 1), [0.2, 0.4], (1, 2), opacity=1.0))
    assert heat.tolist() == [[[0, 0, 4], [252, 255, 164]]]


def test_opacity_zero_is_the_photo_in_gray():
    photo = Image.fromarray(skimage.data.astronaut())
    assert (
        importance_map(photo, [1, 2, 3, 4], (2, 2), opacity=0).tobytes() == photo.convert("L").convert("RGB").tobytes()
    )


def test_equal_scores_are_one_flat_colour():
    heat = importance_map(canvas(50, 50), np.full((5, 5), 0.04), (5, 5), opacity=1.0)
    assert heat.getcolors() == [(2500, (0, 0, 4))]


def test_one_range_makes_two_maps_comparable():
    low = importance_map(canvas(2, 1), [0.0, 0.5], (1, 2), opacity=1.0, value_range=(0, 1))
    high = importance_map(canvas(2, 1), [0.5, 2.0], (1, 2), opacity=1.0, value_range=(0, 1))
    assert low.getpixel((1, 0)) == high.getpixel((0, 0)) == (186, 54, 85)
    assert high.getpixel((1, 0)) == (252, 255, 164)


def test_scores_of_both_views_at_once_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"got 32 scores for a grid of 4 x 4 = 16 tokens: pass one view's"):
        importance_map(canvas(), np.ones(32), (4, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"opacity": 1.5}, "opacity 1.5"), ({"value_range": (1, 0)}, r"value_range \(1, 0\)")],
)
def test_options_out_of_order_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        importance_map(canvas(), np.ones(4), (2, 2), **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        importance_map(canvas(), [bad, 1, 1, 1], (2, 2))
