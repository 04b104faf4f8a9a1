"""Checks for a wrong setup of a victim: channel order, mean, std, weights, or order of the classes."""

from collections.abc import Sequence

from uap.utils.errors import InputError

NEAR_CHANCE = 0.1
"""A network counts as guessing if its mean confidence is below 1 / C + NEAR_CHANCE * (1 - 1 / C) for C classes."""

LOW_IOU = 0.2
"""A mean IoU below this value suggests a wrong setup rather than a bad training."""


def check_scale(mean: Sequence[float], std: Sequence[float], owner: str, setting: str) -> None:
    """Check that mean and std are not for images from 0 to 1, as most networks publish them.

    Images have grey levels from 0 to 255 here. With such a std, the input of the network would be 255 times too large.

    Args:
        mean: mean of each channel.
        std: standard deviation of each channel.
        owner: object that has `mean` and `std`, for the message.
        setting: the dotted name of `owner` in a configuration.

    Raises:
        InputError: the largest std is below 1, or the largest mean is above 0 and at most 1.
    """
    small = {"std": std} if max(std) < 1 else {}
    if 0 < max(mean) <= 1:  # a mean of 0 fits both scales
        small |= {"mean": mean}
    for name, values in small.items():
        raise InputError(
            f"{owner}.{name} is [{', '.join(f'{value:g}' for value in values)}], which looks like the scale from 0 to "
            "1, but images have grey levels from 0 to 255. Multiply mean and std by 255.",
            setting=f"{setting}.{name}",
            kind="out_of_range",
        )


def setup_warnings(
    confidence: float | None, outputs: int, miou: float | None, other_ids: str | None = None
) -> list[str]:
    """Return warnings about a victim whose confidence or mean IoU is too low.

    Args:
        confidence: mean probability of the predicted class, 0 to 1, or None.
        outputs: number of classes.
        miou: mean IoU with the labels, 0 to 1, or None without labels.
        other_ids: explanation of a low mean IoU by `uap.victims.label_order`, or None.
    """
    causes = "Check channel_order, mean and std (in grey levels, 0 to 255), and that the weights are set."
    found = []
    if confidence is not None and (confidence - 1 / outputs) < NEAR_CHANCE * (1 - 1 / outputs):
        found.append(
            f"The mean confidence is {confidence:.2f}, near the {1 / outputs:.2f} of a network that guesses. {causes}"
        )
    if miou is not None and miou < LOW_IOU:
        checks = (
            f"{causes} Check the order of victim.classes, and that the label files contain the ids of this data set."
        )
        found.append(f"The mean IoU with the labels is {miou:.2f}, below {LOW_IOU}. {other_ids or checks}")
    return found
