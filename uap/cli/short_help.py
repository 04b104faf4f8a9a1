"""The short help page of a command, printed before torch and Lightning are imported, which takes seconds."""

import signal
import sys

FULL_HELP = "--help-all"


def short_help(page: str | None) -> None:
    """Print the page and exit if the command line contains `--help`; turn `--help-all` into `--help`.

    Args:
        page: the docstring of the command.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback for Ctrl-C during the import of torch
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((page or "").strip())
        raise SystemExit(0)
    sys.argv = ["--help" if argument == FULL_HELP else argument for argument in sys.argv]
