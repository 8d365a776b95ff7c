"""How much faster the SAV image is than scikit-image, and what it adds to preprocessing.

OMP_NUM_THREADS=1 python tests/benchmarks/bench_savp.py [--repeats 20]
"""

# ruff: noqa: T201

import argparse

import numpy as np
from measure import HEADER, Row, by_turns, in_ms, ratio
from PIL import Image
from skimage.data import astronaut
from skimage.feature import hog, local_binary_pattern
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.savp_faceshield import HOG_FULL_SCALE, gray, sav_image


SIZES = ((384, 384), (640, 480), (1024, 1024), (1920, 1080))


def measure(repeats: int = 20) -> list[Row]:
    """Measure the SAV image and the whole preprocessing."""
    rgb = np.asarray(Image.fromarray(astronaut()).resize((384, 384), Image.Resampling.BICUBIC))
    luma = gray(rgb)

    def by_skimage() -> None:
        local_binary_pattern(luma, 8, 1)
        hog(luma, 9, (8, 8), (2, 2), visualize=True)

    rows = []
    for render in sorted(HOG_FULL_SCALE):
        theirs, ours = by_turns(max(3, repeats // 4), by_skimage, lambda render=render: sav_image(rgb, render))
        rows.append(
            Row(
                f"SAV image 384x384, HOG drawn as {render}",
                "scikit-image's LBP and HOG",
                ratio(theirs, ours),
                40,
                unit="x faster",
                at_least=True,
                detail=in_ms(ours, theirs),
            )
        )
    siglip, faceshield = SiglipImageProcessorPil(size={"height": 384, "width": 384}), FaceShieldImageProcessor()
    for size in SIZES:
        image = Image.fromarray(astronaut()).resize(size, Image.Resampling.BICUBIC)
        theirs, ours = by_turns(
            repeats,
            lambda image=image: siglip(image, return_tensors="pt"),
            lambda image=image: faceshield(image, return_tensors="pt"),
        )
        rows.append(
            Row(
                f"preprocessing a picture of {size[0]}x{size[1]}, with SAV",
                "SiglipImageProcessorPil",
                ratio(ours, theirs),
                1.4,
                detail=in_ms(ours, theirs),
            )
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    print(HEADER, *(row.to_markdown() for row in measure(parser.parse_args().repeats)), sep="\n")
