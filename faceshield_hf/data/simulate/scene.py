"""A person before a camera: where the face lies in the frame, what is behind, before any attack.

The same code and the same draws serve bona fide and attack images. Photos that are too tight for the wanted framing
are continued: the background by its own smooth colours or a new background, the body downwards and sideways from its
last rows. Knows nothing of attacks.

Example:
    >>> import numpy as np
    >>> from skimage.data import astronaut
    >>> from PIL import Image
    >>> from faceshield_hf.data.simulate import scene
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> from faceshield_hf.data.simulate.source import prepare
    >>> rng = np.random.default_rng(0)
    >>> person = prepare(Image.fromarray(astronaut()))
    >>> where = scene.draw_placement(person, rng, DOMAINS["A"])
    >>> scene.compose(person, where, rng, DOMAINS["A"]).image.shape[2]
    3
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .anatomy import CHIN, FaceShape
from .domains import Domain
from .imaging import Size, blur, chance, fractal_noise, grid, mix, pick, smooth_noise, uniform
from .objects import clutter, defocus, plate
from .source import Source


FACE_SHARE = (0.25, 0.85)  # face height over frame height
_MAX_ENLARGEMENT = 1.6  # beyond it a small photo shows its own blur instead of the camera's


@dataclass(frozen=True)
class Placement:
    """Framing of one image.

    Attributes:
        size (`tuple[int, int]`): height and width of the frame.
        face_height (`float`): pixels from hair line to chin.
        centre (`tuple[float, float]`): pixel position of the face's middle.
        angle (`float`): radians, in-plane.
        mirror (`bool`): whether left and right are swapped.
    """

    size: Size
    face_height: float
    centre: tuple[float, float]
    angle: float
    mirror: bool


@dataclass
class Frame:
    """A scene at camera resolution.

    Attributes:
        image (`np.ndarray` of shape `(height, width, 3)`): RGB, float32, 0..1.
        shape (`FaceShape`): the face in this frame.
        person (`np.ndarray` of shape `(height, width)`): 1 on the person.
        skin (`np.ndarray` of shape `(3,)`): median skin colour.
        finest (`float`): the shortest period in pixels that the camera to come will still resolve; an attack only
            claims a trace that is coarser.
    """

    image: np.ndarray
    shape: FaceShape
    person: np.ndarray
    skin: np.ndarray
    finest: float = 2.5

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    def head(self, neck: float) -> np.ndarray:
        """Mask of the head down to `neck` (face units): shoulders and hair far from the head are left out."""
        u, v = self.shape.coordinates(self.size)
        reach = np.interp(v, [1.5, CHIN], [3.1, 1.7]).astype(np.float32)
        near = np.clip((neck - v) / 0.08, 0, 1) * np.clip((reach - np.abs(u)) / 0.1, 0, 1)
        return self.person * near * np.clip((v + 5.6) / 0.3, 0, 1)


def draw_placement(
    source: Source, rng: np.random.Generator, domain: Domain, size: tuple[int, int] | None = None
) -> Placement:
    """Draw a frame and the face's place in it; the attack type is not looked at.

    Args:
        source (`Source`): the prepared photo, for its resolution.
        rng (`np.random.Generator`): source of randomness.
        domain (`Domain`): ranges of frame shapes and tilt.
        size (`tuple[int, int]`, *optional*): width and height of the frame, drawn if not given.
    """
    aspect = domain.aspects[int(rng.integers(len(domain.aspects)))] * uniform(rng, (0.95, 1.05))
    long_side = uniform(rng, domain.long_side)
    share = uniform(rng, FACE_SHARE)
    place = rng.random(2).tolist()
    angle = float(np.radians(uniform(rng, domain.angle) * rng.random()))
    mirror = chance(rng, 0.5)
    if size is None:
        # Small photos get small frames: upscaling them further would only show their own softness.
        unit_height = min(1.0, 1 / aspect) * share
        limit = _MAX_ENLARGEMENT * source.shape.height / unit_height
        long_side = max(320.0, min(long_side, limit))
        height, width = long_side * min(1.0, 1 / aspect), long_side * min(1.0, aspect)
    else:
        width, height = size
    h, w = max(32, round(height)), max(32, round(width))
    face = min(share * h, 1.25 * w)
    half_h, half_w = 0.5 * face, 0.4 * face
    # Up to 6 % of the face may leave the frame.
    x = _between(half_w - 0.06 * face, w - half_w + 0.06 * face, place[0])
    y = _between(half_h - 0.06 * face, h - half_h + 0.06 * face, place[1])
    return Placement((h, w), face, (x, y), angle, mirror)


def compose(source: Source, place: Placement, rng: np.random.Generator, domain: Domain) -> Frame:
    """Put the person into the frame, before a background, with clutter behind."""
    matrix = _affine(source, place)
    image, person, own = _continued(source, matrix, place.size, rng)
    long_side = max(place.size)
    new_plate = not chance(rng, domain.own_background)
    kind = pick(rng, domain.plates)
    softness = uniform(rng, (0.0, 0.012)) * long_side
    with_clutter = chance(rng, 0.4)
    behind = _backdrop(source, matrix, place.size, rng)
    behind = mix(behind, image, own)
    if new_plate:
        behind = defocus(plate(kind, place.size, rng), softness)
    if with_clutter:
        behind = blur(clutter(behind, rng, source.skin), 0.5 + 0.5 * softness)
    image = mix(behind, image, person)
    shape = source.shape.moved(matrix)
    return Frame(image.clip(0, 1).astype(np.float32), shape, person, source.skin)


def _between(low: float, high: float, t: float) -> float:
    return 0.5 * (low + high) if high < low else low + t * (high - low)


def _affine(source: Source, place: Placement) -> np.ndarray:
    """Photo pixels to frame pixels."""
    scale = place.face_height / source.shape.height
    c, s = np.cos(place.angle) * scale, np.sin(place.angle) * scale
    linear = np.array([[c, -s], [s, c]])
    if place.mirror:
        linear = linear @ np.diag([-1.0, 1.0])
    offset = np.asarray(place.centre) - linear @ source.shape.centre
    return np.concatenate([linear, offset[:, None]], 1)


def _continued(
    source: Source, matrix: np.ndarray, size: Size, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warp photo and cut-out into the frame, the body going on beyond the photo's bottom and sides.

    Returns:
        image, person mask, and a mask that is 1 well inside the photo and fades to 0 at its borders.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    photo, cut = source.image, source.person
    if scale < 0.7:  # shrink properly first: bilinear sampling alone would alias
        small = (max(2, round(photo.shape[1] * scale)), max(2, round(photo.shape[0] * scale)))
        factor = np.diag([photo.shape[1] / small[0], photo.shape[0] / small[1], 1.0])
        photo = cv2.resize(photo, small, interpolation=cv2.INTER_AREA)
        cut = cv2.resize(cut, small, interpolation=cv2.INTER_AREA)
        matrix = np.concatenate([matrix, [[0, 0, 1]]]) @ factor
        matrix = matrix[:2]
    ph, pw = photo.shape[:2]
    x, y = grid(size)
    inverse = cv2.invertAffineTransform(matrix).astype(np.float32)
    sx = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    sy = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    below = np.maximum(0, sy - (ph - 2))
    middle = float(source.shape.centre[0]) * pw / source.image.shape[1]
    unit = source.shape.unit * pw / source.image.shape[1]
    half = max(1.3 * unit, 0.45 * float((cut[-3] > 0.5).sum()))
    widening = np.minimum(1.1 * below, max(0.0, 5.5 * unit - half)) / half
    sx = middle + (sx - middle) / (1 + widening)  # shoulders, down to their full width
    beside = np.maximum(0, -sx) + np.maximum(0, sx - (pw - 1))
    # Below the photo: its last rows mirrored and squeezed; beside it: shoulders that slope down.
    fold = 0.12 * ph
    sy2 = np.minimum(sy, ph - 2) - 0.3 * fold * (1 - np.exp(-below / fold)) - 0.9 * beside
    image = cv2.remap(photo, sx, sy2, cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    person = cv2.remap(cut, sx, np.maximum(sy2, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # A head that the photo's top cut off is given a round crown.
    crown = 0.35 * unit * ((sx - middle) / (2.2 * unit)) ** 2
    person *= np.clip((sy - crown) / (0.1 * unit) + 0.5, 0, 1)
    person *= np.clip(1 - (beside - 0.35 * pw) / (0.05 * pw), 0, 1)
    outside = np.clip((below + beside) / (0.08 * ph), 0, 1)
    if outside.max() > 0:
        image = mix(image, blur(image, 0.02 * max(size)), outside)
        # The clothes begin with a curved collar at the photo's lower end.
        collar = np.clip((below - 1 - 0.25 * unit + 0.2 * np.abs(sx - middle)) / (0.05 * unit + 1), 0, 1)
        image = mix(image, _cloth(photo, source.skin, size, rng), collar * (below > 0))
    edge = np.minimum(np.minimum(sx, pw - 1 - sx) / pw, np.minimum(sy, ph - 1 - sy) / ph)
    own = np.clip(edge / 0.1, 0, 1)
    return image, person.clip(0, 1), own * own * (3 - 2 * own)


def _cloth(photo: np.ndarray, skin: np.ndarray, size: Size, rng: np.random.Generator) -> np.ndarray:
    """Folded cloth in the colour of the photo's lower corners; if that is skin, in any colour."""
    corner = max(2, photo.shape[1] // 6)
    low = photo[-max(2, photo.shape[0] // 40) :]
    colour = np.median(np.concatenate([low[:, :corner], low[:, -corner:]], 1), (0, 1))
    other = rng.random(3) * 0.7 + 0.05
    if np.abs(colour - skin).max() < 0.18 or colour.mean() > 0.9:
        colour = other
    folds = fractal_noise(size, 0.2 * max(size), rng, 2) - 0.5
    weave = 0.04 * rng.standard_normal(size, dtype=np.float32)
    return np.clip(colour.astype(np.float32) * (0.95 + 0.45 * folds + weave)[..., None], 0, 1)


def _backdrop(source: Source, matrix: np.ndarray, size: Size, rng: np.random.Generator) -> np.ndarray:
    """The photo's background colours over the whole frame, uneven as out-of-focus things are."""
    fill = cv2.warpAffine(source.backdrop, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    # Beyond the photo only its overall colour is known: single objects at its border must not become streaks.
    inside = cv2.warpAffine(np.ones(source.person.shape, np.float32), matrix, (size[1], size[0]))
    fill = mix(blur(fill, 0.25 * max(size)), blur(fill, 0.05 * max(size)), blur(inside, 0.06 * max(size)))
    uneven = 0.8 + 0.4 * smooth_noise(size, 0.25 * max(size), rng)
    return np.clip(fill * uneven[..., None], 0, 1)


def zoomed(place: Placement, size: Size, face_height: float, centre: tuple[float, float]) -> Placement:
    """The same tilt and side in another frame, as when a photo of the scene is the medium of an attack."""
    return replace(place, size=size, face_height=face_height, centre=centre, angle=0.3 * place.angle)
