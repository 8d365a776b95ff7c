"""Replay attack: the face on a phone, tablet, monitor or laptop screen.

Ranges and reasons:

- pixel grid: RGB and BGR stripes, PenTile, delta, quad; period 0.55..4 camera pixels (the lattice is sampled by the
  camera per colour at its Bayer positions, so moiré and its colours arise by themselves from distance and angle
  (FAS-Aug, arXiv 2409.03501, renders them for the same reason)).
- tone: raised black 0.02..0.14, gamma 0.85..1.2, colour temperature +-25 %, brightness 0.75..1.25 (a screen's black
  is lit, its white point is not the room's).
- refresh: dark bands 0.25..1.2 frame heights apart, depth up to 30 % (rolling shutter against the back
  light's frequency).
- front: reflected window or lamp, ghost of the room 0..18 %, smudges (glass before the picture).
- device: bezel 1..9 % of a side, rounded corners, fingers (how screens are presented in Replay-Attack,
  OULU-NPU and SiW).

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.replay import lattice
    >>> lattice("rgb stripe").shape
    (12, 12, 3)
"""

import cv2
import numpy as np

from .domains import Domain
from .imaging import (
    blur,
    chance,
    drop_shadow,
    fractal_noise,
    grid,
    mix,
    pick,
    polygon_mask,
    saturate,
    smooth_noise,
    uniform,
)
from .medium import Sheet, ambient, make_sheet
from .objects import plate, tone
from .printed import grip
from .scene import Frame, Placement
from .source import Source
from .traces import Traces


_ASPECTS = {
    "phone": (0.5, 0.5625, 1.78),
    "bezel-less phone": (0.46, 0.5, 2.1),
    "tablet": (0.75, 1.3333, 0.7),
    "monitor": (1.7778, 1.6),
    "laptop": (1.7778, 1.6, 1.5),
}
_BEZEL = {
    "phone": (0.02, 0.05, 0.07),
    "bezel-less phone": (0.008, 0.02, 0.1),
    "tablet": (0.04, 0.09, 0.05),
    "monitor": (0.015, 0.05, 0.01),
    "laptop": (0.02, 0.045, 0.02),
}


def lattice(layout: str) -> np.ndarray:
    """One repeat of a screen's pixel grid: two by two pixels, six samples each, mean about 1 per colour.

    Args:
        layout (`str`): "rgb stripe", "bgr stripe", "pentile", "delta" or "quad".

    Returns:
        `np.ndarray` of shape `(12, 12, 3)`.
    """
    tile = np.zeros((12, 12, 3), np.float32)
    for row in range(2):
        for column in range(2):
            y, x = 6 * row, 6 * column
            if layout in ("rgb stripe", "bgr stripe"):
                for k in range(3):
                    channel = k if layout == "rgb stripe" else 2 - k
                    tile[y : y + 5, x + 2 * k : x + 2 * k + 2, channel] = 1
            elif layout == "pentile":
                tile[y : y + 3, x + 1 : x + 3, 1] = 1
                tile[y + 2 : y + 6, x + 3 : x + 6, 0 if (row + column) % 2 == 0 else 2] = 1
            elif layout == "delta":
                for k in range(3):
                    start = (x + 2 * k + 3 * row) % 12
                    tile[y : y + 5, start : start + 2, k] = 1
            else:  # quad: red and blue above two greens
                tile[y : y + 3, x : x + 3, 0] = 1
                tile[y : y + 3, x + 3 : x + 6, 2] = 1
                tile[y + 3 : y + 6, x + 1 : x + 5, 1] = 1
    return tile / tile.mean((0, 1))


def replayed_screen(
    source: Source, place: Placement, rng: np.random.Generator, domain: Domain, finest: float, scene: Frame
) -> Traces:
    """The face on a screen before the camera."""
    device, layout = pick(rng, domain.devices), pick(rng, domain.screens)
    sheet = make_sheet(source, place, rng, domain, _ASPECTS[device], 0.0, scene)
    low, high, round_share = _BEZEL[device]
    bezel = uniform(rng, (low, high)) * min(sheet.size)
    chin = bezel * (uniform(rng, (1.5, 3)) if device in ("monitor", "tablet", "phone") and chance(rng, 0.5) else 1)
    corner = round_share * min(sheet.size)
    whole = sheet.inside((bezel, chin if sheet.size[0] > sheet.size[1] else bezel, bezel, chin), corner)
    active = sheet.inside((0.0,) * 4, max(0.0, corner - bezel))
    traces = Traces(sheet.scene.image, glowing=active)
    shown = _emission(sheet, rng, traces) * ambient(scene)
    shown = _pixel_grid(shown, sheet, layout, rng, traces, finest)
    shown = _refresh(shown, rng, traces)
    body = np.full(3, uniform(rng, (0.02, 0.12)) if chance(rng, 0.8) else uniform(rng, (0.6, 0.9)), np.float32)
    front = mix(np.broadcast_to(body, shown.shape), shown, active)
    rim = np.clip(whole - sheet.inside((0.8 * bezel,) * 4, corner), 0, 1)
    front = front + 0.12 * rim[..., None]
    front = _reflections(front, whole, place, rng, traces, domain)
    lift = 0.04 * place.face_height
    around = drop_shadow(sheet.scene.image, whole, (0, lift), lift, 0.4)
    traces.image = mix(around, np.clip(front, 0, 1), whole)
    fingers = "phone" in device or device == "tablet"
    if fingers:
        traces.image, fingers = grip(traces.image, sheet, bezel, tone(source.skin, rng), place, rng)
    seen = float(whole.mean())
    outside_picture = float((whole - active).clip(0, 1).mean())
    traces.mark("screen", whole)
    traces.note(device=device, bezel=bezel / min(sheet.size), fills_frame=seen > 0.985, fingers=fingers)
    traces.cue("a screen bezel around the face", outside_picture > 0.012)
    traces.cue("fingers holding the device", fingers)
    traces.cue("a flat, backlit picture of a face", not traces.cues)
    return traces


def _emission(sheet: Sheet, rng: np.random.Generator, traces: Traces) -> np.ndarray:
    """The photo as the screen's light."""
    black, bright = uniform(rng, (0.02, 0.14)), uniform(rng, (0.75, 1.25))
    temperature, gamma = uniform(rng, (-0.25, 0.25)), uniform(rng, (0.85, 1.2))
    vivid = uniform(rng, (0.8, 1.4))
    shown = np.power(np.clip(sheet.picture, 0.001, 1), gamma)
    shown = saturate(shown, vivid) * bright
    shown = black + (1 - black) * np.clip(shown, 0, 1)
    tint = np.exp(np.array([-0.5, 0.0, 0.5], np.float32) * temperature)
    traces.note(black_level=black, brightness=bright, temperature=temperature, vividness=vivid)
    traces.cue("a bluish screen tint", temperature > 0.13)
    traces.cue("lifted, glowing blacks", black > 0.09)
    traces.cue("over-bright screen light", bright > 1.15)
    return np.clip(shown * tint, 0, 1.1)


def _pixel_grid(
    shown: np.ndarray, sheet: Sheet, layout: str, rng: np.random.Generator, traces: Traces, finest: float
) -> np.ndarray:
    """Photograph the pixel lattice: sampled per colour where a Bayer sensor has that colour, twice per pixel side.

    Each sample integrates too little area to average the lattice away, so near-integer periods beat with the sensor
    and give moiré, long periods show the sub-pixels themselves.
    """
    period = uniform(rng, (0.55, 1.6)) if chance(rng, 0.6) else uniform(rng, (1.6, 4.0))
    strength = uniform(rng, (0.15, 0.75))
    tile = lattice(layout)
    scale = 12 / (2 * period)
    total = np.zeros_like(shown)
    offsets = ((0.25, 0.25), (0.0, 0.25), (0.25, 0.0))  # where red, green and blue sit in a pixel
    dx, dy = np.gradient(sheet.x, axis=1), np.gradient(sheet.y, axis=0)
    for step in (0.0, 0.5):
        for channel, (ox, oy) in enumerate(offsets):
            # Two positions on the diagonal stand for the four of a pixel: enough to soften, not to remove, beats.
            mx = (sheet.x + (ox + step) * dx) * scale
            my = (sheet.y + (oy + step) * dy) * scale
            mx -= 12 * np.floor(mx * (1 / 12))
            my -= 12 * np.floor(my * (1 / 12))
            one = np.pad(tile[..., channel], ((0, 2), (0, 2)), mode="wrap")
            total[..., channel] += 0.5 * cv2.remap(one, mx, my, cv2.INTER_LINEAR)
    beat = blur(total, 1.0)
    resolved = period > 0.8 * finest  # however faint: a lattice that the camera resolves is no moire
    contrast = float((blur(total, 0.35 * finest) * strength).std())
    gain = 1 + strength * (0.75 * total + 0.25 * beat - 1)
    traces.note(layout=layout, grid_period=period, grid_strength=strength, grid_contrast=contrast)
    traces.cue("a visible sub-pixel grid", resolved and contrast > 0.05)
    traces.cue("moire patterns over the face", not resolved and contrast > 0.05)
    return shown * gain


def _refresh(shown: np.ndarray, rng: np.random.Generator, traces: Traces) -> np.ndarray:
    """Dark bands where the back light was off while the rolling shutter passed."""
    h = shown.shape[0]
    depth = uniform(rng, (0.05, 0.3)) if chance(rng, 0.4) else 0.0
    period, phase = uniform(rng, (0.25, 1.2)) * h, uniform(rng, (0, 1))
    wave = np.clip(np.sin(2 * np.pi * (np.arange(h) / period + phase)) * 1.6, -1, 1).astype(np.float32)
    traces.note(refresh_depth=depth)
    traces.cue("dark refresh bands across the picture", depth > 0.11)
    return shown * (1 - depth * (0.5 + 0.5 * wave))[:, None, None]


def _reflections(
    front: np.ndarray, whole: np.ndarray, place: Placement, rng: np.random.Generator, traces: Traces, domain: Domain
) -> np.ndarray:
    """The room in the glass: a ghost picture, a window or lamp, finger smudges."""
    h, w = place.size
    ghost = uniform(rng, (0.04, 0.18)) if chance(rng, 0.5) else 0.0
    if ghost:
        room = blur(plate(pick(rng, domain.plates), (h, w), rng), 0.02 * max(h, w))
        front = front + ghost * room
    glare = uniform(rng, (0.25, 0.85)) if chance(rng, 0.45) else 0.0
    if glare:
        x, y = place.centre
        reach = 0.6 * place.face_height
        at = (float(x) + uniform(rng, (-1, 1)) * reach, float(y) + uniform(rng, (-1, 1)) * reach)
        size = uniform(rng, (0.1, 0.4)) * place.face_height
        if chance(rng, 0.5):
            corners = np.array([[-1, -1.4], [1, -1.2], [0.8, 1.4], [-1.1, 1.2]]) * size
            spot = polygon_mask((h, w), corners + at, 0.05 * size)
        else:
            gx, gy = grid((h, w))
            spot = np.exp(-((gx - at[0]) ** 2 + 2 * (gy - at[1]) ** 2) / size**2)
        front = front + (glare * spot)[..., None] * (1 - np.clip(front, 0, 1))
        glare = glare * float((spot * whole).max())
    smudge = np.clip(fractal_noise((h, w), 0.15 * max(h, w), rng, 3) - 0.55, 0, 1)
    front = front + (uniform(rng, (0, 0.3)) * smudge)[..., None]
    traces.note(ghost=ghost, glare=glare)
    traces.cue("a bright reflection on the glass", glare > 0.3)
    traces.cue("a faint reflected room over the picture", ghost > 0.1)
    return front * (0.985 + 0.03 * smooth_noise((h, w), 0.3 * max(h, w), rng))[..., None]
