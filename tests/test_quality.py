"""The quality check: each code for the photo that deserves it, and none for a good one."""

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageEnhance, ImageFilter

from faceshield_hf.faces import Face, find_faces
from faceshield_hf.quality import ADVICE, advice, check_quality, sharpness


@pytest.fixture(scope="module")
def astronaut():
    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def head(astronaut):
    """The astronaut's head and shoulders: a face of 111 pixels in a frame of 300."""
    return astronaut.crop((75, 0, 375, 300))


def face_at(x1, y1, x2, y2):
    return Face((x1, y1, x2, y2), np.zeros((5, 2), np.float32), 0.99)


def checkerboard(width, height, cell=4):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(((x // cell + y // cell) % 2 * 200 + 20).astype(np.uint8)).convert("RGB")


def test_a_good_photo_gets_no_advice(head):
    assert check_quality(head) == ()


def test_no_face_stands_alone():
    assert check_quality(Image.new("RGB", (200, 200), "black")) == ("no_face",)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_an_image_too_thin_for_the_face_detector_has_no_face(size):
    assert check_quality(Image.new("RGB", size)) == ("no_face",)


def test_two_people_are_many_faces(head):
    pair = Image.new("RGB", (600, 300))
    pair.paste(head, (0, 0))
    pair.paste(head, (300, 0))
    assert check_quality(pair) == ("many_faces",)


@pytest.mark.parametrize(("height", "codes"), [(39, ()), (40, ("many_faces",))])
def test_a_passer_by_in_the_background_does_not_count(height, codes):
    faces = [face_at(0, 0, 80, 100), face_at(100, 0, 130, height)]
    assert check_quality(checkerboard(200, 200), faces) == codes


def test_a_face_of_few_pixels_is_too_small(head):
    assert "too_small" in check_quality(head.resize((120, 120)))


def test_a_face_of_many_pixels_in_a_much_larger_frame_is_too_small():
    faces = [face_at(0, 0, 100, 100)]
    assert check_quality(checkerboard(800, 666), faces) == ()
    assert check_quality(checkerboard(800, 667), faces) == ("too_small",)


def test_a_dark_face_is_dark(head):
    assert check_quality(ImageEnhance.Brightness(head).enhance(0.2)) == ("dark",)


def test_darkness_is_read_from_the_highlights_not_from_the_mean():
    """A face of luminance 40 with an eighth of highlights: dark skin in good light, mean 60 but not a dark photo."""
    pixels = np.full((128, 128), 40, np.uint8)
    pixels[:, ::8] = 200
    image = Image.fromarray(pixels).convert("RGB")
    assert check_quality(image, [face_at(0, 0, 128, 128)]) == ()
    pixels[:, ::8] = 59
    assert check_quality(Image.fromarray(pixels).convert("RGB"), [face_at(0, 0, 128, 128)]) == ("dark",)


def test_a_blurred_face_is_blurred_at_any_resolution(head):
    blurred = head.filter(ImageFilter.GaussianBlur(0.03 * find_faces(head)[0].height))
    assert check_quality(blurred) == ("blurred",)
    assert check_quality(blurred.resize((1200, 1200), Image.Resampling.BICUBIC)) == ("blurred",)


def test_dim_light_is_not_blur(head):
    assert "blurred" not in check_quality(ImageEnhance.Brightness(head).enhance(0.3))


def test_sharpness_of_a_flat_patch_is_zero():
    assert sharpness(np.full((50, 50), 128, np.uint8)) == 0


def test_sharpness_does_not_depend_on_contrast():
    patch = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.float64)
    assert sharpness(patch) == pytest.approx(sharpness(patch / 4 + 10), rel=1e-3)


def test_sharpness_of_a_one_pixel_checkerboard_by_hand():
    """Every inner pixel is 0 or 100 amid four of the other: Laplacian +-400, variance 160000 over 2500."""
    y, x = np.mgrid[:100, :100]
    assert sharpness((x + y) % 2 * 100) == pytest.approx(64, rel=0.01)


def test_a_face_box_beyond_the_edge_is_clipped():
    assert check_quality(checkerboard(100, 100), [face_at(-20, -30, 130, 120)]) == ()


def test_a_face_box_outside_the_image_does_not_fail():
    assert "blurred" in check_quality(checkerboard(100, 100), [face_at(300, 300, 400, 400)])


def test_every_code_has_its_sentence():
    assert advice(["blurred", "no_face"]) == [ADVICE["blurred"], ADVICE["no_face"]]
    assert advice([]) == []


def test_an_unknown_code_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown quality code 'fuzzy'.*too_small"):
        advice(["fuzzy"])
