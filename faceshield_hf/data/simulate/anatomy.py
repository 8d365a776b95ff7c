"""Where the parts of a face are: a coordinate system on the face, fitted to five landmarks.

In face coordinates the eyes lie at (-1, 0) and (1, 0), x to the image's right, y down; the mouth corners at about
(+-0.83, 2.31), the chin near y = 3.75, the hair line near y = -2.3. An affine map takes them to pixels, so in-plane
rotation and, roughly, yaw are followed. The proportions are those of the common five-point alignment template. This
module knows nothing of attacks.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.anatomy import FaceShape
    >>> five = np.array([[40, 50], [72, 50], [56, 70], [43, 87], [69, 87]])
    >>> FaceShape.from_landmarks(five).points([(0, 0)]).round().tolist()
    [[56.0, 50.0]]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .imaging import Size, ellipse_points, grid, polygon_mask, smooth_curve


CHIN, BROW, HAIRLINE, HALF_WIDTH, MOUTH = 3.75, -0.75, -2.3, 2.12, 2.31
_TEMPLATE = np.array([[-1, 0], [1, 0], [-0.83, MOUTH], [0.83, MOUTH]], np.float64)
# Right half of a face's outline, from the forehead's middle to the chin.
_OUTLINE = np.array(
    [[0.0, HAIRLINE], [0.95, -2.2], [1.65, -1.65], [2.05, -0.6], [HALF_WIDTH, 0.5], [2.0, 1.6], [1.62, 2.65],
     [0.95, 3.5], [0.35, CHIN]], np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class FaceShape:
    """The affine map from face coordinates to pixels, and how far the head is turned.

    Attributes:
        matrix (`np.ndarray` of shape `(2, 3)`): face coordinates to pixels.
        turn (`float`): -1..1, the nose's side: negative to the image's left.
        squeeze (`float`): 0.5..1, how much the turn narrows the distance between the eyes.
    """

    matrix: np.ndarray
    turn: float = 0.0
    squeeze: float = 1.0

    @classmethod
    def from_landmarks(cls, landmarks: np.ndarray) -> "FaceShape":
        """Fit to left eye, right eye, nose, left and right mouth corner (pixels, shape `(5, 2)`)."""
        five = np.asarray(landmarks, np.float64)
        eyes_mouth = five[[0, 1, 3, 4]]
        design = np.concatenate([_TEMPLATE, np.ones((4, 1))], 1)
        matrix = np.linalg.lstsq(design, eyes_mouth, rcond=None)[0].T
        if np.linalg.det(matrix[:, :2]) <= 1:
            raise ValueError(
                f"the landmarks {five.round(1).tolist()} do not span a face: eyes above mouth, left first"
            )
        nose = np.linalg.solve(matrix[:, :2], five[2] - matrix[:, 2])
        across, down = np.linalg.norm(matrix[:, 0]), np.linalg.norm(matrix[:, 1])
        return cls(matrix, float(np.clip(nose[0], -1, 1)), float(np.clip(across / down, 0.5, 1)))

    @property
    def unit(self) -> float:
        """Pixels in one face unit (half the distance between the eyes of a frontal face)."""
        return float(np.linalg.norm(self.matrix[:, 1]))

    @property
    def height(self) -> float:
        """Pixels from hair line to chin."""
        return self.unit * (CHIN - HAIRLINE)

    @property
    def centre(self) -> np.ndarray:
        """Pixel position of the face's middle."""
        return self.points([(0, (CHIN + HAIRLINE) / 2)])[0]

    def points(self, face_points: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Face coordinates to pixels, shape `(n, 2)`, float32."""
        p = np.asarray(face_points, np.float64).reshape(-1, 2)
        return (p @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def moved(self, affine: np.ndarray) -> "FaceShape":
        """The same face after the image went through a 2x3 affine map; a mirrored image swaps the face's sides."""
        linear = affine[:, :2] @ self.matrix
        linear[:, 2] += affine[:, 2]
        if np.linalg.det(linear[:, :2]) < 0:
            linear[:, 0] = -linear[:, 0]
            return FaceShape(linear, -self.turn, self.squeeze)
        return FaceShape(linear, self.turn, self.squeeze)

    def outline(self, grow: float = 1.0, top: float = HAIRLINE) -> np.ndarray:
        """Face outline in face coordinates, closed, shape `(n, 2)`.

        Args:
            grow (`float`, *optional*, defaults to 1.0): scale about the face's middle.
            top (`float`, *optional*, defaults to the hair line): where the forehead ends.
        """
        half = _OUTLINE.copy()
        half[:, 1] = np.where(half[:, 1] < 0, half[:, 1] * (top / HAIRLINE), half[:, 1])
        right, left = half.copy(), half[::-1].copy()
        left[:, 0] *= -1
        # A turned head shows more of one cheek: widen it, and narrow the side the nose points to.
        near = 1 + min(0.5, 0.9 * (1 / self.squeeze - 1)) + 0.1 * abs(self.turn)
        far = 1 - 0.28 * abs(self.turn)
        right[:, 0] *= near if self.turn < 0 else far
        left[:, 0] *= near if self.turn > 0 else far
        both = np.concatenate([right, left])
        middle = np.array([0, 0.6])
        return smooth_curve((both - middle) * grow + middle, rounds=2)

    def mask(self, face_points: np.ndarray | Sequence[Sequence[float]], shape: Size, soft: float = 0.6) -> np.ndarray:
        """Filled polygon given in face coordinates, as a mask of the image's size."""
        return polygon_mask(shape, self.points(face_points), soft)

    def ellipse(self, centre: Sequence[float], axes: Sequence[float], angle: float = 0.0) -> np.ndarray:
        """An ellipse on the face as pixel points, shape `(n, 2)`."""
        return self.points(ellipse_points(centre, axes, angle))

    def coordinates(self, shape: Size) -> tuple[np.ndarray, np.ndarray]:
        """Face coordinates u, v of every pixel, each of shape `(height, width)`."""
        x, y = grid(shape)
        inverse = cv2.invertAffineTransform(self.matrix).astype(np.float32)
        u = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
        v = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
        return u, v

    def normals(self, shape: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Surface normals of an egg-shaped head, unit length, (right, down, towards the camera)."""
        u, v = self.coordinates(shape)
        nx = np.clip(u / 2.5, -1, 1)
        ny = np.clip((v - 0.7) / 3.7, -1, 1)
        nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.02, 1))
        return nx, ny, nz
