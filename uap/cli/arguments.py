"""Arguments that several commands share, and the types of their values."""

import argparse

LARGEST_SEED = 2**63 - 1


def positive(text: str) -> int:
    """Convert an argument to an integer of 1 or more.

    Raises:
        ArgumentTypeError: the text is not such a number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def natural(text: str) -> int:
    """Convert an argument to an integer from 0 to the largest seed of torch.

    Raises:
        ArgumentTypeError: the text is not such a number.
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def share(text: str) -> float:
    """Convert an argument to a share above 0 and up to 1.

    Raises:
        ArgumentTypeError: the text is not such a number.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 1")
    return value


LONGEST_SIDE = 32767
"""Largest height or width of an image, in pixels. OpenCV cannot resample longer sides."""


def side(text: str) -> int:
    """Convert an argument to the height or width of an image in pixels.

    Raises:
        ArgumentTypeError: the text is not a whole number from 1 to `LONGEST_SIDE`.
    """
    if (pixels := positive(text)) > LONGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is more than {LONGEST_SIDE} pixels, the longest side of an image")
    return pixels


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments `--images`, `--seed` and `--quiet`."""
    parser.add_argument(
        "--images",
        type=positive,
        help="number of images to score, evenly spread (default: data.eval_images of the configuration, or all)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="seed of the random numbers (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print only results, no progress")
