"""The light, haze and sky of one scene."""

from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """The light and weather of one scene; colors are RGB in 0..255."""

    ambient: Color  # factors per channel on painted colors
    haze: Color
    fog: float  # attenuation per meter
    sun: float  # from 0 (overcast) to 1 (bright sun)
    sun_side: int  # -1 if the light comes from the left, 1 from the right
    dusk: bool
    wet: bool
    sky_top: Color
    sky_low: Color
    clouds: float  # share of the sky that clouds cover


def blend(first: Color, second: Color, share: float) -> Color:
    """Return a mixture of two colors; a share of 0 gives the first, 1 the second."""
    keep = 1 - share
    return (
        keep * first[0] + share * second[0],
        keep * first[1] + share * second[1],
        keep * first[2] + share * second[2],
    )


def dim(color: Color, factor: float) -> Color:
    """Return a color times a factor."""
    return (color[0] * factor, color[1] * factor, color[2] * factor)


def vary(rng: np.random.Generator, color: Color, spread: float = 12.0) -> Color:
    """Sample a color near a color; the brightness varies more than the hue."""
    brightness, red, green, blue = (spread * rng.standard_normal(4)).tolist()
    return (
        min(max(color[0] + brightness + 0.4 * red, 4.0), 250.0),
        min(max(color[1] + brightness + 0.4 * green, 4.0), 250.0),
        min(max(color[2] + brightness + 0.4 * blue, 4.0), 250.0),
    )


def pick(rng: np.random.Generator, palette: tuple[Color, ...], spread: float = 12.0) -> Color:
    """Sample a color near a random color of the palette."""
    return vary(rng, palette[int(rng.integers(len(palette)))], spread)


def sample_light(rng: np.random.Generator) -> Light:
    """Sample the weather and the time of day."""
    kind = rng.random()
    sun_side = 1 if rng.random() < 0.5 else -1
    fog = float(rng.uniform(0.001, 0.006))
    if kind < 0.5:
        top = vary(rng, (92, 140, 205), 18)
        low = vary(rng, (190, 212, 232), 12)
        gain, sun, clouds, wet = rng.uniform(0.9, 1.1), rng.uniform(0.5, 1.0), rng.uniform(0.0, 0.6), False
    elif kind < 0.85:
        top = vary(rng, (178, 184, 192), 22)
        low = vary(rng, (212, 215, 218), 12)
        gain, sun, clouds, wet = rng.uniform(0.75, 1.0), 0.0, rng.uniform(0.4, 1.0), rng.random() < 0.4
        fog = float(rng.uniform(0.003, 0.014))
    else:
        top = vary(rng, (52, 62, 104), 12)
        low = vary(rng, (196, 140, 118), 22)
        gain, sun, clouds, wet = rng.uniform(0.42, 0.65), 0.0, rng.uniform(0.1, 0.7), rng.random() < 0.3
    dusk = kind >= 0.85
    warmth = rng.normal(0.0, 0.05) + (0.04 if sun else -0.01)
    return Light(
        ambient=(gain * (1 + warmth), gain, gain * (1 - warmth)),
        haze=low,
        fog=fog,
        sun=float(sun),
        sun_side=sun_side,
        dusk=dusk,
        wet=bool(wet),
        sky_top=top,
        sky_low=low,
        clouds=float(clouds),
    )
