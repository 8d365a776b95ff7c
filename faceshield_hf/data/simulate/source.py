"""A face photo made ready for simulation: the face's shape, who is person and who is background.

Done once for each photo and reused for all images made of it. Knows nothing of attacks.

Example:
    >>> from skimage.data import astronaut
    >>> from PIL import Image
    >>> from faceshield_hf.data.simulate.source import prepare
    >>> prepare(Image.fromarray(astronaut())).person.ndim
    2
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from faceshield_hf.faces import Face, find_faces

from .anatomy import CHIN, HALF_WIDTH, FaceShape
from .imaging import blur, median_colour, polygon_mask


_MAX_FACE_HEIGHT = 560  # more is never needed at camera resolution
_MATTE_SIDE = 144  # the cut-out is found on a thumbnail and refined at full size


@dataclass(frozen=True)
class Source:
    """A prepared photo.

    Attributes:
        image (`np.ndarray` of shape `(height, width, 3)`): RGB, float32, 0..1.
        shape (`FaceShape`): the largest face.
        person (`np.ndarray` of shape `(height, width)`): 1 on the person, 0 on the background.
        backdrop (`np.ndarray` of shape `(height, width, 3)`): the photo's background colours with the person taken
            out, smooth.
        skin (`np.ndarray` of shape `(3,)`): median skin colour.
    """

    image: np.ndarray
    shape: FaceShape
    person: np.ndarray
    backdrop: np.ndarray
    skin: np.ndarray


def prepare(photo: Image.Image, face: Face | None = None) -> Source:
    """Find the face and cut out the person.

    Args:
        photo (`PIL.Image.Image`): any mode.
        face (`Face`, *optional*): a face already found in this photo.

    Returns:
        `Source`

    Raises:
        ValueError: no face was found, or it is too small to work with.
    """
    # Imported here because it brings torch along, which planning and drawing alone need not wait for.
    from faceshield_hf.image_input_faceshield import to_rgb_image

    rgb = to_rgb_image(photo)
    if face is None:
        found = find_faces(rgb)
        if not found:
            raise ValueError(
                f"no face found in an image of {rgb.width}x{rgb.height} px: give a photo with one clearly visible face"
            )
        face = found[0]
    shape = FaceShape.from_landmarks(face.landmarks)
    if shape.height < 48:
        raise ValueError(f"the face is {shape.height:.0f} px high, at least 48 are needed: give a larger photo")
    scale = min(1.0, _MAX_FACE_HEIGHT / shape.height)
    if scale < 1:
        size = (round(rgb.width * scale), round(rgb.height * scale))
        shape = shape.moved(np.array([[size[0] / rgb.width, 0, 0], [0, size[1] / rgb.height, 0]]))
        rgb = rgb.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC)
    image = np.asarray(rgb, np.float32) / 255
    person = _cut_out(image, shape)
    cheeks = shape.mask([(-1.3, 0.5), (1.3, 0.5), (1.0, 2.0), (-1.0, 2.0)], image.shape[:2], 0)
    return Source(image, shape, person, _without_person(image, person), median_colour(image, cheeks))


def _cut_out(image: np.ndarray, shape: FaceShape) -> np.ndarray:
    """Person against background by GrabCut on a thumbnail, then an edge-following smoothing at full size."""
    h, w = image.shape[:2]
    scale = _MATTE_SIDE / max(h, w)
    small = cv2.resize(image, (max(8, round(w * scale)), max(8, round(h * scale))), interpolation=cv2.INTER_AREA)
    sh, sw = small.shape[:2]
    tiny = shape.moved(np.array([[sw / w, 0, 0], [0, sh / h, 0]]))
    labels = _first_guess(tiny, (sh, sw))
    cv2.setRNGSeed(1)  # GrabCut starts from k-means: without this the cut would depend on what ran before
    backdrop, person = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut((small * 255).astype(np.uint8), labels, (0, 0, 1, 1), backdrop, person, 2, cv2.GC_INIT_WITH_MASK)
    alpha = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, _stats, _ = cv2.connectedComponentsWithStats(alpha)
    nose = np.clip(tiny.points([(0, 1.1)])[0].round().astype(int), 0, [sw - 1, sh - 1])
    alpha = (parts == parts[nose[1], nose[0]]).astype(np.uint8)
    alpha = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    coarse = cv2.resize(alpha.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    radius = max(2, round(0.02 * max(h, w)))
    return np.clip((_guided(image.mean(2), coarse, radius) - 0.1) / 0.8, 0, 1)


def _first_guess(shape: FaceShape, size: tuple[int, int]) -> np.ndarray:
    """GrabCut's starting labels from a typical head and shoulders."""
    h, w = size
    labels = np.full(size, cv2.GC_PR_BGD, np.uint8)
    head = polygon_mask(size, shape.ellipse((0, 0.2), (2.6, 4.3)), 0)
    chin = CHIN + 0.2
    shoulders = [(-1.6, chin - 1), (1.6, chin - 1), (5.2, chin + 3.2), (6.5, 30), (-6.5, 30), (-5.2, chin + 3.2)]
    body = shape.mask(shoulders, size, 0)
    labels[(head > 0.5) | (body > 0.5)] = cv2.GC_PR_FGD
    chest = shape.mask([(-1.0, chin - 1), (1.0, chin - 1), (3.0, chin + 4), (3.0, 30), (-3.0, 30), (-3.0, chin + 4)],
                       size, 0)  # fmt: skip
    labels[(shape.mask(shape.outline(0.95), size, 0) > 0.5) | (chest > 0.5)] = cv2.GC_FGD
    x, y = shape.points([(0, 0)])[0]
    rows, columns = np.mgrid[0:h, 0:w]
    beside = (np.abs(columns - x) > 3.6 * HALF_WIDTH / 2 * shape.unit) & (rows < y + 1.5 * shape.unit)
    above = rows < y - 5.2 * shape.unit
    labels[(beside | above) & (labels != cv2.GC_FGD)] = cv2.GC_BGD
    return labels


def _guided(guide: np.ndarray, mask: np.ndarray, radius: int, eps: float = 4e-4) -> np.ndarray:
    """Guided filter (He et al., 2010): smooths the mask but keeps the guide's edges."""
    size = (2 * radius + 1, 2 * radius + 1)
    mean_g, mean_m = cv2.blur(guide, size), cv2.blur(mask, size)
    slope = (cv2.blur(guide * mask, size) - mean_g * mean_m) / (cv2.blur(guide * guide, size) - mean_g**2 + eps)
    offset = mean_m - slope * mean_g
    return cv2.blur(slope, size) * guide + cv2.blur(offset, size)


def _without_person(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Background colours spread over the person: a smooth fill, not a picture."""
    h, w = image.shape[:2]
    scale = 64 / max(h, w)
    size = (max(4, round(w * scale)), max(4, round(h * scale)))
    free = cv2.resize(1 - person, size, interpolation=cv2.INTER_AREA)[..., None] ** 2 + 1e-4
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    fill = blur(small * free, 6) / blur(free, 6).reshape(size[1], size[0], 1)
    near = blur(small * free, 1.5) / (blur(free, 1.5).reshape(size[1], size[0], 1))
    trust = np.clip(blur(free, 1.5).reshape(size[1], size[0], 1) * 2, 0, 1)
    return cv2.resize(near * trust + fill * (1 - trust), (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 1)
