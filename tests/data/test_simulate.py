import io

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from faceshield_hf.data.leak import median_box_recall
from faceshield_hf.data.simulate import DOMAINS, contact_sheet, simulate
from faceshield_hf.data.simulate.core import _MEDIA, render
from faceshield_hf.data.simulate.source import prepare
from faceshield_hf.faces import find_faces
from faceshield_hf.tasks_faceshield import AttackType


ATTACKS = [t for t in AttackType if not t.is_live]


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(astronaut())


@pytest.fixture(scope="module")
def source(photo):
    return prepare(photo)


@pytest.mark.parametrize("domain", list(DOMAINS))
@pytest.mark.parametrize("kind", list(AttackType))
def test_every_type_gives_an_image_with_boxes_and_cues_unless_live(source, kind, domain):
    made = render(source, kind, np.random.default_rng(3), DOMAINS[domain])
    assert made.image.mode == "RGB"
    assert 320 <= max(made.image.size) <= 680
    assert made.attributes["domain"] == domain
    assert bool(made.boxes) == bool(made.cues) == (kind is not AttackType.BONAFIDE)
    for box in made.boxes:
        assert 0 <= box.x1 < box.x2 <= 1
        assert 0 <= box.y1 < box.y2 <= 1
        assert box.label


def test_the_image_is_what_the_jpeg_holds(source):
    made = render(source, AttackType.PRINT, np.random.default_rng(0), DOMAINS["A"])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(made.jpeg))), np.asarray(made.image))


@pytest.mark.parametrize("kind", [AttackType.BONAFIDE, AttackType.REPLAY, AttackType.TATTOO])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(photo, kind):
    one, same, other = (simulate(photo, kind, rng=np.random.default_rng(s)).jpeg for s in (5, 5, 6))
    assert one == same
    assert one != other


@pytest.mark.parametrize("kind", [t for t in ATTACKS if t not in _MEDIA])
def test_an_attack_on_the_face_changes_its_box_and_leaves_the_rest_to_the_same_camera(source, kind):
    seed = 11
    attack = render(source, kind, np.random.default_rng(seed), DOMAINS["A"], (320, 320))
    live = render(source, AttackType.BONAFIDE, np.random.default_rng(seed), DOMAINS["A"], (320, 320))
    assert attack.attributes["camera"] == live.attributes["camera"]
    assert attack.attributes["face_share"] == live.attributes["face_share"]
    changed = np.abs(np.asarray(attack.image, np.float32) - np.asarray(live.image, np.float32)).mean(2)
    inside = np.zeros(changed.shape, bool)
    for box in attack.boxes:
        x1, y1, x2, y2 = (round(v * 320) for v in (box.x1, box.y1, box.x2, box.y2))
        inside[y1:y2, x1:x2] = True
    assert changed[inside].mean() > 1.3 * changed[~inside].mean()


def test_a_tattoo_box_is_tight_around_the_ink(source):
    from faceshield_hf.data.simulate.scene import compose, draw_placement
    from faceshield_hf.data.simulate.tattoo import tattoo

    rng = np.random.default_rng(2)
    frame = compose(source, draw_placement(source, rng, DOMAINS["A"], (400, 400)), rng, DOMAINS["A"])
    traces = tattoo(frame, rng, DOMAINS["A"])
    changed = np.abs(traces.image - frame.image).max(2) > 0.12
    outside = changed.copy()
    for box in traces.boxes():
        x1, y1, x2, y2 = (round(v * 400) for v in (box.x1, box.y1, box.x2, box.y2))
        ink = changed[y1:y2, x1:x2]
        assert ink.any(0)[:4].any()
        assert ink.any(0)[-4:].any()
        assert ink.any(1)[:4].any()
        assert ink.any(1)[-4:].any()
        outside[max(0, y1 - 3) : y2 + 3, max(0, x1 - 3) : x2 + 3] = False
    assert not outside.any()


def test_domain_c_holds_out_every_attack_variant():
    for field in ("halftones", "prints", "screens", "devices", "mask_materials", "silicones", "mannequins", "glasses",
                  "patches", "makeups", "tattoos"):  # fmt: skip
        seen = set(getattr(DOMAINS["A"], field)) | set(getattr(DOMAINS["B"], field))
        assert not seen & set(getattr(DOMAINS["C"], field)), field


def test_faces_lie_anywhere_so_that_one_box_fits_few(source):
    sizes = [(160, 120), (120, 160), (128, 128), (160, 90)]
    boxes = [
        render(source, AttackType.PAPER_MASK, np.random.default_rng(s), DOMAINS["A"], sizes[s % 4]).boxes
        for s in range(30)
    ]
    assert median_box_recall([[(b.x1, b.y1, b.x2, b.y2) for b in found] for found in boxes]) < 0.5


def test_a_given_size_is_kept(photo):
    assert simulate(photo, "Rigid mask", rng=np.random.default_rng(0), size=(300, 200)).image.size == (300, 200)


def test_given_landmarks_spare_the_search(photo):
    face = find_faces(photo)[0]
    with_face = simulate(photo, "Makeup", rng=np.random.default_rng(1), landmarks=face).jpeg
    assert with_face == simulate(photo, "Makeup", rng=np.random.default_rng(1)).jpeg


def test_an_image_without_a_face_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="no face found in an image of 64x64 px: give a photo"):
        simulate(Image.new("RGB", (64, 64)), "Print", rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attack_type": "Hologram"}, "got attack type 'Hologram', known are Bonafide"),
        ({"domain": "D"}, "got domain 'D', known are A, B, C"),
        ({"size": (10, 500)}, "sides must be at least 96"),
    ],
)
def test_wrong_arguments_name_what_is_accepted(photo, arguments, message):
    given = {"attack_type": "Print", "rng": np.random.default_rng(0), **arguments}
    with pytest.raises(ValueError, match=message):
        simulate(photo, **given)


def test_a_contact_sheet_has_one_cell_an_image():
    page = contact_sheet([Image.new("RGB", (40, 30))] * 5, ["x"] * 5, [()] * 5, columns=2, cell=50)
    assert page.size == (100, 3 * 64)
    with pytest.raises(ValueError, match="2 images, 1 labels"):
        contact_sheet([Image.new("RGB", (40, 30))] * 2, ["x"], [()] * 2)


def test_transparent_parts_of_a_photo_are_white():
    rgba = Image.fromarray(astronaut()).convert("RGBA")
    rgba.paste((0, 0, 0, 0), (0, 0, 8, 8))
    assert prepare(rgba).image[0, 0].tolist() == [1, 1, 1]
