"""Effects of surfaces, weather and camera: grain, shadows, wet roads, rain, blur, tone and noise."""

import cv2
import numpy as np
from numpy.typing import NDArray

from uap.datasets.synthetic import ids
from uap.datasets.synthetic.camera import Camera
from uap.datasets.synthetic.light import Light
from uap.datasets.synthetic.textures import SLACK, crop_of, fractal, sensor_noise

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
GRAIN = {  # strength of the grain by class; the sky has none
    ids.ROAD: 0.07,
    ids.SIDEWALK: 0.07,
    ids.BUILDING: 0.05,
    ids.POLE: 0.04,
    ids.TRAFFIC_LIGHT: 0.02,
    ids.TRAFFIC_SIGN: 0.02,
    ids.VEGETATION: 0.17,
    ids.PERSON: 0.05,
    ids.RIDER: 0.05,
    ids.CAR: 0.02,
    ids.BUS: 0.02,
    ids.BICYCLE: 0.03,
}


def photograph(
    image: Image, labels: Image, shadow: Floats, camera: Camera, light: Light, rng: np.random.Generator
) -> Image:
    """Return a rendered image with the effects of surfaces, weather and camera.

    Args:
        image: (height, width, 3) uint8 RGB.
        labels: (height, width) uint8 train ids.
        shadow: (height, width) float32, darkness of the shadows in 0..1.
        camera: camera of the scene.
        light: light and weather of the scene.
        rng: generator of the random numbers.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    surface = _surface(labels, shadow, camera, rng)
    factor = cv2.convertScaleAbs(surface, alpha=128)
    taken = np.asarray(cv2.multiply(image, cv2.merge([factor, factor, factor]), scale=1 / 128), np.uint8)
    if light.wet:
        _mirror(taken, labels, camera, rng)
        if rng.random() < 0.6:
            taken = _rain(taken, rng)
    if rng.random() < 0.4:
        taken = np.asarray(cv2.GaussianBlur(taken, (0, 0), rng.uniform(0.4, 0.8)), np.uint8)
    taken = np.asarray(cv2.LUT(taken, _response(light, rng)), np.uint8)
    height, width = labels.shape
    noise = crop_of(sensor_noise(height + SLACK, width + SLACK), height, width, rng)
    strength = rng.uniform(1.0, 5.0) / 32 * (1.5 if light.dusk else 1.0)
    return np.asarray(cv2.addWeighted(taken, 1.0, noise, strength, -128 * strength), np.uint8)


def _surface(labels: Image, shadow: Floats, camera: Camera, rng: np.random.Generator) -> Floats:
    """Return the factor (height, width) on every pixel: grain by class, and shadows on the ground."""
    strength = np.zeros(256, np.float32)
    strength[list(GRAIN)] = list(GRAIN.values())
    strength *= np.float32(rng.uniform(0.6, 1.4))
    height, width = labels.shape
    grain = crop_of(fractal(height + SLACK, width + SLACK, 8, 1, 5), height, width, rng)
    surface = 1 + strength[labels] * grain
    top = int(camera.horizon) + 1
    below = labels[top:] <= ids.SIDEWALK
    ground = (1 + strength[ids.ROAD] * _ground_grain(camera, top, rng)) * (1 - shadow[top:])
    surface[top:] = np.where(below, ground, surface[top:])
    return np.asarray(surface, np.float32)


def _ground_grain(camera: Camera, top: int, rng: np.random.Generator) -> Floats:
    """Return the noise of the ground in perspective, for the rows from `top` down."""
    tile = fractal(512, 512, 64, 1, 6)
    drop = top + 0.5 - camera.horizon
    per_meter = 40.0
    across, along = rng.uniform(0, 512), per_meter * camera.focal * camera.eye
    slope = per_meter * camera.eye
    ground = np.array([
        (slope, across, across * drop - slope * camera.center),
        (0.0, 0.0, along),
        (0.0, 1.0, drop),
    ])  # fmt: skip
    size = (camera.width, camera.height - top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    noise = cv2.warpPerspective(tile, ground, size, flags=flags, borderMode=cv2.BORDER_WRAP)
    depth = camera.focal * camera.eye / (np.arange(size[1], dtype=np.float32) + np.float32(drop))
    return np.asarray(noise * np.clip(14 / depth, 0, 1)[:, None].astype(np.float32), np.float32)


def _mirror(image: Image, labels: Image, camera: Camera, rng: np.random.Generator) -> None:
    """Mirror the image above the horizon in the wet ground, in place."""
    top = int(camera.horizon) + 1
    rows = min(top, camera.height - top)
    above = cv2.blur(image[top - rows : top][::-1], (3, max(3, camera.height // 12)))
    below = image[top : top + rows]
    share = rng.uniform(0.15, 0.4)
    wet = cv2.addWeighted(above, share, below, 1 - share, -6)
    np.copyto(below, wet, where=(labels[top : top + rows] <= ids.SIDEWALK)[..., None])


def _rain(image: Image, rng: np.random.Generator) -> Image:
    """Return the image with bright streaks of rain."""
    height, width = image.shape[:2]
    count = int(rng.integers(40, 160))
    start = rng.uniform((0, 0), (width, height), (count, 2))
    fall = np.array([rng.normal(0, 0.1), 1.0]) * rng.uniform(0.03, 0.08, (count, 1)) * height
    streaks = np.rint(np.stack([start, start + fall], axis=1)).astype(np.int32)
    drops = cv2.polylines(image.copy(), list(streaks), False, (206, 210, 214), 1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(drops, 0.4, image, 0.6, 0), np.uint8)


def _response(light: Light, rng: np.random.Generator) -> Image:
    """Sample the tone curve of the camera, (1, 256, 3): exposure, contrast, gamma and white balance."""
    level = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.85, 1.2)
    contrast, exposure = rng.uniform(0.85, 1.2), rng.uniform(0.88, 1.12)
    warmth = rng.normal(0, 0.05)
    balance = np.array([1 + warmth, 1 + rng.normal(0, 0.015), 1 - warmth])
    veil = rng.uniform(0, 0.06) + (0.03 if light.wet else 0.0)
    curve = (0.5 + contrast * (level - 0.5)) * exposure * balance * (1 - veil) + veil
    return np.asarray(np.clip(255 * curve, 0, 255), np.uint8)[None]
