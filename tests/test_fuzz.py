"""What comes from outside and is damaged: a picture or a `ValueError`, a verdict without an exception.

A thousand image files and a thousand answers are mutated by a seeded generator, so that every run tries the same ones;
`FACESHIELD_FUZZ_FILES=20000 pytest tests/test_fuzz.py` tries more.
"""

import io
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceshield_hf.attack_types_faceshield import AttackType
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.tasks_faceshield import Task, format_answer, parse_answer
from faceshield_hf.verdict_faceshield import Box, Verdict


FILES = int(os.environ.get("FACESHIELD_FUZZ_FILES", "1000"))


def encoded(mode, kind, **options):
    """A picture of 24x16 pixels as an image file."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 4), dtype=np.uint8)
    picture = Image.fromarray(noise, "RGBA").convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("RGB", "JPEG", exif=exif)


def animated():
    frames = [Image.new("P", (24, 16), i) for i in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


CORPUS = [
    encoded("RGB", "JPEG"),
    encoded("CMYK", "JPEG"),
    encoded("L", "JPEG", progressive=True),
    with_orientation(),
    encoded("RGB", "PNG"),
    encoded("RGBA", "PNG"),
    encoded("P", "PNG"),
    encoded("1", "PNG"),
    animated(),
    encoded("RGB", "BMP"),
    encoded("RGB", "TIFF", compression="tiff_lzw"),
    encoded("RGB", "WEBP"),
]


def mutated(original, rng):
    """A file with some of its bytes flipped, dropped, doubled, exchanged or overwritten by telling values."""
    data = bytearray(original)
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(0, max(1, len(data))))
        length = int(rng.integers(1, 9))
        match rng.integers(0, 6):
            case 0:
                data[start : start + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del data[start : start + length]
            case 2:
                data[start:start] = data[start : start + length * 4]
            case 3:
                del data[start:]
            case 4:
                data[start : start + length] = bytes([[0x00, 0xFF, 0x7F, 0x80][rng.integers(0, 4)]]) * length
            case _:
                other = CORPUS[rng.integers(0, len(CORPUS))]
                data[start : start + 16] = other[start : start + 16]
    return bytes(data)


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_are_pictures_or_value_errors(part):
    rng = np.random.default_rng(part)
    image_processor = FaceShieldImageProcessor(size={"height": 32, "width": 32})
    read = 0
    for number in range(FILES // 4):
        data = mutated(CORPUS[number % len(CORPUS)], rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow tells of each odd tag
            try:
                picture = to_rgb_image(data)
            except ValueError as error:
                assert str(error)
                continue
        read += 1
        assert picture.mode == "RGB"
        assert min(picture.size) > 0
        if read % 25 == 0 and min(picture.size) >= 2:
            values = image_processor(picture, return_tensors="np")
            assert np.isfinite(values["pixel_values"]).all()
            assert np.isfinite(values["sav_values"]).all()
    assert 10 < read < FILES // 4  # both sides were seen


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_a_value_error(data):
    try:
        assert to_rgb_image(data).mode == "RGB"
    except ValueError as error:
        assert str(error)


def answers():
    """A true answer to every task, of a live face and of every attack."""
    box = Box(0.1, 0.2, 0.6, 0.9)
    for kind in AttackType:
        verdict = Verdict(
            label="real" if kind.is_live else "spoof",
            attack_type=kind,
            boxes=() if kind.is_live else (box, Box(0.0, 0.0, 1.0, 0.5)),
            explanation="The light is even, [1, 2] and <b> edges are sharp.",
        )
        for task in Task:
            if task is not Task.COT:
                yield task, format_answer(verdict, task)


def test_damaged_answers_are_read_without_an_error_and_their_boxes_lie_in_the_image():
    rng = np.random.default_rng(0)
    originals = list(answers())
    for number in range(FILES):
        task, text = originals[number % len(originals)]
        signs = list(text)
        for _ in range(rng.integers(1, 8)):
            place = int(rng.integers(0, max(1, len(signs))))
            match rng.integers(0, 4):
                case 0:
                    del signs[place : place + int(rng.integers(1, 6))]
                case 1:
                    signs[place:place] = signs[place : place + 12]
                case 2:
                    signs[place:place] = list("[]<>,.-0123456789e\n\x00é𝄞"[:: int(rng.integers(1, 5))])
                case _:
                    signs[place:] = signs[place:][::-1]
        verdict = parse_answer("".join(signs), task)
        assert verdict.label in ("real", "spoof", None)
        for found in verdict.boxes:
            assert 0 <= found.x1 <= found.x2 <= 1
            assert 0 <= found.y1 <= found.y2 <= 1
