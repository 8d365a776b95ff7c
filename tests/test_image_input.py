"""The border: each kind of image gives the right RGB picture, each kind of non-image a ValueError that helps."""

import base64
import contextlib
import http.server
import io
import struct
import subprocess
import threading
import warnings
from pathlib import Path

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import PIL.ImageOps
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceshield_hf.image_input_faceshield import (
    IMAGE_FORMATS,
    MAX_PIXELS,
    holds_unit_floats,
    image_size,
    to_rgb_image,
)


# Two rows, three columns, every pixel different: turns and swaps show.
PIXELS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [90, 80, 70], [255, 255, 255]]], np.uint8)


def picture() -> PIL.Image.Image:
    return PIL.Image.fromarray(PIXELS)


def encoded(image: PIL.Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels_of(image, **kwargs) -> np.ndarray:
    result = to_rgb_image(image, **kwargs)
    assert result.mode == "RGB"
    return np.asarray(result)


def bomb(width: int, height: int) -> bytes:
    """A PPM file whose header promises a size that its data doesn't hold."""
    return f"P6 {width} {height} 255 ".encode()


# Where an image may come from


def test_an_upright_rgb_picture_is_given_back_uncopied():
    image = picture()
    assert to_rgb_image(image) is image


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_files_of_several_formats_are_read(tmp_path, file_format):
    path = tmp_path / "face"
    path.write_bytes(encoded(picture(), file_format, **({"lossless": True} if file_format == "WEBP" else {})))
    assert np.array_equal(pixels_of(path), PIXELS)
    assert np.array_equal(pixels_of(str(path)), PIXELS)
    assert image_size(path) == image_size(path.read_bytes()) == (3, 2)


def test_the_bytes_of_a_file_are_read():
    assert np.array_equal(pixels_of(encoded(picture(), "PNG")), PIXELS)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes], ids=["one line", "wrapped"])
def test_base64_is_read_with_and_without_its_prefix(prefix, encode):
    assert np.array_equal(pixels_of(prefix + encode(encoded(picture(), "PNG")).decode()), PIXELS)


@pytest.fixture
def url_of_png():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/face.png" else 404)
            self.end_headers()
            self.wfile.write(encoded(picture(), "PNG") if self.path == "/face.png" else b"no such page")

        def log_message(self, *_args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/face.png"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url_is_downloaded(url_of_png):
    assert np.array_equal(pixels_of(url_of_png), PIXELS)


def test_a_url_that_fails_names_itself_and_the_reason(url_of_png):
    with pytest.raises(ValueError, match=r"nothing\.png' can't be downloaded \(.*404"):
        to_rgb_image(url_of_png.replace("face", "nothing"))


# What picture files carry


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_every_exif_orientation_is_undone(orientation, file_format):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), file_format, exif=exif)
    upright = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels_of(data), np.asarray(upright))


def test_a_rotated_jpeg_comes_out_upright():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the left edge of the stored picture is the top of the scene
    stored = PIL.Image.new("RGB", (64, 32))
    stored.paste((255, 255, 255), (0, 0, 32, 32))
    upright = pixels_of(encoded(stored, "JPEG", exif=exif))
    assert upright.shape == (64, 32, 3)
    assert upright[:28].min() > 200
    assert upright[36:].max() < 50


def test_an_opened_picture_is_not_changed():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    opened = PIL.Image.open(io.BytesIO(encoded(picture(), "PNG", exif=exif)))
    to_rgb_image(opened)
    assert opened.size == (3, 2)
    assert opened.getexif()[0x0112] == 6


def test_an_opened_picture_keeps_what_it_says_of_itself():
    options = {"exif": PIL.Image.Exif(), "dpi": (300, 300), "icc_profile": b"colours", "comment": b"a note"}
    opened = PIL.Image.open(io.BytesIO(encoded(PIL.Image.new("RGB", (8, 8)), "JPEG", **options)))
    told = dict(opened.info)
    assert {"dpi", "icc_profile", "comment"} <= set(told)
    assert to_rgb_image(opened) is opened
    assert opened.info == told


def test_what_a_file_says_of_itself_stays_outside():
    exif = PIL.Image.Exif()
    exif[0x0110] = "a camera"
    for mode in ("RGB", "L"):
        data = encoded(PIL.Image.new(mode, (8, 8)), "JPEG", exif=exif, comment=b"a note")
        assert to_rgb_image(data).info == {}


def test_transparency_is_blended_into_white():
    rgba = np.dstack([PIXELS, np.array([[0, 51, 255], [255, 255, 0]], np.uint8)])
    expected = PIXELS.copy()
    expected[0, 0] = expected[1, 2] = 255
    expected[0, 1] = (204, 255, 204)  # a fifth of green
    assert np.array_equal(pixels_of(PIL.Image.fromarray(rgba)), expected)
    assert np.array_equal(pixels_of(encoded(PIL.Image.fromarray(rgba), "PNG")), expected)
    assert np.array_equal(pixels_of(rgba), expected)
    assert np.array_equal(pixels_of(np.moveaxis(rgba, -1, 0), input_data_format="channels_first"), expected)
    assert np.array_equal(pixels_of(rgba / 255), expected)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa"])
def test_rarer_transparent_modes_are_blended_into_white(mode):
    image = PIL.Image.new("LA" if mode in ("LA", "La") else "RGBA", (2, 1), (0, 0) if "L" in mode else (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 255) if "L" in mode else (0, 0, 0, 255))
    assert pixels_of(image.convert(mode)).tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_palette_gives_its_colours_and_its_transparent_one_white():
    image = PIL.Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 9, 9, 9])
    image.putdata([0, 1, 2])
    assert pixels_of(image).tolist() == [[[255, 0, 0], [0, 0, 255], [9, 9, 9]]]
    assert pixels_of(encoded(image, "PNG", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255], [9, 9, 9]]]


def test_a_transparent_colour_of_an_rgb_file_becomes_white():
    assert pixels_of(encoded(picture(), "PNG", transparency=(255, 0, 0)))[0, 0].tolist() == [255, 255, 255]


def test_cmyk_becomes_rgb():
    image = PIL.Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    assert pixels_of(image).tolist() == [[[255, 0, 0]]]
    jpeg = pixels_of(encoded(image.resize((16, 16)), "JPEG", quality=95))
    assert np.abs(jpeg.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB", "RGBX"])
def test_other_colour_spaces_become_rgb(mode):
    image = {
        "RGBX": PIL.Image.new("RGB", (2, 2), (90, 90, 90)).convert("RGBX"),
        "LAB": PIL.Image.new("LAB", (2, 2), (96, 128, 128)),
    }
    source = image[mode] if mode in image else PIL.Image.new("RGB", (2, 2), (90, 90, 90)).convert(mode)
    assert np.abs(pixels_of(source).astype(int) - 90).max() <= 3


def test_gray_and_one_bit_pictures_become_rgb():
    assert pixels_of(PIL.Image.new("L", (1, 1), 77)).tolist() == [[[77, 77, 77]]]
    assert pixels_of(PIL.Image.fromarray(np.array([[True, False]]))).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_files_are_scaled_not_clipped(file_format):
    numbers = np.array([[0, 257, 32768, 65535]], np.uint16)
    expected = [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]
    assert pixels_of(encoded(PIL.Image.fromarray(numbers), file_format)).tolist() == expected


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_16_bits_in_any_of_pillows_modes_are_scaled(mode):
    image = PIL.Image.new(mode, (2, 1))
    image.putpixel((1, 0), 65535)
    assert pixels_of(image).tolist() == [[[0] * 3, [255] * 3]]


def test_32_bit_integers_within_bytes_stay_and_beyond_16_bits_are_refused():
    assert pixels_of(PIL.Image.fromarray(np.array([[0, 200]], np.int32))).tolist() == [[[0] * 3, [200] * 3]]
    for wrong in ([[0, 70000]], [[-1, 300]]):
        with pytest.raises(ValueError, match=r"int32 values from .* expected 0\.\.255"):
            to_rgb_image(PIL.Image.fromarray(np.array(wrong, np.int32)))


def test_float_pictures_are_scaled_like_float_arrays():
    assert pixels_of(PIL.Image.fromarray(np.array([[0, 0.5, 1]], np.float32))).tolist() == [
        [[0] * 3, [128] * 3, [255] * 3]
    ]
    assert pixels_of(PIL.Image.fromarray(np.array([[0, 99, 255]], np.float32))).tolist() == [
        [[0] * 3, [99] * 3, [255] * 3]
    ]
    with pytest.raises(ValueError, match="NaN"):
        to_rgb_image(PIL.Image.fromarray(np.array([[0, np.nan]], np.float32)))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animated_file_the_first_frame_counts(file_format):
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert (pixels_of(data) == (255, 0, 0)).all()


def test_of_an_opened_animation_the_frame_where_it_stands_counts():
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    opened = PIL.Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    opened.seek(1)
    assert (pixels_of(opened) == (0, 0, 255)).all()
    assert opened.tell() == 1


# Arrays and tensors


@pytest.mark.parametrize("kind", [np.array, torch.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("first", [False, True], ids=["channels last", "channels first"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "0..1"])
def test_colour_arrays_of_every_type_and_order(kind, first, dtype):
    values = np.resize(PIXELS, (5, 6, 3))
    numbers = values / 255 if dtype == "0..1" else values.astype(dtype)
    assert np.array_equal(pixels_of(kind(np.moveaxis(numbers, -1, 0) if first else numbers)), values)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (1, 5, 6)])
def test_gray_arrays_with_and_without_a_channel_axis(shape):
    gray = np.arange(30, dtype=np.uint8)
    expected = np.repeat(gray.reshape(5, 6, 1), 3, axis=2)
    assert np.array_equal(pixels_of(gray.reshape(shape)), expected)
    assert np.array_equal(pixels_of(torch.tensor(gray.reshape(shape))), expected)
    assert np.array_equal(pixels_of(gray.reshape(shape) / 255), expected)


def test_uint16_arrays_run_to_65535_in_either_byte_order():
    for byte_order in "<>":
        numbers = np.array([[0, 128, 129, 65535]], f"{byte_order}u2")
        assert pixels_of(numbers)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_boolean_arrays_are_black_and_white():
    assert pixels_of(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]


def test_half_precision_arrays_and_tensors_are_read():
    assert pixels_of(np.array([[0, 1]], np.float16))[0, :, 0].tolist() == [0, 255]
    assert pixels_of(torch.tensor([[0, 1]], dtype=torch.bfloat16))[0, :, 0].tolist() == [0, 255]


def test_a_tensor_with_a_gradient_is_read():
    assert pixels_of(torch.ones(2, 2, requires_grad=True)).min() == 255


def test_floats_round_to_the_nearest_byte():
    assert pixels_of(np.array([[0.4 / 255, 0.6 / 255, 254.6 / 255]]))[0, :, 0].tolist() == [0, 1, 255]


def test_floats_may_overshoot_by_rounding_errors():
    assert pixels_of(np.array([[-1e-7, 1 + 1e-6]]))[0, :, 0].tolist() == [0, 255]
    assert pixels_of(np.array([[-1e-3, 255.0001]]))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1, 1)])
def test_one_colour_pixel_is_one_pixel(shape):
    assert pixels_of(np.array([1, 2, 3], np.uint8).reshape(shape)).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1)])
def test_one_gray_pixel_is_one_pixel(shape):
    assert pixels_of(np.full(shape, 7, np.uint8)).tolist() == [[[7, 7, 7]]]


def test_an_ambiguous_shape_asks_and_takes_the_answer():
    numbers = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    with pytest.raises(ValueError, match=r"shape \(3, 3, 3\).*input_data_format"):
        to_rgb_image(numbers)
    assert np.array_equal(pixels_of(numbers, input_data_format="channels_last"), numbers)
    assert np.array_equal(pixels_of(numbers, input_data_format="channels_first"), np.moveaxis(numbers, 0, -1))


def test_a_tall_narrow_image_is_not_taken_for_channels():
    assert pixels_of(np.zeros((9, 1, 3), np.uint8)).shape == (9, 1, 3)
    assert pixels_of(np.zeros((1, 9, 3), np.uint8)).shape == (1, 9, 3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0.0, 1.0]]), True),
        (torch.zeros(2, 2), True),
        (torch.zeros(2, 2, dtype=torch.bfloat16), True),
        (PIL.Image.new("F", (2, 2)), True),
        (np.array([[0.0, 2.0]]), False),
        (np.array([[0, 1]]), False),
        (np.array([[0.0, np.nan]]), False),
        (np.zeros((0, 2)), False),
        (PIL.Image.new("L", (2, 2)), False),
        ("face.png", False),
    ],
)
def test_unit_floats_are_told_from_other_values(image, expected):
    assert holds_unit_floats(image) is expected


# What is no image


def refused(image, message):
    with pytest.raises(ValueError, match=message):
        to_rgb_image(image)


def test_a_file_that_is_not_an_image_is_refused(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("these are notes, not a face")
    refused(path, r"notes\.jpg' is not an image that can be read here: pass one of these formats: JPEG, PNG, WEBP")
    refused(str(path), r"notes\.jpg' is not an image")
    refused(b"these are notes, not a face", "a file of 27 bytes is not an image")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    refused(path, r"empty\.png' is not an image")
    refused(b"", "a file of 0 bytes is not an image")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"


def icon(picture: bytes) -> bytes:
    """An ICO file of one PNG, whose header says 16x16 whatever the PNG says."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


def test_a_format_that_runs_other_programs_is_refused_without_running_them(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(PIL.EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: ran.append(arguments))
    (tmp_path / "face.eps").write_bytes(EPS)
    (tmp_path / "face.jpg").write_bytes(EPS)
    for source in (EPS, tmp_path / "face.eps", tmp_path / "face.jpg", base64.b64encode(EPS).decode()):
        refused(source, "not an image that can be read here: pass one of these formats: JPEG")
        with pytest.raises(ValueError, match="not an image that can be read here"):
            image_size(source)
    assert not ran


def test_a_format_that_is_unpacked_when_it_is_opened_is_refused_before(monkeypatch):
    data = icon(encoded(PIL.Image.new("RGB", (300, 300)), "PNG"))
    unpacked = []
    load = PIL.ImageFile.ImageFile.load
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: unpacked.append(self) or load(self))
    refused(data, "not an image that can be read here")
    assert not unpacked


@pytest.mark.parametrize("file_format", IMAGE_FORMATS)
def test_the_size_of_every_format_is_read_without_unpacking(file_format, monkeypatch):
    try:
        data = encoded(PIL.Image.new("RGB", (30, 20)), file_format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow cannot write {file_format}")
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", None)
    assert image_size(data) == (30, 20)


def test_the_size_of_a_bomb_is_refused():
    with pytest.raises(ValueError, match=f"{MAX_PIXELS:,}"):
        image_size(bomb(20_000, 20_000))


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "gone.png", r"gone\.png': no such file")
    refused("gone.png", "'gone.png': no such file, and neither a URL nor a base64 image")
    refused("", r"no such file")


def test_a_mistyped_name_that_happens_to_be_base64_is_refused_as_a_missing_file():
    refused("face", r"'face' \(no such file, so read as base64\) is not an image")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "can't be opened as an image|no such file")
    refused(str(tmp_path), "no such file")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused_by_path_and_already_opened(tmp_path, file_format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(PIL.Image.fromarray(noise), file_format)
    path = tmp_path / "half"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"truncated|damaged|opened|not an image"):
        to_rgb_image(path)
    try:
        opened = PIL.Image.open(path)
    except Exception:
        return  # this format's reader notices on opening
    refused(opened, "truncated or damaged")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 10_000)], ids=["Pillow's error", "Pillow's warning"])
def test_a_decompression_bomb_is_refused_undecoded(tmp_path, size):
    path = tmp_path / "bomb.ppm"
    path.write_bytes(bomb(*size))
    with pytest.raises(ValueError, match=f"{MAX_PIXELS:,}.*make it smaller"):
        to_rgb_image(path)


def test_a_bomb_is_a_value_error_where_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(bomb(10_000, 10_000), "make it smaller")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_opened_picture_or_array_beyond_the_limit_is_refused():
    refused(PIL.Image.open(io.BytesIO(bomb(10_000, 10_000))), "10000x10000 pixels, expected at most 89,478,485")
    huge = np.broadcast_to(np.uint8(0), (20_000, 20_000, 3))  # takes no memory
    refused(huge, "20000x20000 pixels, expected at most 89,478,485")


@pytest.mark.parametrize(
    "image", [np.zeros((0, 5)), np.zeros((5, 0, 3)), np.zeros((3, 0, 5)), PIL.Image.new("RGB", (0, 5))]
)
def test_an_image_without_pixels_is_refused(image):
    refused(image, "expected at least one pixel")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_floats_are_refused(bad):
    numbers = np.zeros((5, 6, 3), np.float32)
    numbers[2, 2, 1] = bad
    refused(numbers, "NaN or infinite")
    refused(torch.tensor(numbers), "NaN or infinite")


@pytest.mark.parametrize("shape", [(5, 6, 2), (2, 5, 6), (5, 6, 5), (5, 6, 7)])
def test_a_wrong_number_of_channels_is_refused(shape):
    refused(np.zeros(shape, np.uint8), r"channels last, expected 1 \(gray\), 3 \(RGB\) or 4 \(RGBA\)")


def test_a_wrong_number_of_channels_is_refused_where_the_caller_says_they_are():
    with pytest.raises(ValueError, match=r"5 channels first, expected 1"):
        to_rgb_image(np.zeros((5, 6, 3), np.uint8), input_data_format="channels_first")


@pytest.mark.parametrize("shape", [(), (5,), (2, 5, 6, 3)])
def test_a_wrong_number_of_axes_is_refused(shape):
    refused(np.zeros(shape, np.uint8), r"expected \(height, width\)")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.array([[0, 256]]), "int64 values from 0 to 256"),
        (np.array([[-1, 5]]), "int64 values from -1 to 5"),
        (np.array([[-0.5, 0.5]]), "floats from -0.5 to 0.5.*before it was normalised"),
        (np.array([[-2.1, 2.6]]), "floats from -2.1 to 2.6"),
        (np.array([[0.0, 1.05]]), "floats from 0 to 1.05.*clip"),
        (np.array([[0.0, 300.0]]), "floats from 0 to 300"),
        (np.array([[1j]]), "complex128 values"),
        (np.array([["a"]]), "<U1 values"),
        (np.array([[None]]), "object values"),
    ],
)
def test_values_that_are_no_images_are_refused(numbers, message):
    refused(numbers, message)


@pytest.mark.parametrize("thing", [None, 5, {"path": "face.png"}, [1, 2]])
def test_other_things_are_refused_by_type(thing):
    refused(thing, f"got {type(thing).__name__} as an image, expected a path")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
def test_a_damaged_file_gives_a_picture_or_a_value_error(file_format, data):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if file_format not in ("GIF", "BMP") else {}
    damaged = bytearray(encoded(picture().resize((24, 16)), file_format, **options))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError):
            assert to_rgb_image(bytes(damaged)).mode == "RGB"


def test_a_path_object_and_a_string_mean_the_same_file(tmp_path):
    path = tmp_path / "face.png"
    picture().save(path)
    assert isinstance(path, Path)
    assert np.array_equal(pixels_of(path), pixels_of(str(path)))
