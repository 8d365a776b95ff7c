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
from functools import cached_property

import cv2
import numpy as np

from .anatomy import CHIN, FaceShape
from .domains import Domain
from .imaging import Size, blur, chance, fractal_noise, grid, luma, mix, pick, smooth_noise, uniform
from .objects import clutter, defocus, plate
from .source import Source


SMALLEST_FACE = 0.23  # face height over the frame's longer side; below it no attack would be seen at 256 px
LARGEST_FACE = (0.85, 1.25)  # face height over the frame's height, and over its width
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
        natural (`bool`): the frame is a crop of the photo, nothing continued or replaced.
    """

    size: Size
    face_height: float
    centre: tuple[float, float]
    angle: float
    mirror: bool
    natural: bool = False


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
        behind (`np.ndarray` of shape `(height, width, 3)`): what would be seen without the person.
        covered (`np.ndarray` of shape `(height, width)`): 1 where a hat or scarf will lie over everything else.
        natural (`bool`): a plain photograph, to be changed as little as possible.
        whole (`Frame`, *optional*): the frame that this one was cut out of.
    """

    image: np.ndarray
    shape: FaceShape
    person: np.ndarray
    skin: np.ndarray
    finest: float = 2.5
    behind: np.ndarray | None = None
    covered: np.ndarray | float = 0.0
    natural: bool = False
    whole: "Frame | None" = None

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def full_size(self) -> Size:
        """Height and width of the camera's frame, of which this may be a part."""
        return self.size if self.whole is None else self.whole.size

    @cached_property
    def brightness(self) -> float:
        """Mean of the camera's frame, 0..1: how much light there is."""
        return float(luma((self.whole or self).image[::2, ::2]).mean())

    def about_face(self) -> tuple[slice, slice]:
        """Rows and columns that hold all of a head, with room for what is worn on it."""
        corners = self.shape.points([(u, v) for u in (-6, 6) for v in (-6.5, 6.5)])
        low = np.maximum(np.floor(corners.min(0)), 0).astype(int)
        end = np.minimum(np.ceil(corners.max(0)) + 1, self.size[::-1]).astype(int)
        return slice(int(low[1]), int(end[1])), slice(int(low[0]), int(end[0]))

    def part(self, window: tuple[slice, slice]) -> "Frame":
        """Some rows and columns as a frame of their own: work on a face need not touch the rest."""
        move = np.array([[1.0, 0.0, -window[1].start], [0.0, 1.0, -window[0].start]])
        return replace(
            self,
            image=self.image[window],
            shape=self.shape.moved(move),
            person=self.person[window],
            behind=None if self.behind is None else self.behind[window],
            covered=self.covered[window] if isinstance(self.covered, np.ndarray) else self.covered,
            whole=self,
        )

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
    if size is not None:
        aspect = size[0] / size[1]
    long_side = uniform(rng, domain.long_side)
    zoom, right, down = rng.random(3).tolist()
    angle = float(np.radians(uniform(rng, domain.angle) * rng.random()))
    mirror = chance(rng, 0.5)
    if chance(rng, domain.natural):
        return crop(source, aspect, (zoom, right, down), mirror, long_side, size)
    wide, high = min(1.0, aspect), min(1.0, 1 / aspect)
    least, most = SMALLEST_FACE, min(LARGEST_FACE[0] * high, LARGEST_FACE[1] * wide)
    share = least * (most / least) ** (zoom**1.9)  # on a logarithmic scale, rather small than large
    if size is None:
        # Small photos get small frames: upscaling them further would only show their own softness.
        long_side = max(320.0, min(long_side, _MAX_ENLARGEMENT * source.shape.height / share))
        size = (round(long_side * wide), round(long_side * high))
    w, h = size
    face = min(share * max(size), LARGEST_FACE[0] * h, LARGEST_FACE[1] * w)
    half_h, half_w = 0.5 * face, 0.4 * face
    # Up to 6 % of the face may leave the frame.
    x = _between(half_w - 0.06 * face, w - half_w + 0.06 * face, right)
    y = _between(half_h - 0.06 * face, h - half_h + 0.06 * face, down)
    return Placement((h, w), face, (x, y), angle, mirror)


def crop(
    source: Source,
    aspect: float,
    draws: tuple[float, float, float],
    mirror: bool,
    long_side: float,
    size: tuple[int, int] | None = None,
) -> Placement:
    """A frame that lies inside the photo, so that everything in it is as it was photographed.

    Args:
        source (`Source`): the prepared photo.
        aspect (`float`): width / height wanted; a photo that cannot hold the face at it gives its own.
        draws (`tuple[float, float, float]`): 0..1 each: how tight the crop is, and where the face lies in it.
        mirror (`bool`): whether left and right are swapped.
        long_side (`float`): pixels, at most; small photos give less.
        size (`tuple[int, int]`, *optional*): width and height of the frame.
    """
    ph, pw = source.image.shape[:2]
    face, (cx, cy) = source.shape.height, source.shape.centre.tolist()
    widest = min(pw, ph * aspect)
    tightest = max(face / LARGEST_FACE[0] * aspect, face / LARGEST_FACE[1])
    roomiest = max(tightest, min(widest, face / SMALLEST_FACE * min(1.0, aspect)))
    width = min(widest, roomiest * (tightest / roomiest) ** (draws[0] ** 1.5))
    height = width / aspect
    left = _between(cx + 0.34 * face - width, cx - 0.34 * face, draws[1])
    top = _between(cy + 0.44 * face - height, cy - 0.44 * face, draws[2])
    left, top = min(max(left, 0.0), pw - width), min(max(top, 0.0), ph - height)
    scale = max(320.0, min(long_side, _MAX_ENLARGEMENT * max(width, height))) / max(width, height)
    if size is not None:
        scale = size[0] / width
    w, h = size or (round(scale * width), round(scale * height))
    x, y = scale * (cx - left), scale * (cy - top)
    return Placement((h, w), scale * face, (w - x if mirror else x, y), 0.0, mirror, natural=True)


def compose(source: Source, place: Placement, rng: np.random.Generator, domain: Domain) -> Frame:
    """Put the person into the frame, before a background, with clutter behind."""
    matrix = _affine(source, place)
    image, person, own = _continued(source, matrix, place.size, rng)
    long_side = max(place.size)
    new_plate = not chance(rng, domain.own_background)
    kind = pick(rng, domain.plates)
    softness = uniform(rng, (0.0, 0.012)) * long_side
    with_clutter = chance(rng, 0.4)
    fill = _backdrop(source, matrix, place.size, rng)
    shape = source.shape.moved(matrix)
    if place.natural:
        return Frame(image.clip(0, 1).astype(np.float32), shape, person, source.skin, behind=fill, natural=True)
    if new_plate:
        behind = fill = defocus(plate(kind, place.size, rng, domain.tattoos), softness)
    else:
        behind = mix(fill, image, own)
    if with_clutter:
        behind = blur(clutter(behind, rng, source.skin, domain.tattoos), 0.5 + 0.5 * softness)
        fill = behind if new_plate else fill
    image = mix(behind, image, person)
    return Frame(image.clip(0, 1).astype(np.float32), shape, person, source.skin, behind=fill)


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
    middle = float(source.shape.centre[0]) * pw / source.image.shape[1]
    unit = source.shape.unit * pw / source.image.shape[1]
    if min(float(sx.min()), float(pw - 1 - sx.max()), float(ph - 2 - sy.max())) >= 0:  # all of it is in the photo
        image, person = _sampled(photo, cut, sx, sy, scale)
    else:
        image, person = _beyond(source, photo, cut, sx, sy, scale, rng)
    # A head that the photo's top cut off is given a round crown.
    crown = 0.35 * unit * ((sx - middle) / (2.2 * unit)) ** 2
    person *= np.clip((sy - crown) / (0.1 * unit) + 0.5, 0, 1)
    edge = np.minimum(np.minimum(sx, pw - 1 - sx) / pw, np.minimum(sy, ph - 1 - sy) / ph)
    own = np.clip(edge / 0.1, 0, 1)
    return image, person.clip(0, 1), own * own * (3 - 2 * own)


def _sampled(
    photo: np.ndarray, cut: np.ndarray, sx: np.ndarray, sy: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Photo and cut-out at the given photo coordinates."""
    image = cv2.remap(photo, sx, sy, cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    person = cv2.remap(cut, sx, np.maximum(sy, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, person


def _beyond(
    source: Source,
    photo: np.ndarray,
    cut: np.ndarray,
    sx: np.ndarray,
    sy: np.ndarray,
    scale: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The same where the frame is larger than the photo: shoulders widen, clothes go on. Changes `sx`."""
    ph, pw = photo.shape[:2]
    size = (sx.shape[0], sx.shape[1])
    share = pw / source.image.shape[1]
    middle, unit = float(source.shape.centre[0]) * share, source.shape.unit * share
    below = np.maximum(0, sy - (ph - 2))
    half = max(1.3 * unit, 0.45 * float((cut[-3] > 0.5).sum()))
    room = max(1e-3, 5.5 * unit - half)
    widening = room * (1 - np.exp(-1.6 * below / room)) / half
    sx -= middle
    sx /= 1 + widening  # shoulders, down to their full width
    sx += middle
    beside = np.maximum(0, -sx) + np.maximum(0, sx - (pw - 1))
    chest = ph - 2 - float(source.shape.points([(0, CHIN + 0.9)])[0][1]) * share
    if chest > 1.5 * unit:  # enough of the clothes is seen to go on with their mirror image
        turn = np.mod(below, 2 * chest)
        down = np.minimum(turn, 2 * chest - turn)
    else:  # the last rows mirrored and squeezed
        down = 0.036 * ph * (1 - np.exp(-below / (0.12 * ph)))
    # Beside the photo shoulders slope down.
    image, person = _sampled(photo, cut, sx, np.minimum(sy, ph - 2) - down - 0.9 * beside, scale)
    person *= np.clip(1 - (beside - 0.35 * pw) / (0.05 * pw), 0, 1)
    outside = np.clip((below + beside) / (0.08 * ph), 0, 1)
    image = mix(image, blur(image, 0.02 * max(size)), outside)
    if chest <= 1.5 * unit:
        # The clothes begin with a curved collar at the photo's lower end.
        collar = np.clip((below - 1 - 0.25 * unit + 0.2 * np.abs(sx - middle)) / (0.05 * unit + 1), 0, 1)
        image = mix(image, _cloth(photo, source.skin, size, rng), collar * (below > 0))
    return image, person


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
    # A quarter of the size is enough for what holds no detail.
    quarter = (max(8, size[0] // 4), max(8, size[1] // 4))
    small = np.array([[quarter[1] / size[1]], [quarter[0] / size[0]]]) * matrix
    fill = cv2.warpAffine(source.backdrop, small, quarter[::-1], flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    # Beyond the photo only its overall colour is known: single objects at its border must not become streaks.
    inside = cv2.warpAffine(np.ones(source.person.shape, np.float32), small, quarter[::-1])
    side = max(quarter)
    fill = mix(blur(fill, 0.25 * side), blur(fill, 0.05 * side), blur(inside, 0.06 * side))
    np.multiply(fill, (0.8 + 0.4 * smooth_noise(quarter, 0.25 * side, rng))[..., None], out=fill, casting="same_kind")
    return cv2.resize(fill, size[::-1], interpolation=cv2.INTER_LINEAR).clip(0, 1)


def zoomed(place: Placement, size: Size, face_height: float, centre: tuple[float, float]) -> Placement:
    """The same tilt and side in another frame, as when a photo of the scene is the medium of an attack."""
    return replace(place, size=size, face_height=face_height, centre=centre, angle=0.3 * place.angle,
                   natural=False)  # fmt: skip
