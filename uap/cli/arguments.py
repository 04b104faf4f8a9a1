"""The arguments that the commands to scoring share."""

import argparse

LARGEST_SEED = 2**63 - 1


def positive(text: str) -> int:
    """Return an argument of a command that is to be a whole number above 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def natural(text: str) -> int:
    """Return an argument of a command that is to be a whole number, 0 or more, and no larger than a seed may be.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 to {LARGEST_SEED}")
    return int(text)


LONGEST_SIDE = 32767
"""Of a picture, in pixels; more than OpenCV can sample, and a square of it is 3 GB."""


def side(text: str) -> int:
    """Return an argument of a command that is to be the height or the width of a picture.

    Raises:
        ArgumentTypeError: it is none.
    """
    if (pixels := positive(text)) > LONGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is more than the {LONGEST_SIDE} pixels that a picture may have")
    return pixels


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which images are scored, the seed, and the quiet mode."""
    parser.add_argument(
        "--images",
        type=positive,
        help="score so many, evenly spread (default: data.eval_images of the configuration, else all)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of whatever is drawn (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print no progress, only results")
