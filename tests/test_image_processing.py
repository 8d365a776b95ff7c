"""The image processor: SigLIP's numbers for RGB, SAV of the resized bytes, every kind of input, saving and loading."""

import io
import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from skimage.data import astronaut
from transformers import AutoImageProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.savp_faceshield import sav_image


SIZE = {"height": 56, "width": 64}
FACE = np.ascontiguousarray(astronaut()[20:180, 140:300])


@pytest.fixture(scope="module")
def image_processor():
    return FaceShieldImageProcessor(size=SIZE)


def both(image_processor, images, **kwargs):
    """Give pixel and SAV values `(images, 3, height, width)` as arrays."""
    features = image_processor(images, return_tensors="np", **kwargs)
    assert set(features) == {"pixel_values", "sav_values"}
    return features["pixel_values"], features["sav_values"]


def to_bytes(values):
    """Undo rescaling and normalisation, channels last."""
    return np.rint((np.moveaxis(values, -3, -1) * 0.5 + 0.5) * 255).astype(np.uint8)


# The numbers


@pytest.mark.parametrize("size", [(160, 160), (64, 56), (20, 30), (33, 700)])
def test_pixel_values_are_siglips_bit_for_bit(image_processor, size):
    image = PIL.Image.fromarray(FACE).resize(size)
    siglip = SiglipImageProcessorPil(size=SIZE)(image, return_tensors="np")["pixel_values"]
    assert np.array_equal(both(image_processor, image)[0], siglip)


def test_the_defaults_are_siglips_at_384_pixels():
    ours = FaceShieldImageProcessor()(PIL.Image.fromarray(FACE), return_tensors="pt")
    siglip = SiglipImageProcessorPil(size={"height": 384, "width": 384})(
        PIL.Image.fromarray(FACE), return_tensors="pt"
    )
    assert torch.equal(ours["pixel_values"], siglip["pixel_values"])
    assert ours["sav_values"].shape == (1, 3, 384, 384)


@pytest.mark.parametrize("hog_render", ["blocknorm", "skimage"])
def test_sav_is_computed_on_the_resized_bytes_and_never_resized(image_processor, hog_render):
    pixels, sav = both(image_processor, PIL.Image.fromarray(FACE), hog_render=hog_render)
    resized = np.asarray(PIL.Image.fromarray(FACE).resize((64, 56), PIL.Image.Resampling.BICUBIC))
    assert np.array_equal(to_bytes(pixels[0]), resized)
    assert np.array_equal(to_bytes(sav[0]), sav_image(resized, hog_render))


def test_the_hog_render_can_be_set_for_good_or_for_one_call(image_processor):
    raw = both(FaceShieldImageProcessor(size=SIZE, hog_render="skimage"), FACE)[1]
    assert np.array_equal(raw, both(image_processor, FACE, hog_render="skimage")[1])
    assert not np.array_equal(raw, both(image_processor, FACE)[1])


def test_both_inputs_are_normalised_alike(image_processor):
    statistics = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    plain = both(image_processor, FACE, do_normalize=False)
    for values, expected in zip(both(image_processor, FACE, **statistics), plain, strict=True):
        mean, std = (np.array(statistics[name]).reshape(3, 1, 1) for name in ("image_mean", "image_std"))
        assert np.allclose(values, (expected - mean) / std, atol=1e-6)
        assert expected.min() >= 0
        assert expected.max() <= 1


def test_values_are_float32_from_minus_one_to_one(image_processor):
    for values in both(image_processor, FACE):
        assert values.dtype == np.float32
        assert values.min() >= -1
        assert values.max() <= 1


def test_without_rescaling_and_normalising_bytes_come_out(image_processor):
    pixels, sav = both(image_processor, FACE, do_rescale=False, do_normalize=False)
    assert pixels.dtype == sav.dtype == np.uint8
    assert np.array_equal(np.moveaxis(sav[0], 0, -1), sav_image(np.moveaxis(pixels[0], 0, -1)))


def test_without_resizing_the_image_keeps_its_size(image_processor):
    pixels, sav = both(image_processor, FACE[:50, :42], do_resize=False)
    assert np.array_equal(to_bytes(pixels[0]), FACE[:50, :42])
    assert np.array_equal(to_bytes(sav[0]), sav_image(FACE[:50, :42]))


def test_sav_is_computed_on_what_a_crop_leaves(image_processor):
    pixels, sav = both(image_processor, FACE, do_center_crop=True, crop_size={"height": 32, "width": 24})
    assert pixels.shape == sav.shape == (1, 3, 32, 24)
    assert np.array_equal(to_bytes(sav[0]), sav_image(to_bytes(pixels[0])))


def test_padding_fills_both_inputs_after_normalising(image_processor):
    images = [FACE[:40, :48], FACE[:48, :40]]
    pixels, sav = both(image_processor, images, do_resize=False, do_pad=True, pad_size={"height": 48, "width": 48})
    assert pixels.shape == sav.shape == (2, 3, 48, 48)
    assert (pixels[0, :, 40:] == 0).all()
    assert (sav[0, :, 40:] == 0).all()
    assert np.array_equal(to_bytes(sav[0, :, :40]), sav_image(FACE[:40, :48]))


def test_the_shortest_edge_can_be_given(image_processor):
    pixels, sav = both(image_processor, FACE[:80], size={"shortest_edge": 40})
    assert pixels.shape == sav.shape == (1, 3, 40, 80)


def test_colour_is_red_green_blue_and_swapping_it_shows(image_processor):
    pixels, sav = both(image_processor, FACE)
    swapped_pixels, swapped_sav = both(image_processor, np.ascontiguousarray(FACE[..., ::-1]))
    assert np.array_equal(swapped_pixels, pixels[:, ::-1])
    assert not np.array_equal(swapped_sav, sav)
    red = both(image_processor, PIL.Image.new("RGB", (64, 56), "red"))[0]
    assert red[0, :, 0, 0].tolist() == [1, -1, -1]


# What comes out


def test_without_sav_there_are_only_pixel_values(image_processor):
    assert set(image_processor(FACE, do_sav=False)) == {"pixel_values"}
    assert set(FaceShieldImageProcessor(do_sav=False)(FACE)) == {"pixel_values"}
    assert set(FaceShieldImageProcessor(do_sav=False)(FACE, do_sav=True)) == {"pixel_values", "sav_values"}


def test_the_input_names_are_the_models(image_processor):
    assert image_processor.model_input_names == ["pixel_values", "sav_values"]


@pytest.mark.parametrize(("kind", "expected"), [("pt", torch.Tensor), ("np", np.ndarray), (None, list)])
def test_tensors_arrays_or_lists_come_out(image_processor, kind, expected):
    features = image_processor([FACE, FACE], return_tensors=kind)
    for name in ("pixel_values", "sav_values"):
        assert isinstance(features[name], expected)
        assert len(features[name]) == 2


def test_a_batch_equals_its_images_one_by_one_bit_for_bit(image_processor):
    images = [PIL.Image.fromarray(FACE), FACE[:100, :90], torch.from_numpy(FACE[30:, 20:]), FACE[:, :9] / 255]
    for values, singles in zip(
        both(image_processor, images),
        zip(*(both(image_processor, image) for image in images), strict=True),
        strict=True,
    ):
        assert np.array_equal(values, np.concatenate(singles))


@pytest.mark.parametrize("kind", [np.stack, torch.tensor], ids=["array", "tensor"])
def test_a_four_dimensional_array_is_a_batch(image_processor, kind):
    images = np.stack([FACE, FACE[::-1]])
    for values, expected in zip(both(image_processor, kind(images)), both(image_processor, list(images)), strict=True):
        assert np.array_equal(values, expected)


def test_nested_lists_are_flattened(image_processor):
    nested = both(image_processor, [[FACE], [FACE[::-1], FACE[:, ::-1]]])
    flat = both(image_processor, [FACE, FACE[::-1], FACE[:, ::-1]])
    for values, expected in zip(nested, flat, strict=True):
        assert np.array_equal(values, expected)


# What goes in: the same face in every dress gives the same numbers


def opened(file_format="PNG", image=None, **options):
    buffer = io.BytesIO()
    (image or PIL.Image.fromarray(FACE)).save(buffer, file_format, **options)
    return PIL.Image.open(buffer)


def rotated():
    exif = PIL.Image.Exif()
    exif[0x0112] = 8
    return opened("PNG", PIL.Image.fromarray(np.ascontiguousarray(np.rot90(FACE, -1))), exif=exif)


SAME_FACE = {
    "PNG": opened,
    "rotated by EXIF": rotated,
    "opaque RGBA": lambda: PIL.Image.fromarray(FACE).convert("RGBA"),
    "animated, first frame": lambda: opened("TIFF", save_all=True, append_images=[PIL.Image.new("RGB", (160, 160))]),
    "array, channels last": lambda: FACE,
    "array, channels first": lambda: np.moveaxis(FACE, -1, 0),
    "array with alpha": lambda: np.dstack([FACE, np.full(FACE.shape[:2], 255, np.uint8)]),
    "tensor, channels first": lambda: torch.from_numpy(FACE).permute(2, 0, 1),
    "tensor, channels last": lambda: torch.from_numpy(FACE),
    "floats 0..1": lambda: FACE / 255,
    "floats 0..255": lambda: FACE.astype(np.float32),
    "float tensor 0..1": lambda: torch.from_numpy(FACE).permute(2, 0, 1) / 255,
    "bfloat16 tensor 0..255": lambda: torch.from_numpy(FACE // 2 * 2).to(torch.bfloat16),
    "uint16": lambda: FACE.astype(np.uint16) * 257,
    "int64": lambda: FACE.astype(np.int64),
}


@pytest.mark.parametrize("dress", SAME_FACE)
def test_one_face_gives_the_same_numbers_in_every_dress(image_processor, dress):
    expected = FACE // 2 * 2 if dress.startswith("bfloat16") else FACE
    for values, reference in zip(
        both(image_processor, SAME_FACE[dress]()), both(image_processor, expected), strict=True
    ):
        assert np.array_equal(values, reference)


GRAY = FACE[..., 1]
SAME_GRAY = {
    "picture": lambda: PIL.Image.fromarray(GRAY),
    "16-bit picture": lambda: PIL.Image.fromarray(GRAY.astype(np.uint16) * 257),
    "float picture": lambda: PIL.Image.fromarray(GRAY.astype(np.float32)),
    "array without channels": lambda: GRAY,
    "list of arrays without channels": lambda: [GRAY],
    "array with one channel": lambda: GRAY[..., None],
    "floats without channels": lambda: GRAY / 255,
    "tensor without channels": lambda: torch.from_numpy(GRAY.copy()),
    "float tensor without channels": lambda: torch.from_numpy(GRAY / 255),
}


@pytest.mark.parametrize("dress", SAME_GRAY)
def test_gray_images_become_rgb_in_every_dress(image_processor, dress):
    reference = both(image_processor, np.repeat(GRAY[..., None], 3, axis=2))
    for values, expected in zip(both(image_processor, SAME_GRAY[dress]()), reference, strict=True):
        assert np.array_equal(values, expected)


@pytest.mark.parametrize("dress", ["array", "tensor", "gray array", "gray tensor", "float picture"])
def test_floats_not_to_be_rescaled_equal_rescaled_bytes(image_processor, dress):
    numbers = GRAY if dress[:4] in ("gray", "floa") else FACE
    floats = numbers.astype(np.float32) / 255
    image = torch.from_numpy(floats) if "tensor" in dress else floats
    if dress == "float picture":
        image = PIL.Image.fromarray(floats)
    for values, expected in zip(
        both(image_processor, image, do_rescale=False), both(image_processor, numbers), strict=True
    ):
        assert np.allclose(values, expected, atol=1e-6)


def test_bytes_not_to_be_rescaled_keep_their_range(image_processor):
    for image in (FACE, FACE.astype(np.float32), PIL.Image.fromarray(FACE)):
        pixels, sav = both(image_processor, image, do_rescale=False, do_normalize=False)
        assert pixels.max() > 100
        assert sav.max() == 255


def test_paths_and_base64_go_in(image_processor, tmp_path):
    path = tmp_path / "face.png"
    PIL.Image.fromarray(FACE).save(path)
    expected = both(image_processor, [FACE, FACE])
    for values, reference in zip(both(image_processor, [path, str(path)]), expected, strict=True):
        assert np.array_equal(values, reference)


def test_transparency_is_put_on_white(image_processor):
    clear = PIL.Image.new("RGBA", (64, 56), (0, 0, 0, 0))
    assert (both(image_processor, clear)[0] == 1).all()


def test_where_an_arrays_channels_are_can_be_said(image_processor):
    pixels = both(image_processor, np.full((3, 9, 3), 255, np.uint8), input_data_format="channels_last")[0]
    assert (pixels == 1).all()


@pytest.mark.parametrize(
    "pixel",
    [
        PIL.Image.new("RGB", (1, 1), (255, 0, 255)),
        np.array([[[255, 0, 255]]], np.uint8),
        torch.tensor([[[255]], [[0]], [[255]]], dtype=torch.uint8),
    ],
    ids=["picture", "array", "tensor"],
)
def test_one_pixel_fills_the_image(image_processor, pixel):
    pixels, sav = both(image_processor, pixel)
    assert np.array_equal(pixels, np.broadcast_to(np.array([1, -1, 1])[:, None, None], (1, 3, 56, 64)))
    # Flat: code 255, gray 105 (0.299 * 255 + 0.114 * 255), nothing drawn.
    assert np.array_equal(to_bytes(sav[0]), np.broadcast_to([255, 105, 0], (56, 64, 3)))


# What is refused


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got NoneType as an image"),
        ([FACE, 5], "got int as an image"),
        ("gone.png", "no such file"),
        (b"no image", "is not an image"),
        (np.zeros((5, 6, 2), np.uint8), "2 channels last"),
        (np.zeros((2, 3, 5, 6, 1), np.uint8), "as an image, expected"),
        (np.zeros(5, np.uint8), "as an image, expected"),
        (np.zeros((0, 5), np.uint8), "at least one pixel"),
        (np.zeros((0, 5)), "at least one pixel"),
        (np.full((5, 6), np.nan), "NaN"),
        (np.full((5, 6, 3), np.inf), "NaN or infinite"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), "expected at most 89,478,485"),
        (np.array([["a"]]), "values"),
    ],
)
def test_what_is_no_image_is_refused(image_processor, image, message):
    with pytest.raises(ValueError, match=message):
        image_processor(image)


def test_no_image_at_all_is_refused(image_processor):
    for nothing in ([], [[]]):
        with pytest.raises(ValueError, match="got no image, expected at least one"):
            image_processor(nothing)


def test_a_truncated_opened_picture_is_refused(image_processor):
    buffer = io.BytesIO()
    PIL.Image.fromarray(FACE).save(buffer, "JPEG")
    with pytest.raises(ValueError, match="truncated or damaged"):
        image_processor(PIL.Image.open(io.BytesIO(buffer.getvalue()[:2000])))


def test_a_decompression_bomb_is_refused_by_path(image_processor, tmp_path):
    path = tmp_path / "bomb.ppm"
    path.write_bytes(b"P6 20000 20000 255 ")
    with pytest.raises(ValueError, match="make it smaller"):
        image_processor(str(path))


def test_a_size_below_one_hog_cell_is_refused_only_with_sav(image_processor):
    with pytest.raises(ValueError, match="4x4 pixels, expected at least 8x8"):
        image_processor(FACE, size={"height": 4, "width": 4})
    features = image_processor(FACE, size={"height": 4, "width": 4}, do_sav=False, return_tensors="np")
    assert features["pixel_values"].shape == (1, 3, 4, 4)


def test_an_unknown_hog_render_is_refused_on_construction_and_on_call(image_processor):
    with pytest.raises(ValueError, match="'energy', expected one of 'blocknorm', 'skimage'"):
        FaceShieldImageProcessor(hog_render="energy")
    with pytest.raises(ValueError, match="'energy', expected one of 'blocknorm', 'skimage'"):
        image_processor(FACE, hog_render="energy")


def test_anything_but_rgb_is_refused(image_processor):
    with pytest.raises(ValueError, match="do_convert_rgb=False, but FaceShield reads RGB only"):
        image_processor(FACE, do_convert_rgb=False)


# Saving and loading


def test_all_settings_survive_saving_and_loading(tmp_path):
    settings = {
        "size": {"height": 40, "width": 48},
        "hog_render": "skimage",
        "do_sav": False,
        "image_mean": [0.1, 0.2, 0.3],
    }
    image_processor = FaceShieldImageProcessor(**settings)
    image_processor.save_pretrained(tmp_path)
    loaded = FaceShieldImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == image_processor.to_dict()
    assert json.loads((tmp_path / "preprocessor_config.json").read_text()).items() >= settings.items()


def test_it_saves_the_code_that_it_needs(image_processor, tmp_path):
    image_processor.save_pretrained(tmp_path)
    saved = {file.name for file in tmp_path.glob("*.py")}
    assert saved == {"image_processing_faceshield.py", "image_input_faceshield.py", "savp_faceshield.py"}
    auto_map = json.loads((tmp_path / "preprocessor_config.json").read_text())["auto_map"]
    assert auto_map == {"AutoImageProcessor": "image_processing_faceshield.FaceShieldImageProcessor"}


@pytest.mark.slow
def test_a_saved_folder_loads_where_the_package_is_missing(image_processor, tmp_path):
    folder = tmp_path / "saved"
    image_processor.save_pretrained(folder)
    PIL.Image.fromarray(FACE).save(tmp_path / "face.png")
    script = f"""
import sys
sys.modules["faceshield_hf"] = None  # importing it fails
from transformers import AutoImageProcessor
image_processor = AutoImageProcessor.from_pretrained({str(folder)!r}, trust_remote_code=True)
assert type(image_processor).__module__.startswith("transformers_modules."), type(image_processor)
features = image_processor({str(tmp_path / "face.png")!r}, return_tensors="np")
features["sav_values"].tofile({str(tmp_path / "sav")!r})
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    run = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    expected = both(image_processor, FACE)[1]
    assert np.array_equal(np.fromfile(tmp_path / "sav", np.float32), expected.ravel())


def test_inside_this_process_the_installed_class_is_loaded(image_processor, tmp_path):
    image_processor.save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is FaceShieldImageProcessor
