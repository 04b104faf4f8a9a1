"""python -m uap.report: one self-contained HTML page on one or several runs."""

import argparse
import sys
from pathlib import Path

from uap.reporting.page import check_page, page
from uap.reporting.run import read_runs
from uap.utils.errors import InputError
from uap.utils.text_tables import digest, write


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parse `given`, the command line by default."""
    parser = argparse.ArgumentParser(
        prog="python -m uap.report",
        description="Writes one HTML page on one or several runs: figures, curves, pictures with a slider between "
        "clean and adversarial, tables by class, object size and image, and the configuration. The page needs no "
        "network and no other file, so it can be mailed. Parts that a run does not have (it is older, unfinished, or "
        "an evaluation) are left out.",
        epilog="example: python -m uap.report runs/* --out comparison.html",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder of python -m uap.fit or uap.evaluate; several compare"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page (default: %(default)s)")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> Path:
    """Write the page and return where it lies.

    Raises:
        InputError: a folder is no run, a file of it cannot be read, or the page cannot be written, or would replace one
            of other runs.
    """
    settings = arguments(given)
    out: Path = settings.out
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"The page was to be written to {out}, expected a name that ends in .html. Set another --out.")
    runs = read_runs(settings.runs)
    shown = [digest(str(run.folder.resolve())) for run in runs]
    check_page(out, shown)
    write(out, page(runs, shown))
    print(f"{out}  {out.stat().st_size / 1e6:.1f} MB")
    return out


def run_command() -> None:
    """Bad input becomes a sentence and exit code 2; `uap.cli.entry` would import Lightning, which takes seconds."""
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
