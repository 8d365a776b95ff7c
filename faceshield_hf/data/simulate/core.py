"""One simulated image: scene, attack, light, camera, JPEG, in this order for every class.

The scene and the camera are drawn before and apart from the attack, from generators of their own, so that the same
seed gives the same person, framing and camera whatever the attack: nothing but the attack separates the classes.

Example:
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skimage.data import astronaut
    >>> from faceshield_hf.data.simulate import simulate
    >>> result = simulate(Image.fromarray(astronaut()), "Print", rng=np.random.default_rng(0))
    >>> result.boxes[0].label
    'printed photo'
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from faceshield_hf.faces import Face
from faceshield_hf.tasks_faceshield import AttackType, Box

from .bonafide import clear_glasses, everyday, unglazed
from .camera import Camera
from .domains import DOMAINS, Domain
from .eyewear import glasses
from .fakehead import fakehead
from .makeup import makeup
from .masks import flexible_mask, rigid_mask
from .paper_mask import paper_mask
from .partial import partial_eye, partial_mouth
from .printed import printed_photo
from .replay import replayed_screen
from .scene import Frame, Placement, compose, draw_placement
from .source import Source, prepare
from .tattoo import tattoo
from .traces import Traces
from .wear import cast_shadow, dress, headwear


_MEDIA = {AttackType.PRINT: printed_photo, AttackType.REPLAY: replayed_screen}
_ON_FACE = {
    AttackType.FAKEHEAD: fakehead,
    AttackType.GLASSES: glasses,
    AttackType.PAPER_MASK: paper_mask,
    AttackType.FLEXIBLE_MASK: flexible_mask,
    AttackType.RIGID_MASK: rigid_mask,
}
_REACHING = {AttackType.PARTIAL_EYE: partial_eye, AttackType.PARTIAL_MOUTH: partial_mouth}  # an arm comes into view
# Own glasses under these would poke through, or be covered anyway.
_WITHOUT_GLASSES = {
    AttackType.FAKEHEAD,
    AttackType.GLASSES,
    AttackType.PAPER_MASK,
    AttackType.FLEXIBLE_MASK,
    AttackType.RIGID_MASK,
    AttackType.PARTIAL_EYE,
}
_BELOW_GLASSES = {AttackType.MAKEUP: makeup, AttackType.TATTOO: tattoo}  # on the skin, where own glasses lie over it
_TRIES = 8  # a small attack may fall outside the frame


@dataclass(frozen=True)
class Simulated:
    """One simulated image and what is true of it.

    Attributes:
        image (`PIL.Image.Image`): RGB, as decoded from `jpeg`.
        attack_type (`AttackType`): what was simulated.
        boxes (`tuple[Box, ...]`): tight boxes of the attack, 0..1 of the image, labelled with the region; empty for
            bona fide.
        cues (`tuple[str, ...]`): noun phrases for the traces that are there to see; empty for bona fide.
        attributes (`dict`): parameters that shaped the image, JSON values.
        jpeg (`bytes`): the camera's file.
    """

    image: Image.Image
    attack_type: AttackType
    boxes: tuple[Box, ...]
    cues: tuple[str, ...]
    attributes: dict
    jpeg: bytes


def simulate(
    face: Image.Image,
    attack_type: AttackType | str,
    *,
    rng: np.random.Generator,
    domain: str = "A",
    landmarks: Face | None = None,
    size: tuple[int, int] | None = None,
) -> Simulated:
    """Simulate one attack, or a bona fide presentation, of the person in a photo.

    Args:
        face (`PIL.Image.Image`): a photo of a person.
        attack_type (`AttackType` or `str`): one of the 12 types, e.g. "Print" or "Bonafide".
        rng (`np.random.Generator`): all randomness; the same state gives the same bytes.
        domain (`str`, *optional*, defaults to `"A"`): "A", "B" or "C".
        landmarks (`Face`, *optional*): the face in the photo, if already found.
        size (`tuple[int, int]`, *optional*): width and height of the image; drawn from the domain if not given.

    Returns:
        `Simulated`

    Raises:
        ValueError: no face in the photo, or an unknown attack type or domain.
    """
    kind, where = _attack_type(attack_type), _domain(domain)
    if size is not None and min(size) < 96:
        raise ValueError(f"got size {size}, sides must be at least 96 px to show a face")
    return render(prepare(face, landmarks), kind, rng, where, size)


def render(
    source: Source,
    attack_type: AttackType,
    rng: np.random.Generator,
    domain: Domain,
    size: tuple[int, int] | None = None,
) -> Simulated:
    """`simulate` for a photo that is already prepared; many images of one photo share the preparation."""
    for _ in range(_TRIES):
        made = _attempt(source, attack_type, rng, domain, size)
        if made.boxes or attack_type.is_live:
            return made
    raise ValueError(f"in {_TRIES} draws no {attack_type.value} attack was visible: give a larger, frontal face")


def _attempt(
    source: Source, attack_type: AttackType, rng: np.random.Generator, domain: Domain, size: tuple[int, int] | None
) -> Simulated:
    seeds = rng.integers(0, 2**63, 4)
    framing, staging, attack, shooting = (np.random.default_rng(s) for s in seeds)
    place = draw_placement(source, framing, domain, size)
    camera = Camera.draw(framing, domain, plain=place.natural)
    finest = _finest(camera, place)
    scene = dress(compose(source, place, staging, domain), staging, domain)
    shadow = cast_shadow(scene, staging)
    if attack_type in _MEDIA:
        traces = _MEDIA[attack_type](source, place, attack, domain, finest, scene)
    else:
        traces = _on_person(replace(scene, finest=finest), attack_type, staging, attack, domain)
    lit = traces.image
    if shadow is not None:
        shade = shadow if traces.glowing is None else shadow + 0.75 * traces.glowing * (1 - shadow)
        lit = lit * shade[..., None]
    # The exposure is metered on the scene without the attack: else the background would tell of the attack.
    data = camera.shoot(lit, shooting, traces.glowing, meter=scene.image)
    image = Image.open(io.BytesIO(data))
    image.load()
    attributes: dict = {"domain": domain.name, **traces.attributes}
    attributes["face_share"] = round(place.face_height / place.size[0], 4)
    attributes["face_box"] = _face_box(place)
    attributes["natural"] = place.natural
    attributes["camera"] = camera.describe()
    return Simulated(image, attack_type, traces.boxes(), tuple(traces.cues), attributes, data)


def _on_person(
    frame: Frame, attack_type: AttackType, staging: np.random.Generator, attack: np.random.Generator, domain: Domain
) -> Traces:
    """The person, what is everyday about them, the attack if any, and what is worn over both."""
    worn = headwear(frame, staging, domain)
    if worn is not None:
        frame = replace(frame, covered=worn.mask)
    window = frame.about_face()
    if attack_type in _BELOW_GLASSES:
        traces = _below_glasses(frame.part(window), attack_type, staging, attack, domain)
    else:
        face = everyday(frame.part(window), staging, glasses=attack_type not in _WITHOUT_GLASSES)
        traces = _ON_FACE[attack_type](face, attack, domain) if attack_type in _ON_FACE else Traces(face.image)
    traces = traces.placed(frame.image, window)
    if attack_type in _REACHING:
        traces = _REACHING[attack_type](replace(frame, image=traces.image), attack, domain)
    if worn is not None:
        traces.image = worn.over(traces.image)
        traces.regions = [(name, mask * (1 - worn.mask)) for name, mask in traces.regions]
    return traces


def _below_glasses(
    face: Frame, attack_type: AttackType, staging: np.random.Generator, attack: np.random.Generator, domain: Domain
) -> Traces:
    """Paint or ink on the skin, and the person's spectacles over it, as often as on a live face."""
    bare, spectacles = unglazed(face, staging)
    bare = replace(bare, image=np.clip(bare.image, 0, 1))
    traces = _BELOW_GLASSES[attack_type](bare, attack, domain)
    if spectacles is not None:
        traces.image = np.clip(clear_glasses(traces.image, face.shape, spectacles), 0, 1)
    return traces


def _face_box(place: Placement) -> list[float]:
    """Where the face was placed: x1, y1, x2, y2 as shares of the frame, cut at its borders."""
    (height, width), (x, y) = place.size, place.centre
    half_height, half_width = 0.5 * place.face_height, 0.4 * place.face_height
    corners = (
        (x - half_width) / width,
        (y - half_height) / height,
        (x + half_width) / width,
        (y + half_height) / height,
    )
    return [round(min(max(float(value), 0.0), 1.0), 4) for value in corners]


def _finest(camera: Camera, place: Placement) -> float:
    """Shortest period in pixels that survives the lens, motion and JPEG."""
    scale = max(place.size) / 512
    softening = 4 if min(camera.qualities) < 50 else 3
    return max(2.1, softening * camera.blur * scale, 1.2 * camera.motion * scale)


def _attack_type(value: AttackType | str) -> AttackType:
    try:
        return AttackType(value)
    except ValueError:
        known = ", ".join(t.value for t in AttackType)
        raise ValueError(f"got attack type {value!r}, known are {known}") from None


def _domain(name: str) -> Domain:
    if name not in DOMAINS:
        raise ValueError(f"got domain {name!r}, known are {', '.join(DOMAINS)}")
    return DOMAINS[name]
