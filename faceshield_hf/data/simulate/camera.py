"""Light and camera: what happens between the scene and the JPEG file, the same for every class.

The order is the physical one: light on the scene, lens (blur, vignetting), exposure and white balance, shot and read
noise in linear light, tone curve, sharpening, JPEG once or twice. Display values are treated as square roots of linear
ones, close to sRGB's curve and much cheaper. Ranges come from the domain. The noise model (Poisson and Gaussian,
variance linear in the signal) is that of Foi et al., IEEE TIP 2008. Knows nothing of attacks: a mask of self-luminous
areas, and the scene that exposure is metered on, are all it is told.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.camera import Camera
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> rng = np.random.default_rng(0)
    >>> Camera.draw(rng, DOMAINS["A"]).shoot(np.full((64, 64, 3), 0.5, np.float32), rng)[:2].hex()
    'ffd8'
"""

import math
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np

from .domains import Domain
from .imaging import blur, chance, grid, jpeg, luma, saturate, smooth_noise, to_bytes, uniform


_HIGHLIGHTS = 0.95  # linear value that the brightest few percent are kept below


@dataclass(frozen=True)
class Camera:
    """One camera in one light; all fields are drawn by `draw`.

    Attributes:
        tilt (`float`): strength of the light's fall-off across the frame, log ratio.
        direction (`float`): radians, where the light comes from.
        warmth (`float`): log ratio of red to blue gain.
        green (`float`): log gain of green.
        blur (`float`): lens blur, sigma in pixels of a 512 px frame.
        motion (`float`): length of hand shake in pixels of a 512 px frame, 0 for none.
        vignette (`float`): how much darker the corners are, 0..1.
        exposure (`float`): mean display brightness aimed at, 0..1.
        noise (`float`): standard deviation of shot noise at white, linear.
        read_noise (`float`): standard deviation in the dark, linear.
        grain (`float`): correlation of the noise, sigma in pixels.
        contrast (`float`): S-shape of the tone curve.
        saturation (`float`): 1 leaves colours alone.
        sharpen (`float`): unsharp gain.
        qualities (`tuple[int, ...]`): JPEG qualities, one or two.
        subsample (`bool`): 4:2:0 chroma in the last JPEG.
        plain (`bool`): exposure is left as it is.
    """

    tilt: float
    direction: float
    warmth: float
    green: float
    blur: float
    motion: float
    vignette: float
    exposure: float
    noise: float
    read_noise: float
    grain: float
    contrast: float
    saturation: float
    sharpen: float
    qualities: tuple[int, ...]
    subsample: bool
    plain: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, domain: Domain, plain: bool = False) -> "Camera":
        """Draw a camera of the domain; a plain one leaves the photo's own light, exposure and colours alone."""
        dark = chance(rng, domain.low_light)
        noise = uniform(rng, domain.noise) * (1.6 if dark else 1.0)
        first = int(uniform(rng, domain.quality))
        second = int(uniform(rng, domain.quality))
        drawn = cls(
            tilt=uniform(rng, (0.0, 0.9)),
            direction=uniform(rng, (0, 2 * np.pi)),
            warmth=uniform(rng, domain.warmth),
            green=uniform(rng, (-0.04, 0.04)),
            blur=uniform(rng, domain.lens_blur) * (1.6 if chance(rng, 0.12) else 1.0),
            motion=uniform(rng, (1.5, 6)) if chance(rng, 0.12) else 0.0,
            vignette=uniform(rng, domain.vignette),
            exposure=uniform(rng, domain.exposure) * (0.75 if dark else 1.0),
            noise=noise,
            read_noise=0.15 * noise + (0.008 if dark else 0.0),
            grain=uniform(rng, (0.0, 0.9)),
            contrast=uniform(rng, (0.0, 0.35)),
            saturation=uniform(rng, (0.75, 1.2)),
            sharpen=uniform(rng, domain.sharpen),
            qualities=(first, second) if chance(rng, 0.4) else (first,),
            subsample=chance(rng, 0.7),
        )
        if not plain:
            return drawn
        return replace(
            drawn,
            tilt=0.0,
            warmth=0.0,
            green=0.0,
            blur=0.4 * drawn.blur,
            motion=0.0,
            vignette=0.0,
            noise=0.3 * drawn.noise,
            read_noise=0.3 * drawn.read_noise,
            contrast=0.0,
            saturation=1.0,
            sharpen=0.0,
            plain=True,
        )

    def describe(self) -> dict[str, float | bool | list[int]]:
        """The parameters as plain JSON values."""
        fields = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        fields["qualities"] = list(self.qualities)
        return fields

    def shoot(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        glowing: np.ndarray | None = None,
        meter: np.ndarray | None = None,
    ) -> bytes:
        """Light the scene, photograph it and encode it.

        Args:
            image (`np.ndarray` of shape `(height, width, 3)`): the scene, RGB, 0..1.
            rng (`np.random.Generator`): draws the noise.
            glowing (`np.ndarray` of shape `(height, width)`, *optional*): 1 on self-luminous areas, which room light
                hardly changes.
            meter (`np.ndarray` of shape `(height, width, 3)`, *optional*): the scene that the exposure was set on,
                as cameras lock it; the image itself if not given.

        Returns:
            `bytes`: a JPEG file.
        """
        linear = np.square(np.clip(image, 0, 1))
        light = self._light(linear.shape[:2], glowing, rng)
        measured = np.square(np.clip((image if meter is None else meter)[::4, ::4], 0, 1)) * light[::4, ::4]
        linear *= light
        linear = self._lens(linear)
        linear *= 1.0 if self.plain else self._gain(measured)
        linear += self._noise(linear, rng)
        display = np.sqrt(np.clip(linear, 0, 1, out=linear), out=linear)
        if self.contrast:
            curve = (3 - 2 * display) * display
            curve -= 1
            curve *= display
            curve *= self.contrast
            display += curve
        if self.saturation != 1:
            display = saturate(display, self.saturation)
        if self.sharpen > 0.05:
            display = cv2.addWeighted(display, 1 + self.sharpen, blur(display, 1.1), -self.sharpen, 0)
        for quality in self.qualities[:-1]:
            display = jpeg(display, quality)
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if self.subsample else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, self.qualities[-1], cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        ok, data = cv2.imencode(".jpg", to_bytes(display)[..., ::-1], options)
        if not ok:
            raise ValueError(f"OpenCV could not encode an image of shape {image.shape}: sides must be 1..65500 px")
        return data.tobytes()

    def _light(self, shape: tuple[int, int], glowing: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        x, y = grid(shape)
        along = (x / shape[1] - 0.5) * math.cos(self.direction) + (y / shape[0] - 0.5) * math.sin(self.direction)
        uneven = smooth_noise(shape, 0.6 * max(shape), rng) - 0.5
        field = np.exp(self.tilt * (along + 0.6 * uneven))
        if glowing is not None:
            field = field + 0.75 * glowing * (1 - field)
        tint = np.exp(np.array([0.5 * self.warmth, self.green, -0.5 * self.warmth], np.float32) * 1.4)
        return cv2.merge([field * float(gain) for gain in tint])

    def _lens(self, linear: np.ndarray) -> np.ndarray:
        h, w = linear.shape[:2]
        per_512 = max(h, w) / 512
        linear = blur(linear, self.blur * per_512)
        length = round(self.motion * per_512)
        if length >= 2:
            kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
            step = length * np.array([np.cos(3 * self.direction), np.sin(3 * self.direction)]) / 2
            ends = [tuple(int(v) for v in np.round(length + sign * step)) for sign in (-1, 1)]
            cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
            linear = cv2.filter2D(linear, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
        x, y = grid((h, w))
        radius = (x / w - 0.5) ** 2 + (y / h - 0.5) ** 2
        linear *= (1 - 2 * self.vignette * radius)[..., None]
        return linear

    def _gain(self, linear: np.ndarray) -> float:
        """Automatic exposure: aims at a mean, but lets no more than a few percent of the frame burn out."""
        bright = luma(linear)
        mean = float(np.sqrt(np.maximum(bright, 0)).mean()) + 1e-3
        highlights = float(np.percentile(bright, 96)) + 1e-3
        return float(np.clip(min((self.exposure / mean) ** 2, _HIGHLIGHTS / highlights), 0.1, 6.0))

    def _noise(self, linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(linear.shape, dtype=np.float32)
        if self.grain > 0.3:  # demosaicing and denoising correlate neighbours; keep the variance
            noise = cv2.GaussianBlur(noise, (0, 0), self.grain) * (1 + 2.2 * self.grain)
        deviation = np.sqrt(np.maximum(self.noise**2 * luma(linear), 0) + self.read_noise**2)
        noise *= deviation[..., None]
        return noise
