"""python -m uap.report: write one self-contained HTML page on one or several runs."""

import argparse
import sys
from pathlib import Path

from uap.reporting.document import check_page
from uap.reporting.page import page
from uap.reporting.run import read_runs
from uap.utils.errors import InputError
from uap.utils.text_tables import digest, write


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parse the arguments `given`; None stands for the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m uap.report",
        allow_abbrev=False,
        description="Writes one HTML page on one or several runs: metrics, curves, pictures with a slider between "
        "clean and adversarial, tables by class, object size and image, and the configuration. The page needs no "
        "internet connection and no other file, so you can send it by mail. Sections for which the runs have no data, "
        "because they are unfinished or evaluations, are left out.",
        epilog="example: python -m uap.report runs/* --out comparison.html",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="folder of python -m uap.fit or uap.evaluate; give several to compare them",
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page (default: %(default)s)")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> Path:
    """Write the page and return its path.

    Raises:
        InputError: no folder is a run, a file cannot be read, or the page cannot be written or would replace a page on
            other runs.
    """
    settings = arguments(given)
    out: Path = settings.out
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out is {out}, expected a name that ends in .html.", setting="out", kind="unusable_file")
    runs = read_runs(settings.runs)
    shown = [digest(str(run.folder.resolve())) for run in runs]
    check_page(out, shown)
    write(out, page(runs, shown))
    print(f"{out}  {out.stat().st_size / 1e6:.1f} MB")
    return out


def run_command() -> None:
    """Run the command; bad input ends it with a message and exit code 2.

    `uap.cli.entry` does the same for the other commands, but imports Lightning, which takes seconds.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename} cannot be read ({error.strerror}). Check the path.", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    run_command()
