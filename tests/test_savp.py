"""SAVP: codes, gray and HOG picture against hand computation, naive loops and scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut
from skimage.draw import line
from skimage.feature import hog
from skimage.feature import local_binary_pattern as skimage_lbp

from faceshield_hf.savp_faceshield import HOG_FULL_SCALE, gray, hog_map, local_binary_pattern, sav_image


SIZES = [(16, 16), (17, 23), (24, 16), (40, 31), (65, 127), (224, 224)]
CONTENTS = {
    "noise": lambda h, w: np.random.default_rng(0).integers(0, 256, (h, w), dtype=np.uint8),
    "black and white": lambda h, w: np.random.default_rng(1).integers(0, 2, (h, w), dtype=np.uint8) * np.uint8(255),
    "slope": lambda h, w: np.add.outer(3 * np.arange(h), 5 * np.arange(w)).astype(np.uint8),
    "flat": lambda h, w: np.full((h, w), 77, np.uint8),
    "dark": lambda h, w: np.random.default_rng(2).integers(0, 3, (h, w), dtype=np.uint8),
    "face": lambda h, w: gray(astronaut()[40 : 40 + h, 140 : 140 + w]),
}
RENDERS = sorted(HOG_FULL_SCALE)


def naive_lbp(image):
    """Equation 3, pixel by pixel: bit i is s(g_i - g_c), s(x) = 1 for x >= 0, ring E, NE, N, NW, W, SW, S, SE."""
    height, width = image.shape
    codes = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            ring = [(y, x + 1), (y - 1, x + 1), (y - 1, x), (y - 1, x - 1)]
            ring += [(y, x - 1), (y + 1, x - 1), (y + 1, x), (y + 1, x + 1)]
            for bit, (row, column) in enumerate(ring):
                neighbour = image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                codes[y, x] += (int(neighbour) - int(image[y, x]) >= 0) << bit
    return codes


def draw_stars(histograms, shape):
    """Draw cells `(rows, columns, 9)` line by line with scikit-image's own line."""
    picture = np.zeros(shape)
    for row, column, orientation in np.ndindex(*histograms.shape):
        angle = np.pi * (orientation + 0.5) / 9
        dr, dc = 3 * np.sin(angle), 3 * np.cos(angle)
        y, x = row * 8 + 4, column * 8 + 4
        picture[line(int(y - dc), int(x + dr), int(y + dc), int(x - dr))] += histograms[row, column, orientation]
    return picture


def skimage_blocks(image, block=(2, 2)):
    """Average each cell over the normalised blocks that scikit-image gives."""
    blocks = hog(image, 9, (8, 8), block, block_norm="L2-Hys", feature_vector=False)
    total = np.zeros((blocks.shape[0] + block[0] - 1, blocks.shape[1] + block[1] - 1, 9))
    copies = np.zeros(total.shape[:2])
    for row, column, y, x in np.ndindex(*blocks.shape[:4]):
        total[row + y, column + x] += blocks[row, column, y, x]
        copies[row + y, column + x] += 1
    return total / copies[..., None]


# Local binary pattern


def test_code_of_a_pixel_is_read_counter_clockwise_from_the_right():
    image = np.array([[9, 1, 9], [1, 5, 9], [1, 1, 5]], np.uint8)
    # E 9, NE 9, NW 9 and SE 5 (equal counts) are at least 5: bits 0, 1, 3, 7.
    assert local_binary_pattern(image)[1, 1] == 1 + 2 + 8 + 128


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (13, 29)])
def test_codes_equal_equation_3_on_every_pixel(content, size):
    image = CONTENTS[content](*size)
    assert np.array_equal(local_binary_pattern(image), naive_lbp(image))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 256), st.integers(0, 2**32 - 1))
def test_codes_equal_equation_3_whatever_the_image(height, width, levels, seed):
    image = np.random.default_rng(seed).integers(0, levels, (height, width), dtype=np.uint8)
    assert np.array_equal(local_binary_pattern(image), naive_lbp(image))


@pytest.mark.parametrize("content", CONTENTS)
def test_bits_that_skimage_does_not_interpolate_equal_its_own(content):
    image = CONTENTS[content](65, 127)
    theirs = skimage_lbp(image, 8, 1, method="default").astype(np.uint8)
    straight = 0b01010101  # E, N, W, S
    inside = slice(1, -1), slice(1, -1)  # beyond the border scikit-image sees 0, we the edge
    assert np.array_equal(local_binary_pattern(image)[inside] & straight, theirs[inside] & straight)


def test_a_flat_area_has_code_255():
    assert (local_binary_pattern(np.full((5, 4), 200, np.uint8)) == 255).all()


# Gray


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 255, 255), 255), ((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((1, 1, 1), 1), ((0, 0, 0), 0)],
)
def test_gray_weighs_red_green_and_blue(colour, expected):
    assert gray(np.array([[colour]], np.uint8)) == expected


def test_gray_rounds_exact_halves_up():
    every = np.stack(np.meshgrid(np.arange(64), np.arange(64), np.arange(64)), -1).reshape(1, -1, 3).astype(np.uint8)
    thousandths = every.astype(int) @ np.array([299, 587, 114])
    halves = every[thousandths % 1000 == 500][None]
    assert halves.size > 0
    assert np.array_equal(gray(halves), thousandths[thousandths % 1000 == 500][None] // 1000 + 1)


def test_gray_is_exact_for_many_colours():
    colours = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    exact = (colours.astype(int) @ np.array([299, 587, 114]) + 500) // 1000
    assert np.array_equal(gray(colours), exact)


# HOG picture


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", SIZES)
def test_raw_picture_equals_skimage(content, size):
    image = CONTENTS[content](*size)
    theirs = hog(image, 9, (8, 8), (2, 2), visualize=True)[1]
    assert np.abs(hog_map(image, "skimage") - theirs).max() <= 1e-4 * max(theirs.max() - theirs.min(), 1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(16, 50), st.integers(16, 50), st.integers(1, 256), st.integers(0, 2**32 - 1))
def test_raw_picture_equals_skimage_whatever_the_image(height, width, levels, seed):
    image = np.random.default_rng(seed).integers(0, levels, (height, width), dtype=np.uint8)
    theirs = hog(image, 9, (8, 8), (2, 2), visualize=True)[1]
    assert np.abs(hog_map(image, "skimage") - theirs).max() <= 1e-4 * max(theirs.max() - theirs.min(), 1e-9)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", SIZES)
def test_block_normalised_picture_draws_the_mean_of_skimages_blocks(content, size):
    image = CONTENTS[content](*size)
    expected = draw_stars(skimage_blocks(image), image.shape)
    assert np.abs(hog_map(image, "blocknorm") - expected).max() <= 1e-5


def test_one_cell_with_an_upright_edge_draws_one_nearly_upright_line():
    image = np.zeros((8, 8), np.uint8)
    image[:, 4:] = 200
    # In columns 3 and 4 the gradient is 200 to the right: bin 0 (0 to 20 degrees) gets 8 * 2 * 200 / 64 = 50. Its
    # line is at right angles to 10 degrees, from row 1, column 4 to row 6, column 3.
    expected = np.zeros((8, 8), np.float32)
    expected[1:4, 4] = 50
    expected[4:7, 3] = 50
    assert np.allclose(hog_map(image, "skimage"), expected)
    # Alone in its block, the cell is (1, 0, ..., 0) after L2, 0.2 after the cut, 1 after the second L2.
    assert np.allclose(hog_map(image, "blocknorm"), expected / 50)


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (40, 8), (9, 15)])
@pytest.mark.parametrize("render", RENDERS)
def test_any_size_from_one_cell_on_works(size, render):
    image = CONTENTS["noise"](*size)
    picture = hog_map(image, render)
    assert picture.shape == size
    assert picture.dtype == np.float32
    assert np.isfinite(picture).all()
    assert picture.max() > 0


@pytest.mark.parametrize(("size", "block"), [((8, 40), (1, 2)), ((40, 8), (2, 1))])
def test_where_the_image_is_one_cell_wide_or_high_so_are_the_blocks(size, block):
    image = CONTENTS["noise"](*size)
    expected = draw_stars(skimage_blocks(image, block), size)
    assert np.abs(hog_map(image, "blocknorm") - expected).max() <= 1e-5


def test_pixels_beyond_the_last_whole_cell_stay_black_but_serve_gradients():
    image = np.zeros((16, 19), np.uint8)
    assert hog_map(image, "skimage").max() == 0
    image[:, 16:] = 100
    picture = hog_map(image, "skimage")
    assert picture[:, 8:16].max() > 0
    assert (picture[:, 16:] == 0).all()


def test_only_block_normalisation_takes_contrast_out():
    strong = gray(astronaut()[:128, 128:256]) // 2 * 2
    weak = strong // 2
    assert np.allclose(hog_map(strong, "skimage"), 2 * hog_map(weak, "skimage"), rtol=1e-5)
    assert np.abs(hog_map(strong, "blocknorm") - hog_map(weak, "blocknorm")).max() < 1e-3


@pytest.mark.parametrize("render", RENDERS)
def test_a_flat_image_draws_nothing(render):
    assert (hog_map(np.full((32, 32), 90, np.uint8), render) == 0).all()


# SAV image


@pytest.mark.parametrize("render", RENDERS)
def test_sav_image_stacks_lbp_gray_and_hog(render):
    rgb = astronaut()[:100, 150:270]
    sav = sav_image(rgb, render)
    luma = gray(rgb)
    assert sav.shape == rgb.shape
    assert sav.dtype == np.uint8
    assert np.array_equal(sav[..., 0], local_binary_pattern(luma))
    assert np.array_equal(sav[..., 1], luma)
    exact = 255 * np.clip(hog_map(luma, render) / HOG_FULL_SCALE[render], 0, 1)
    assert np.abs(sav[..., 2] - exact).max() <= 0.501


@pytest.mark.parametrize("render", RENDERS)
def test_what_is_brighter_than_full_scale_becomes_255(render):
    image = CONTENTS["black and white"](32, 32)
    above = hog_map(image, render) > HOG_FULL_SCALE[render]
    assert above.any()
    assert (sav_image(np.repeat(image[..., None], 3, axis=2), render)[above, 2] == 255).all()


def test_the_default_picture_is_block_normalised():
    rgb = astronaut()[:64, :64]
    assert np.array_equal(sav_image(rgb), sav_image(rgb, "blocknorm"))
    assert not np.array_equal(sav_image(rgb), sav_image(rgb, "skimage"))


def test_sav_image_does_not_depend_on_the_memory_layout():
    rgb = np.ascontiguousarray(astronaut()[:56, :72])
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(rgb, -1, 0)), 0, -1)
    flipped_twice = np.ascontiguousarray(rgb[::-1, ::-1])[::-1, ::-1]
    for same in (planes, flipped_twice, np.asfortranarray(rgb)):
        assert np.array_equal(sav_image(same), sav_image(rgb))


def test_sav_image_leaves_its_input_alone_and_repeats_itself():
    rgb = astronaut()[:48, :48].copy()
    rgb.flags.writeable = False
    first = sav_image(rgb)
    assert np.array_equal(sav_image(rgb), first)
    assert np.array_equal(rgb, astronaut()[:48, :48])


def test_the_order_of_colours_matters():
    rgb = astronaut()[:64, 150:214]
    assert not np.array_equal(sav_image(rgb), sav_image(rgb[..., ::-1]))


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 1), (0, 8)])
def test_less_than_one_cell_is_refused_with_both_sizes(size):
    with pytest.raises(ValueError, match=f"{size[1]}x{size[0]} pixels, expected at least 8x8"):
        sav_image(np.zeros((*size, 3), np.uint8))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((3, 8, 8), np.uint8)],
)
def test_anything_but_rgb_bytes_is_refused(wrong):
    with pytest.raises(ValueError, match="expected an RGB image of type uint8"):
        sav_image(wrong)


@pytest.mark.parametrize("function", [local_binary_pattern, hog_map])
@pytest.mark.parametrize("wrong", [np.zeros((8, 8)), np.zeros((8, 8, 3), np.uint8)])
def test_anything_but_gray_bytes_is_refused(function, wrong):
    with pytest.raises(ValueError, match="expected a gray image of type uint8"):
        function(wrong)


def test_an_unknown_render_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'energy', expected one of 'blocknorm', 'skimage'"):
        sav_image(np.zeros((8, 8, 3), np.uint8), "energy")
