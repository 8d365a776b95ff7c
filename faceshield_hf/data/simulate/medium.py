"""A flat thing that shows a photo of the face: its picture, its pose before the camera, and what is behind it.

Shared by printed photos and screens. The photo is itself a scene taken with a first camera; the sheet is tilted in
perspective about the face's middle, so the face ends up where the frame's placement wants it. All coordinates are
carried to the frame by one inverse map, so masks are exact. Knows nothing of ink or pixels.

Example:
    >>> from faceshield_hf.data.simulate.medium import rounded_box
    >>> import numpy as np
    >>> float(rounded_box(np.array([[5.0]]), np.array([[5.0]]), (0, 0, 10, 10), 0)[0, 0])
    5.0
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .bonafide import everyday
from .domains import Domain
from .imaging import blur, chance, grid, jpeg, luma, mix, saturate, smooth_noise, uniform
from .scene import Frame, Placement, compose, crop, zoomed
from .source import Source
from .wear import dress, headwear


@dataclass(frozen=True)
class Sheet:
    """A posed flat medium.

    Attributes:
        scene (`Frame`): what is around and behind it.
        picture (`np.ndarray` of shape `(height, width, 3)`): the photo, sampled at the frame's pixels.
        x, y (`np.ndarray` of shape `(height, width)`): photo coordinates in pixels at the frame's pixels.
        size (`tuple[int, int]`): height and width of the photo.
        to_frame (`np.ndarray` of shape `(3, 3)`): photo pixels to frame pixels, without the bend.
        slope (`np.ndarray` of shape `(height, width)`): how much the surface leans to the light, about -1..1.
        held (`bool`): a person holds it before the body.
    """

    scene: Frame
    picture: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: tuple[int, int]
    to_frame: np.ndarray
    slope: np.ndarray
    held: bool

    def inside(self, margins: tuple[float, float, float, float], radius: float = 0.0) -> np.ndarray:
        """Anti-aliased mask of the photo's rectangle grown by left, top, right, bottom margins (photo pixels)."""
        left, top, right, bottom = margins
        box = (-left, -top, self.size[1] + right, self.size[0] + bottom)
        return np.clip(rounded_box(self.x, self.y, box, radius) + 0.5, 0, 1).astype(np.float32)


def rounded_box(x: np.ndarray, y: np.ndarray, box: tuple[float, float, float, float], radius: float) -> np.ndarray:
    """Signed distance to a rounded rectangle x1, y1, x2, y2, positive inside, in pixels."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    dx = np.abs(x - cx) - (box[2] - box[0]) / 2 + radius
    dy = np.abs(y - cy) - (box[3] - box[1]) / 2 + radius
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return radius - outside - np.minimum(np.maximum(dx, dy), 0)


def ambient(scene: Frame) -> float:
    """How bright a medium is in this scene: paper gets the scene's light, and screens follow it."""
    return float(np.clip(0.25 + 1.5 * luma(scene.image[::4, ::4]).mean(), 0.5, 1.05))


def make_sheet(
    source: Source,
    place: Placement,
    rng: np.random.Generator,
    domain: Domain,
    aspects: tuple[float, ...],
    bend: float,
    scene: Frame,
) -> Sheet:
    """Photograph the person, and pose the photo in a scene.

    Args:
        source (`Source`): the face.
        place (`Placement`): where the face shall be in the final frame.
        rng (`np.random.Generator`): source of randomness.
        domain (`Domain`): backgrounds and frames.
        aspects (`tuple[float, ...]`): possible width / height of the medium.
        bend (`float`): largest bend as a share of the sheet's side; 0 is rigid.
        scene (`Frame`): what is before the camera without the medium; its person stays behind it, or goes.
    """
    photo, centre = _photo(source, place, rng, domain, aspects)
    size = photo.shape[:2]
    to_frame = _pose(size, centre, place, rng)
    gx, gy = grid(place.size)
    inverse = np.linalg.inv(to_frame).astype(np.float32)
    w = inverse[2, 0] * gx + inverse[2, 1] * gy + inverse[2, 2]
    x = (inverse[0, 0] * gx + inverse[0, 1] * gy + inverse[0, 2]) / w
    y = (inverse[1, 0] * gx + inverse[1, 1] * gy + inverse[1, 2]) / w
    amount, along_x = uniform(rng, (-bend, bend)), chance(rng, 0.6)
    s, t = np.clip(x / size[1] - 0.5, -1.5, 1.5), np.clip(y / size[0] - 0.5, -1.5, 1.5)
    ripple = smooth_noise(place.size, 0.5 * max(place.size), rng) - 0.5
    if along_x:
        y = y + size[0] * amount * (4 * s * s - 0.3)
        slope = 8 * amount * s + bend * 2.5 * ripple
    else:
        x = x + size[1] * amount * (4 * t * t - 0.3)
        slope = 8 * amount * t + bend * 2.5 * ripple
    picture = cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    held = chance(rng, 0.8)
    if not held and scene.behind is not None:
        # Grown a little: the cut-out's soft rim would leave an outline in the air.
        gone = np.clip(3 * blur(scene.person, 0.006 * max(place.size)), 0, 1)
        scene = replace(scene, image=mix(scene.image, scene.behind, gone), person=0 * scene.person)
    return Sheet(scene, picture, x, y, (size[0], size[1]), to_frame, slope.astype(np.float32), held)


def _photo(
    source: Source, place: Placement, rng: np.random.Generator, domain: Domain, aspects: tuple[float, ...]
) -> tuple[np.ndarray, tuple[float, float]]:
    """The picture that is printed or shown, and where its face is."""
    face = place.face_height
    aspect = aspects[int(rng.integers(len(aspects)))]
    fills = chance(rng, 0.08)  # no edge is seen: only the surface tells
    # Rather tight than roomy: large sheets would fill most frames, and one box would fit them all.
    share = max((0.95 - (0.55 if aspect < 1.2 else 0.3) * float(rng.random()) ** 2.5), face / (1.1 * max(place.size)))
    share = max(0.3, face / (1.6 * max(place.size))) if fills else share
    if chance(rng, domain.natural) and not fills:  # an ordinary photo of the person, as it is
        draws = rng.random(3)
        part = crop(source, aspect, (draws[0] ** 0.2, draws[1], draws[2]), chance(rng, 0.5), 512)
        scale = face / part.face_height
        size = (max(48, round(scale * part.size[0])), max(48, round(scale * part.size[1])))
        where = replace(part, size=size, face_height=face, centre=(scale * part.centre[0], scale * part.centre[1]))
    else:
        height = face / share
        width = max(height * aspect, 0.82 * face)
        size = (max(48, round(height)), max(48, round(width)))
        # Wide media show the face off the middle too: else their boxes would always be centred on the face.
        slack = max(0.0, 0.5 * size[1] - 0.45 * face)
        centre = (
            0.5 * size[1] + uniform(rng, (-0.95, 0.95)) * slack,
            _between(0.5 * face, size[0] - 0.5 * face, uniform(rng, (0.1, 0.7))),
        )
        where = zoomed(place, size, face, centre)
    frame = everyday(dress(compose(source, where, rng, domain), rng, domain), rng)
    worn = headwear(frame, rng, domain)
    image = blur(frame.image if worn is None else worn.over(frame.image), uniform(rng, (0.2, 0.7)))
    image = saturate(image, uniform(rng, (0.9, 1.15)))
    return jpeg(image, int(rng.integers(70, 96))), where.centre


def _between(low: float, high: float, t: float) -> float:
    return 0.5 * (low + high) if high < low else low + t * (high - low)


def _pose(
    size: tuple[int, int], centre: tuple[float, float], place: Placement, rng: np.random.Generator
) -> np.ndarray:
    """Perspective of a sheet turned about the face's middle."""
    yaw, pitch = uniform(rng, (-0.45, 0.45)) * rng.random(), uniform(rng, (-0.35, 0.35)) * rng.random()
    roll = place.angle + uniform(rng, (-0.12, 0.12))
    focal = 1.6 * max(place.size)
    corners = np.array([[0, 0], [size[1], 0], [size[1], size[0]], [0, size[0]]], np.float64)
    flat = corners - centre
    c, s = np.cos(roll), np.sin(roll)
    flat = flat @ np.array([[c, s], [-s, c]])
    depth = flat[:, 0] * np.sin(yaw) + flat[:, 1] * np.sin(pitch)
    seen = flat * [np.cos(yaw), np.cos(pitch)]
    # A near corner must not come closer than half the viewing distance.
    seen = seen / np.clip(1 + depth / focal, 0.5, 2)[:, None] + place.centre
    return cv2.getPerspectiveTransform(corners.astype(np.float32), seen.astype(np.float32))
