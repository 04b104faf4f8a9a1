"""The table of named detectors, for command lines. Adding a detector is one file in `uap/detectors/` and one row."""

from collections.abc import Callable
from dataclasses import dataclass

from uap.detectors.base import Detector
from uap.detectors.scale_consistency import ScaleConsistency
from uap.detectors.spatial_consistency import SpatialConsistency
from uap.detectors.tile_period import TilePeriod
from uap.detectors.uncertainty import Uncertainty
from uap.utils.errors import InputError


@dataclass(frozen=True)
class NamedDetector:
    """A detector, with the values of its parameter that are used unless others are given.

    Attributes:
        name: on command lines and in tables.
        build: returns the detector for a value and a seed of its random numbers.
        values: the default values of the parameter, as text.
        definition: in a line, with the source.

    Example:
        >>> DETECTORS["ScaleConsistency"].values
        ('0.5', '3', '5')
        >>> type(DETECTORS["ScaleConsistency"].build("3", 0)).__name__
        'ScaleConsistency'
    """

    name: str
    build: Callable[[str, int], Detector]
    values: tuple[str, ...]
    definition: str


_XIAO = "Xiao et al., ECCV 2018, arXiv 1810.05162"

_ROWS = (
    NamedDetector(
        "SpatialConsistency",
        lambda value, seed: SpatialConsistency(int(value), seed=seed),
        ("50",),
        f"mIoU of the predictions on K pairs of overlapping patches; :K sets the number ({_XIAO}, sec. 3.2)",
    ),
    NamedDetector(
        "ScaleConsistency",
        lambda value, _: ScaleConsistency(float(value)),
        ("0.5", "3", "5"),
        f"mIoU of the predictions on an image and its blur; :STD sets the pixels ({_XIAO}, sec. 4)",
    ),
    NamedDetector(
        "Uncertainty",
        lambda value, _: Uncertainty(value),  # type: ignore[arg-type]  # it checks the value
        ("entropy", "variation_ratio", "margin"),
        "minus the mean uncertainty of the predictions (Maag et al., VISAPP 2024, arXiv 2305.12825)",
    ),
    NamedDetector(
        "TilePeriod",
        lambda value, _: TilePeriod(int(value)),
        ("8",),
        "minus the autocorrelation of the residual of the image at lags of :PIXELS or more",
    ),
)

DETECTORS = {row.name: row for row in _ROWS}
"""All named detectors by name."""


def named_detectors(name: str, seed: int = 0) -> dict[str, Detector]:
    """Return the detectors of a name, by their titles: one for each value of the parameter.

    Args:
        name: a name of `DETECTORS`, or a name and a value, such as `SpatialConsistency:10`.
        seed: of detectors that sample.

    Raises:
        InputError: there is no such detector, or its value is out of range.

    Example:
        >>> list(named_detectors("ScaleConsistency")), list(named_detectors("SpatialConsistency:10"))
        (['ScaleConsistency:0.5', 'ScaleConsistency:3', 'ScaleConsistency:5'], ['SpatialConsistency:10'])
    """
    own, colon, value = name.partition(":")
    if own not in DETECTORS:
        raise InputError(
            f"There is no detector {own}. The detectors are {', '.join(DETECTORS)}.",
            setting="detectors",
            kind="unknown_name",
        )
    row = DETECTORS[own]
    try:
        return {f"{own}:{one}": row.build(one, seed) for one in ([value] if colon else row.values)}
    except ValueError as error:
        raise InputError(
            f"{name} has the value {value!r}, expected one such as {own}:{row.values[0]}.",
            setting="detectors",
            kind="wrong_type",
        ) from error
