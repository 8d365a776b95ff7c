"""Draw the pictures of docs/concepts.md with the code that they explain.

    python scripts/draw_concepts.py [--output docs/images]

The portrait is NASA's of Eileen Collins (public domain, from scikit-image), the attacks are simulated on it. It needs
the `space` extra and takes about a minute on a CPU.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFont

from faceshield_hf import QUESTIONS, FaceShield, Task
from faceshield_hf.data.simulate import Simulated, simulate
from faceshield_hf.pvtm_faceshield import PromptGuidedTokenMasking
from faceshield_hf.tasks_faceshield import AttackType
from faceshield_hf.visualize import draw_boxes, importance_map, sav_views


ROOT = Path(__file__).resolve().parents[1]
SIDE = 256
GAP = 8
CAPTION = 30
MAX_BYTES = 400_000


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images", help="the folder")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    detector = FaceShield.from_pretrained(device="cpu")
    face = Image.fromarray(skimage.data.astronaut())
    # The model sees squares, so the pictures of what it sees are drawn on them.
    made = simulate(face, AttackType.REPLAY, rng=np.random.default_rng(3))
    pictures = {
        "savp.png": savp(face.resize((SIDE, SIDE)), made.image.resize((SIDE, SIDE))),
        "pvtm.png": pvtm(detector, made.image.resize((SIDE, SIDE))),
        "box.png": boxes(detector, made),
    }
    for name, picture in pictures.items():
        file = options.output / name
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(file, optimize=True)
        if file.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{file} has {file.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
        print(f"{file}: {file.stat().st_size:,} bytes")


def savp(face: Image.Image, attack: Image.Image) -> Image.Image:
    """The spoof-aware view of a face, and of an attack on it: one row each."""
    rows = []
    for name, photo in (("portrait", face), ("replayed on a screen", attack)):
        views = sav_views(photo, SIDE)
        drawn = [(title, views[title.lower()]) for title in ("LBP", "gray", "HOG", "SAV")]
        rows.append([(name, photo), *drawn])
    return sheet(rows)


def pvtm(detector: FaceShield, photo: Image.Image) -> Image.Image:
    """What the question makes important, and what masking may take away in one training step."""
    views = detector.importance(photo, QUESTIONS[Task.COARSE][0])
    scores = torch.from_numpy(np.stack(list(views.values())))
    num_views, rows, columns = scores.shape
    config = detector.model.config
    # Tokens of ones and an embedding of zeros: what comes out as zero was masked.
    masking = PromptGuidedTokenMasking(1, config.pvtm_keep_ratio, 0.3, num_streams=1).train()
    torch.manual_seed(0)
    with torch.no_grad():
        left = masking(torch.ones(1, scores.numel(), 1), scores.reshape(1, -1)).reshape(scores.shape)
    ranks = scores.flatten().argsort(descending=True).argsort().reshape(scores.shape)
    kept = ranks < round(config.pvtm_keep_ratio * scores.numel())
    top = float(scores.max())
    shown: list[tuple[str, Image.Image]] = [("photo", photo)]
    for i, name in zip(range(num_views), ("RGB", "SAV"), strict=False):
        heat = importance_map(photo, scores[i].numpy(), (rows, columns), value_range=(float(scores.min()), top))
        shown += [(f"importance, {name}", heat), (f"masked, {name}", mask_picture(photo, left[i] == 0, kept[i]))]
    return sheet([shown])


def mask_picture(photo: Image.Image, masked: torch.Tensor, kept: torch.Tensor) -> Image.Image:
    """A photo with masked tokens in black and those that always stay framed in green."""
    picture = photo.convert("RGB").resize((SIDE, SIDE))
    draw = ImageDraw.Draw(picture)
    rows, columns = masked.shape
    for row in range(rows):
        for column in range(columns):
            corners = (
                column * SIDE // columns,
                row * SIDE // rows,
                (column + 1) * SIDE // columns - 1,
                (row + 1) * SIDE // rows - 1,
            )
            if masked[row, column]:
                draw.rectangle(corners, fill="black")
            elif kept[row, column]:
                draw.rectangle(corners, outline="#00c853", width=3)
    return picture


def boxes(detector: FaceShield, made: Simulated) -> Image.Image:
    """Where the simulator put the attack, and where the model sees it."""
    verdict = detector.detect(made.image)
    found = f"the model: {verdict.label}, {verdict.score:.2f}"
    true, said = draw_boxes(made.image, made.boxes), draw_boxes(made.image, verdict.boxes)
    return sheet([[("the simulator's box", true), (found, said)]])


def sheet(rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> Image.Image:
    """Pictures in rows, each under its caption."""
    width = max(len(row) for row in rows) * (SIDE + GAP) + GAP
    page = Image.new("RGB", (width, len(rows) * (SIDE + CAPTION + GAP) + GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=18)
    top = GAP
    for row in rows:
        height = 0
        for j, (caption, picture) in enumerate(row):
            left = GAP + j * (SIDE + GAP)
            draw.text((left, top), caption, fill="black", font=font)
            fitted = picture.convert("RGB")
            fitted.thumbnail((SIDE, SIDE))
            page.paste(fitted, (left, top + CAPTION))
            height = max(height, fitted.height)
        top += CAPTION + height + GAP
    return page.crop((0, 0, width, top))


if __name__ == "__main__":
    main()
