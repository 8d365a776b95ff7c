"""Small builds for tests: labelled pictures of noise, settings, and the bytes of a folder."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from faceshield_hf.data.build.config import read_config
from faceshield_hf.tasks_faceshield import AttackType


KINDS = list(AttackType)


def make_images(folder, count=24, subjects=6):
    """A folder of small noisy pictures of every type with its table."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        name = f"images/{i:04d}.jpg"
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / name)
        boxes = [] if kind.is_live else [[0.1, 0.2, 0.6, 0.7]]
        rows.append(
            {
                "file_name": name,
                "attack_type": kind.value,
                "subject_id": f"s{i % subjects}",
                "boxes": boxes,
                "box_labels": ["there"] * len(boxes),
                "cues": [],
                "domain": "A",
            }
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def turned(width=64, height=48, fill=(0, 0, 0)):
    """A JPEG whose camera was held sideways: stored `width` x `height`, to be turned clockwise to be upright.

    Its upper half as it is stored is `fill`, which upright is the right half; the rest is white.
    """
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(fill, (0, 0, width, height // 2))
    exif, out = Image.Exif(), io.BytesIO()
    exif[ExifTag.Orientation] = 6
    picture.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def clear(size=(64, 48)):
    """A PNG of transparent pixels, black underneath: white is what anyone sees."""
    out = io.BytesIO()
    Image.new("RGBA", size, (0, 0, 0, 0)).save(out, "PNG")
    return out.getvalue()


def settings(images, out, **changes):
    values = {
        "out": str(out),
        "inputs": [str(images)],
        "tasks": {"coarse": 1.5, "fine": 1, "reasoning": 1, "localization": 1},
        "shard_images": 5,
        "paraphrase": {"share": 0.5},
    }
    return read_config(values | changes)


def tree(folder):
    """Every file of a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}
