"""The help of a command on one page, shown before anything heavy is imported: torch and Lightning take seconds."""

import signal
import sys

EVERYTHING = "--help-all"


def short_help(page: str | None) -> None:
    """Print the page and leave where the command line asks for `--help`; `--help-all` lists all settings."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while torch is imported needs no traceback
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((page or "").strip())
        raise SystemExit(0)
    sys.argv = ["--help" if argument == EVERYTHING else argument for argument in sys.argv]
