"""What an attack leaves behind: the changed scene, where it was changed, and which traces can be seen.

Knows nothing of single attacks.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.traces import Traces
    >>> traces = Traces(np.zeros((8, 8, 3), np.float32))
    >>> traces.mark("patch", np.pad(np.ones((4, 4), np.float32), 2))
    >>> [(b.x1, b.y1, b.x2, b.y2) for b in traces.boxes()]
    [(0.25, 0.25, 0.75, 0.75)]
"""

from dataclasses import dataclass, field, replace

import numpy as np

from faceshield_hf.tasks_faceshield import Box


_VISIBLE = 0.35  # a pixel belongs to the attack where its mask exceeds this
_SMALLEST = 3  # pixels; thinner remains of a cut-off region are not boxed

Value = str | float | int | bool


@dataclass
class Traces:
    """A scene with an attack in it.

    Attributes:
        image (`np.ndarray` of shape `(height, width, 3)`): RGB, float32, 0..1.
        regions (`list[tuple[str, np.ndarray]]`): name and mask of each attacked region, in this image's pixels.
        cues (`list[str]`): noun phrases for traces strong enough to see.
        attributes (`dict`): parameters that shaped the attack.
        glowing (`np.ndarray`, *optional*): mask of self-luminous areas.
    """

    image: np.ndarray
    regions: list[tuple[str, np.ndarray]] = field(default_factory=list)
    cues: list[str] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)
    glowing: np.ndarray | None = None

    def mark(self, name: str, mask: np.ndarray) -> None:
        """Note a region that the attack covers."""
        self.regions.append((name, mask))

    def cue(self, phrase: str, visible: bool = True) -> None:
        """Note a trace if it is strong enough to see."""
        if visible and phrase not in self.cues:
            self.cues.append(phrase)

    def note(self, **parameters: Value) -> None:
        """Keep parameters, floats rounded for the JSON."""
        for name, value in parameters.items():
            self.attributes[name] = round(float(value), 4) if isinstance(value, float) else value

    def placed(self, image: np.ndarray, window: tuple[slice, slice]) -> "Traces":
        """These traces in the larger image that their own was cut out of."""
        whole = np.array(image, np.float32)
        whole[window] = self.image
        regions = []
        for name, mask in self.regions:
            full = np.zeros(image.shape[:2], np.float32)
            full[window] = mask
            regions.append((name, full))
        return replace(self, image=whole, regions=regions)

    def boxes(self) -> tuple[Box, ...]:
        """The tight box of every region that is visible in the frame, 0..1."""
        found = []
        for name, mask in self.regions:
            box = mask_box(mask)
            if box is not None:
                found.append(Box(*box, label=name))
        return tuple(found)


def mask_box(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """Tight box x1, y1, x2, y2 (0..1) of a mask, or `None` if next to nothing of it is inside the image."""
    seen = mask > _VISIBLE
    columns, rows = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
    if len(columns) < _SMALLEST or len(rows) < _SMALLEST:
        return None
    h, w = mask.shape
    left, right, top, bottom = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return left / w, top / h, right / w, bottom / h
