"""The three simulated domains: which cameras, places and attack variants each one has.

A is a phone held at arm's length indoors, B a webcam in an office, C a surveillance or action camera outdoors and at
night. A and B share some attack variants, under other cameras; every variant field of C names variants that neither A
nor B ever draws, so that testing on C means unseen attacks as well as an unseen camera. Ranges are `(low, high)`. This
module only holds numbers and names.

Example:
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> set(DOMAINS["C"].tattoos) & set(DOMAINS["A"].tattoos)
    set()
"""

from dataclasses import dataclass


Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """Parameter ranges of one domain.

    Attributes:
        name (`str`): A, B or C.
        aspects (`tuple[float, ...]`): width / height of a frame.
        long_side (`Range`): pixels.
        angle (`Range`): degrees the head or camera is tilted.
        plates (`tuple[str, ...]`): backgrounds that replace the photo's own.
        natural (`float`): share of plain photographs, cropped and hardly changed.
        own_background (`float`): share of the other images that keep the photo's background.
        lens_blur, noise, quality, warmth, exposure, vignette, sharpen (`Range`): the camera; blur in pixels at 512 px,
            noise as linear standard deviation at white, JPEG quality 0..100, log ratio of red to blue gain, mean
            display brightness 0..1, darkening of the corners 0..1, unsharp gain.
        low_light (`float`): share of dark, noisy frames.
        halftones, screens, devices, papers, prints (`tuple[str, ...]`): variants of flat media.
        mask_materials, silicones, mannequins, glasses, patches, makeups, tattoos (`tuple[str, ...]`): variants of
            attacks on the face.
    """

    name: str
    aspects: tuple[float, ...]
    long_side: Range
    angle: Range
    plates: tuple[str, ...]
    natural: float
    own_background: float
    lens_blur: Range
    noise: Range
    quality: Range
    warmth: Range
    exposure: Range
    vignette: Range
    sharpen: Range
    low_light: float
    halftones: tuple[str, ...]
    prints: tuple[str, ...]
    screens: tuple[str, ...]
    devices: tuple[str, ...]
    mask_materials: tuple[str, ...]
    silicones: tuple[str, ...]
    mannequins: tuple[str, ...]
    glasses: tuple[str, ...]
    patches: tuple[str, ...]
    makeups: tuple[str, ...]
    tattoos: tuple[str, ...]


DOMAINS: dict[str, Domain] = {
    "A": Domain(
        name="A",
        aspects=(0.75, 0.5625, 1.0, 1.3333, 1.7778),
        long_side=(384, 720),
        angle=(-16, 16),
        plates=("wall", "curtain", "shelf", "room", "posters", "lattice"),
        natural=0.22,
        own_background=0.6,
        lens_blur=(0.2, 1.3),
        noise=(0.004, 0.024),
        quality=(55, 96),
        warmth=(-0.12, 0.22),
        exposure=(0.36, 0.6),
        vignette=(0.0, 0.25),
        sharpen=(0.0, 0.9),
        low_light=0.12,
        halftones=("dots", "lines", "stochastic"),
        prints=("inkjet", "laser", "photo"),
        screens=("rgb stripe", "pentile"),
        devices=("phone", "tablet"),
        mask_materials=("skin plastic", "white plastic", "transparent"),
        silicones=("matte silicone", "semi-gloss silicone"),
        mannequins=("skin paint", "white shell"),
        glasses=("funny-eye glasses", "printed-eye glasses"),
        patches=("printed strip", "held photo"),
        makeups=("cosmetic", "impersonation", "painted blocks"),
        tattoos=("tribal", "star", "script", "band", "heart"),
    ),
    "B": Domain(
        name="B",
        aspects=(1.3333, 1.7778, 1.0, 0.8),
        long_side=(320, 640),
        angle=(-10, 10),
        plates=("wall", "office", "shelf", "blinds", "flag", "board"),
        natural=0.25,
        own_background=0.5,
        lens_blur=(0.4, 1.7),
        noise=(0.006, 0.032),
        quality=(40, 90),
        warmth=(-0.25, 0.12),
        exposure=(0.32, 0.56),
        vignette=(0.0, 0.35),
        sharpen=(0.2, 1.6),
        low_light=0.18,
        halftones=("dots", "squares", "stochastic"),
        prints=("inkjet", "laser", "gray laser"),
        screens=("rgb stripe", "bgr stripe"),
        devices=("monitor", "tablet", "phone"),
        mask_materials=("skin plastic", "gray resin", "transparent"),
        silicones=("matte silicone", "latex"),
        mannequins=("skin paint", "gray foam"),
        glasses=("funny-eye glasses", "paper glasses"),
        patches=("printed strip", "taped paper"),
        makeups=("cosmetic", "aged", "painted blocks"),
        tattoos=("tribal", "ring", "script", "web", "leaf"),
    ),
    "C": Domain(
        name="C",
        aspects=(1.7778, 1.5, 0.6667, 1.0),
        long_side=(320, 640),
        angle=(-22, 22),
        plates=("foliage", "night", "tiles", "street", "banner", "sky"),
        natural=0.25,
        own_background=0.55,
        lens_blur=(0.3, 2.2),
        noise=(0.005, 0.034),
        quality=(30, 94),
        warmth=(-0.3, 0.32),
        exposure=(0.3, 0.66),
        vignette=(0.0, 0.45),
        sharpen=(0.0, 2.0),
        low_light=0.25,
        halftones=("diamonds", "rings"),
        prints=("newspaper", "glossy poster"),
        screens=("delta", "quad"),
        devices=("laptop", "bezel-less phone"),
        mask_materials=("metallic plastic", "half mask", "transparent half mask"),
        silicones=("whole-head latex", "wrinkled silicone"),
        mannequins=("doll", "wood"),
        glasses=("mask glasses", "eye-picture lenses"),
        patches=("oval cut-out", "torn paper"),
        makeups=("dazzle", "clown"),
        tattoos=("flame", "barcode", "dot work", "maze"),
    ),
}
