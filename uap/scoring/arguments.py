"""The arguments that the doors to scoring share."""

import argparse

from uap.cli import positive


def natural(text: str) -> int:
    """Return an argument of a command that is to be a whole number, 0 or more.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no whole number, 0 or more")
    return int(text)


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which images are scored, the seed, and the quiet mode."""
    parser.add_argument(
        "--images",
        type=positive,
        help="score so many, drawn by the seed (default: all)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of whatever is drawn (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print no progress, only results")
