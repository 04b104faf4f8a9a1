"""Signs that a network was wired wrongly: another channel order, mean or order of classes than it was trained with."""

from collections.abc import Sequence

NEAR_CHANCE = 0.1
"""A prediction is a guess where its confidence is no further than this from 1 / classes on the way to 1."""

LOW_IOU = 0.2
"""Below it a network has been wired wrongly rather than trained badly."""


def doubtful_scale(mean: Sequence[float], std: Sequence[float], owner: str) -> list[str]:
    """Return warnings of a mean and a std that are of images from 0 to 1, as most networks are published.

    With such a std the network sees images 255 times too strong, with such a mean too bright.

    Args:
        mean: of each channel.
        std: of each channel.
        owner: the setting that they belong to, such as `model.victim`.
    """
    small = {"std": std} if max(std) < 1 else {}
    if 0 < max(mean) <= 1:  # a mean of 0 is none
        small |= {"mean": mean}
    return [
        f"{owner}.{name} is [{', '.join(f'{value:g}' for value in values)}], which looks like the scale from 0 to 1, "
        "but images have grey levels to 255. Multiply mean and std by 255."
        for name, values in small.items()
    ]


def doubts(confidence: float | None, outputs: int, miou: float | None, other_ids: str | None = None) -> list[str]:
    """Return warnings of a network that was wired wrongly.

    Args:
        confidence: mean probability of the predicted class, 0 to 1, if it is known.
        outputs: number of classes.
        miou: mean IoU with the labels, if there are any.
        other_ids: what `uap.victims.label_order` says of the labels.
    """
    causes = "Check channel_order, mean and std (in grey levels, 0 to 255), and that the weights were given."
    found = []
    if confidence is not None and (confidence - 1 / outputs) < NEAR_CHANCE * (1 - 1 / outputs):
        found.append(
            f"The mean confidence is {confidence:.2f}, near the {1 / outputs:.2f} of a network that guesses. {causes}"
        )
    if miou is not None and miou < LOW_IOU:
        checks = f"{causes} Check the order of victim.classes, and that the label files hold this data set's ids."
        found.append(f"The mean IoU with the labels is {miou:.2f}, below {LOW_IOU}. {other_ids or checks}")
    return found
