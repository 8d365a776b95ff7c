"""What a simulated scene promises before any attack, and what lies over it."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from faceshield_hf.data.simulate import core
from faceshield_hf.data.simulate.core import render
from faceshield_hf.data.simulate.domains import DOMAINS
from faceshield_hf.data.simulate.patterns import draw_pattern
from faceshield_hf.data.simulate.printed import draw_ink, print_ink
from faceshield_hf.data.simulate.scene import SMALLEST_FACE, compose, crop, draw_placement
from faceshield_hf.data.simulate.source import prepare
from faceshield_hf.data.simulate.wear import Layer, cast_shadow, dress, headwear
from faceshield_hf.tasks_faceshield import AttackType


@pytest.fixture(scope="module")
def source():
    return prepare(Image.fromarray(astronaut()))


def _frame(source, seed, domain="A", size=(160, 160)):
    rng = np.random.default_rng(seed)
    return compose(source, draw_placement(source, rng, DOMAINS[domain], size), rng, DOMAINS[domain])


def test_a_plain_photograph_lies_inside_the_photo_with_the_face_in_it(source):
    height, width = source.image.shape[:2]
    rng = np.random.default_rng(0)
    for _ in range(50):
        place = crop(source, rng.uniform(0.5, 2), tuple(rng.random(3)), False, 400)
        scale = place.face_height / source.shape.height
        left, top = source.shape.centre - np.array(place.centre) / scale
        assert left > -1.5
        assert top > -1.5
        assert left + place.size[1] / scale < width + 1.5
        assert top + place.size[0] / scale < height + 1.5
        assert 0 < place.centre[0] < place.size[1]
        assert 0 < place.centre[1] < place.size[0]


def test_a_plain_photograph_is_the_photo_itself(source):
    place = crop(source, 1.0, (0.0, 0.5, 0.5), False, 512, (512, 512))
    frame = compose(source, place, np.random.default_rng(0), DOMAINS["A"])
    scale = place.face_height / source.shape.height
    x, y = 300, 300
    px, py = source.shape.centre + (np.array([x, y]) - place.centre) / scale
    assert frame.image[y, x] == pytest.approx(source.image[round(py), round(px)], abs=0.12)


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_every_domain_has_plain_photographs_and_composed_scenes_with_faces_large_enough(source, domain):
    places = [draw_placement(source, np.random.default_rng(s), DOMAINS[domain]) for s in range(60)]
    assert 5 < sum(p.natural for p in places) < 30
    assert min(p.face_height / max(p.size) for p in places) > 0.95 * SMALLEST_FACE
    assert len({p.size for p in places}) > 30


def test_clothes_badges_and_things_in_the_hand_stay_off_the_face(source):
    changed = 0
    for seed in range(25):
        frame = _frame(source, seed)
        dressed = dress(frame, np.random.default_rng(seed), DOMAINS["A"])
        face = frame.shape.mask(frame.shape.outline(0.8), frame.size, 0) > 0.5
        difference = np.abs(dressed.image - frame.image).max(2)
        assert difference[face].max(initial=0) < 0.02
        changed += difference.max() > 0.1
    assert changed > 8


def test_hats_and_scarves_are_worn_by_some(source):
    frame = _frame(source, 4)
    layers = [headwear(frame, np.random.default_rng(s), DOMAINS["B"]) for s in range(60)]
    worn = [layer for layer in layers if layer is not None]
    assert 4 < len(worn) < 30
    for layer in worn:
        mouth = frame.shape.points([(0, 1.5)])[0].astype(int)
        assert layer.mask[mouth[1], mouth[0]] < 0.1


def test_what_a_hat_covers_belongs_to_no_attack_box(source, monkeypatch):
    frame = _frame(source, 4)
    half = np.zeros(frame.size, np.float32)
    half[: frame.size[0] // 2] = 1
    monkeypatch.setattr(core, "headwear", lambda *_: Layer(frame.image, half, 10.0))
    for seed in range(4):
        made = render(source, AttackType.FAKEHEAD, np.random.default_rng(seed), DOMAINS["A"], frame.size)
        assert all(box.y1 >= 0.5 for box in made.boxes)


def test_shadows_only_darken(source):
    frame = _frame(source, 1)
    fields = [cast_shadow(frame, np.random.default_rng(s)) for s in range(40)]
    cast = [f for f in fields if f is not None]
    assert 1 <= len(cast) < 20
    for field in cast:
        assert 0.5 <= field.min() <= field.max() <= 1


def test_the_background_far_from_an_attack_is_the_live_images_background(source):
    for kind in (AttackType.GLASSES, AttackType.PARTIAL_MOUTH, AttackType.MAKEUP, AttackType.RIGID_MASK):
        attack, live = (
            np.asarray(render(source, k, np.random.default_rng(21), DOMAINS["B"], (256, 256)).image, np.float32)
            for k in (kind, AttackType.BONAFIDE)
        )
        difference = np.abs(attack - live).max(2)
        # Exposure is metered without the attack: most of the frame is the same to the last level.
        assert np.mean(difference < 3) > 0.5, kind


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_tattoos_are_wide_enough_to_be_seen_at_256_pixels(source, domain):
    widths = []
    for seed in range(15):
        made = render(source, AttackType.TATTOO, np.random.default_rng(seed), DOMAINS[domain], (200, 160))
        widths.append(max(b.x2 - b.x1 for b in made.boxes) * 256)
    assert np.mean(np.array(widths) >= 20) > 0.85
    assert np.median(widths) >= 24


@pytest.mark.parametrize("kind", sorted({k for d in DOMAINS.values() for k in d.tattoos}))
def test_every_pattern_has_ink_and_bare_skin(kind):
    mask = draw_pattern(kind, np.random.default_rng(0))
    assert mask.shape == (192, 192)
    assert 0.02 < (mask > 0.5).mean() < 0.75


@pytest.mark.parametrize("spot", sorted({h for d in DOMAINS.values() for h in d.halftones}))
def test_a_halftone_keeps_the_mean_and_adds_dots(spot):
    from dataclasses import replace

    gray = np.full((96, 96, 3), 0.5, np.float32)
    x, y = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(96, dtype=np.float32))
    ink = replace(draw_ink(np.random.default_rng(0), DOMAINS["A"]), spot=spot, period=6.0, strength=0.9, banding=0.0)
    dotted = print_ink(gray, x, y, ink, np.random.default_rng(1))
    flat = print_ink(gray, x, y, replace(ink, strength=0.0), np.random.default_rng(1))
    assert dotted.std() > 2 * flat.std()
    assert dotted.mean() == pytest.approx(flat.mean(), abs=0.12)
