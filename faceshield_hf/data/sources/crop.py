"""A square crop around the face, as papers on cross-domain protocols use it: MTCNN, then 224 x 224 pixels.

The face comes from the data set's own box where it has one, else from MTCNN. The square's side is `margin` times the
box's longer side; it is moved into the image where it sticks out, and no larger than the image's shorter side.

Example:
    >>> from faceshield_hf.data.sources.crop import square_around
    >>> square_around((40, 40, 60, 60), 100, 100, margin=2.0)
    (30, 30, 70, 70)
"""

from dataclasses import dataclass

from PIL import Image

from faceshield_hf.faces import find_faces


@dataclass(frozen=True)
class Crop:
    """How faces are cut out.

    Attributes:
        margin (`float`, *optional*, defaults to 1.3): side of the square in multiples of the face box's longer side.
        size (`int`, *optional*, defaults to 224): side of the result in pixels; 0 leaves the square as it is.
        keep_faceless (`bool`, *optional*, defaults to `False`): keep images in which no face is found, whole, and not
            skip them. MTCNN misses masks and dolls more often than people: what is skipped is no random sample.
    """

    margin: float = 1.3
    size: int = 224
    keep_faceless: bool = False

    def __post_init__(self) -> None:
        if self.margin < 1 or self.size < 0:
            raise ValueError(
                f"got margin {self.margin} and size {self.size}; expected a margin of 1 or more, size >= 0"
            )


def crop_face(
    image: Image.Image, crop: Crop, face_box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Cut the face out.

    Args:
        image (`PIL.Image.Image`): RGB.
        crop (`Crop`): how.
        face_box (`tuple`, *optional*): x1, y1, x2, y2 of the face in 0..1 of the image; searched for if not given.

    Returns:
        `PIL.Image.Image`: `crop.size` pixels square; the image itself if it has no face and `keep_faceless` is set.

    Raises:
        ValueError: when there is no face and `keep_faceless` is not set.
    """
    if face_box is not None:
        width, height = image.size
        box = (face_box[0] * width, face_box[1] * height, face_box[2] * width, face_box[3] * height)
    else:
        faces = find_faces(image)
        if not faces:
            if crop.keep_faceless:
                return image
            raise ValueError("no face found")
        box = faces[0].box
    square = image.crop(square_around(box, image.width, image.height, crop.margin))
    return square.resize((crop.size, crop.size), Image.Resampling.BICUBIC) if crop.size else square


def square_around(
    box: tuple[float, float, float, float], width: int, height: int, margin: float
) -> tuple[int, int, int, int]:
    """The square of a face box, in whole pixels of a `width` x `height` image, all of it inside."""
    side = round(max(1.0, min(margin * max(box[2] - box[0], box[3] - box[1]), width, height)))
    left = min(max(0, round((box[0] + box[2] - side) / 2)), width - side)
    top = min(max(0, round((box[1] + box[3] - side) / 2)), height - side)
    return left, top, left + side, top + side
