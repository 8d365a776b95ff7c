"""The photos to try: a portrait in the public domain and attacks simulated on it, made anew at every start.

They are written into a temporary folder and never committed; fixed seeds give the same pictures every time. The module
knows neither the detector nor the page.

Example:
    >>> [example.name for example in make_examples(folder)][:2]
    ['Photo', 'Print']
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from faceshield_hf.data.simulate import simulate
from faceshield_hf.tasks_faceshield import AttackType


# The seeds were chosen by eye: the whole face, and an attack that a visitor can see.
SHOWN = {
    AttackType.PRINT: 3,
    AttackType.REPLAY: 3,
    AttackType.PAPER_MASK: 1,
    AttackType.RIGID_MASK: 3,
    AttackType.GLASSES: 1,
    AttackType.PARTIAL_MOUTH: 3,
    AttackType.TATTOO: 1,
}


@dataclass(frozen=True)
class Example:
    """One photo to try.

    Attributes:
        name (`str`): what it is, in a word or two.
        path (`str`): where it lies.
    """

    name: str
    path: str


def portrait() -> Image.Image:
    """Eileen Collins, astronaut: NASA's portrait, in the public domain, as scikit-image ships it.

    Returns:
        `PIL.Image.Image`: RGB, 512 x 512.
    """
    return Image.fromarray(data.astronaut())


def simulated_attack(attack_type: AttackType) -> Image.Image:
    """Attack the portrait.

    Args:
        attack_type (`AttackType`): one of `SHOWN`.

    Returns:
        `PIL.Image.Image`: RGB, the same pixels every time.
    """
    return simulate(portrait(), attack_type, rng=np.random.default_rng(SHOWN[attack_type])).image


def make_examples(folder: Path) -> list[Example]:
    """Write the portrait and simulated attacks on it as JPEG files.

    Args:
        folder (`Path`): made if it is not there.

    Returns:
        `list[Example]`: the bona fide photo first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"Photo": portrait()} | {kind.value: simulated_attack(kind) for kind in SHOWN}
    examples = []
    for name, picture in pictures.items():
        path = folder / f"{name.lower().replace(' ', '-')}.jpg"
        picture.save(path, quality=92)
        examples.append(Example(name, str(path)))
    return examples
