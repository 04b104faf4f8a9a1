"""python -m uap.reproduce: run the trials behind a table or figure of a paper, and write the results as one page."""

import argparse
import os
import re
import shlex
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

from uap.cli.entry import run_command
from uap.reporting.document import check_page
from uap.reproduction.page import page
from uap.reproduction.reading import read_reproduction, run_on
from uap.reproduction.reproduction import Reproduction
from uap.reproduction.results import Results, describe_setup, identity, missing_trials, write_results
from uap.reproduction.running import run_trials
from uap.reproduction.table import table_markdown, table_of
from uap.reproduction.trials import rows_of, shard, unique
from uap.utils import paths
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.text_tables import write

FOLDER = "configs/reproduce"
ON = "on"
TRIALS = "trials"
"""The folder in `--out` that has the folders of the trials; all reproductions share it."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's own arguments."""
    own = argparse.ArgumentParser(
        prog="python -m uap.reproduce",
        usage="python -m uap.reproduce [NAME] [--on DATA] [--out FOLDER] [--shard i/n] [--quiet] [more arguments]",
        description="Runs all trials of a table or figure of a paper. Writes the results as Markdown, CSV, PNG and one "
        "HTML page. Trials that are done are skipped, interrupted trials are resumed, and tables share their trials. "
        "NAME is a reproduction, a folder of reproductions (metzen2017), or a YAML file of your own. Without NAME the "
        "command lists the reproductions.",
        epilog="All other arguments go to the command of each trial: for most tables uap fit, with arguments such as "
        "--data.root, --model.victim.weights or --config FILE. The values that the table varies override them. "
        "Example: python -m uap.reproduce metzen2017/table1 --on streetscenes",
        allow_abbrev=False,
    )
    own.add_argument("--on", help=f"other data and network: {', '.join(_names(ON))}, or a YAML file")
    own.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="the folder (default: %(default)s)")
    own.add_argument(
        "--shard",
        default="1/1",
        help="run part i of n; the parts have about the same number of gradient evaluations. Start all parts with the "
        "same --out: the last one to finish writes the complete table (default: %(default)s)",
    )
    own.add_argument("--quiet", action="store_true", help="print no progress, only the table")
    return own


def main(given: list[str] | None = None) -> list[Path]:
    """Run a reproduction, or all reproductions of a folder.

    Returns:
        The paths of the HTML pages; empty if no name was given and the reproductions were listed.

    Raises:
        InputError: the reproduction does not exist, or a file or an argument is invalid. If a command refuses trials,
            the other trials run and the tables are written before the error is raised.
    """
    given = sys.argv[1:] if given is None else given
    own, rest = parser().parse_known_args(given)
    if not rest:
        print(listing())
        return []
    number, of = parse_shard(own.shard)
    if own.quiet:
        be_quiet()
    reproductions, overrides = with_options([load(name, own.on) for name in _all(rest[0])], rest[1:])
    rows = [rows_of(one, overrides) for one in reproductions]
    stems = [_stem(own.out, one.name, own.on) for one in reproductions]
    for stem, own_rows in zip(stems, rows, strict=True):  # refuse before the trials run for hours
        check_page(stem.with_name(f"{stem.name}.html"), [identity(own_rows)])
    trials = own.out / TRIALS
    refused = run_trials(shard(unique(row.trial for own_rows in rows for row in own_rows), number, of), trials)
    pages = []
    for one, own_rows, stem in zip(reproductions, rows, stems, strict=True):
        results = Results(
            reproduction=one,
            rows=own_rows,
            table=table_of(one, own_rows, trials),
            trials=trials,
            stem=stem,
            command=_command(given),
        )
        write_results(results)
        write(results.file(".html"), page(results))
        _say(results)
        pages.append(results.file(".html"))
    if refused:
        raise InputError("\n".join(refused), kind="conflict")
    return pages


def listing() -> str:
    """Return one line for each shipped reproduction: its name, its title, and its options for folders."""
    reproductions = [load(name, None) for name in _names()]
    width = max((len(one.name) for one in reproductions), default=0)
    folders = [" ".join(f"--{name} {folder}" for name, folder in one.folders.items()) for one in reproductions]
    titles = [f"{one.title} ({own})" if own else one.title for one, own in zip(reproductions, folders, strict=True)]
    lines = [f"  {one.name:<{width}}  {title}" for one, title in zip(reproductions, titles, strict=True)]
    return "\n".join(["python -m uap.reproduce NAME [--on " + "|".join(_names(ON)) + "|FILE]", "", *lines])


def load(name: str, on: str | None) -> Reproduction:
    """Read a reproduction.

    Args:
        name: the name of a shipped reproduction, or a YAML file.
        on: the name of shipped data and network, or a YAML file; None for the paper's own.

    Raises:
        InputError: a file does not exist, or is invalid.
    """
    path = _found(name, "", f"There is no reproduction {name}")
    reproduction = read_reproduction(path, Path(name).stem if path == Path(name) else name)
    if on is None:
        return reproduction
    return run_on(reproduction, _found(on, ON, f"--on is {on}, but there is no file of that name"))


def parse_shard(shard: str) -> tuple[int, int]:
    """Return the numbers i and n of a shard i/n, such as 1/4.

    Raises:
        InputError: the text is not of this form, or i is not from 1 to n.
    """
    numbers = [int(text) for text in shard.split("/")] if re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", shard) else []
    if not numbers or not 1 <= numbers[0] <= numbers[1]:
        raise InputError(
            f"--shard is {shard}, expected i/n with i from 1 to n, such as 1/4.", setting="shard", kind="out_of_range"
        )
    return numbers[0], numbers[1]


def with_options(reproductions: list[Reproduction], overrides: list[str]) -> tuple[list[Reproduction], list[str]]:
    """Apply the reproductions' own options.

    These options are the folders that their settings refer to, such as `--camvid`, and the arguments of their commands,
    such as `--attack.images`.

    Returns:
        The changed reproductions, and the remaining arguments, which the commands get.

    Raises:
        InputError: the remaining arguments do not begin with an option.
    """
    options = argparse.ArgumentParser(prog="python -m uap.reproduce", allow_abbrev=False, add_help=False)
    defaults: dict[str, Any] = {}
    for one in reproductions:
        arguments = {f"{run.command}.{name}": value for run in one.runs for name, value in run.arguments.items()}
        defaults |= one.folders | arguments
    for name, default in defaults.items():
        example = (default[0] if default else None) if isinstance(default, list) else default
        kind = str if example is None else type(example)
        count = ("+" if default else "*") if isinstance(default, list) else None
        options.add_argument(f"--{name}", dest=name, type=kind, nargs=count, default=default)
    known, left = options.parse_known_args(overrides)
    if left and not left[0].startswith("-"):
        raise InputError(
            f"{left[0]} is one name too many. Give one reproduction, or one folder of them, at a time.", kind="conflict"
        )
    return [_given(one, vars(known)) for one in reproductions], left


def _given(reproduction: Reproduction, given: dict[str, Any]) -> Reproduction:
    runs = [
        replace(run, arguments={name: given[f"{run.command}.{name}"] for name in run.arguments})
        for run in reproduction.runs
    ]
    return replace(reproduction, folders={name: given[name] for name in reproduction.folders}, runs=runs)


def _all(name: str) -> list[str]:
    """Return the names of all reproductions in a folder, or the given name itself."""
    return [known for known in _names() if known.startswith(f"{name.rstrip('/')}/")] or [name]


def _command(given: list[str]) -> str:
    """Return the command line without `--shard`, which would make only a part of the table."""
    text = re.sub(r" --shard[= ]\S+", "", f" {shlex.join(given)}")
    return f"python -m uap.reproduce{text}"


def _found(name: str, folder: str, complaint: str) -> Path:
    """Return the path of the user's YAML file, or of a shipped file by its name."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise InputError(f"{complaint}. Check the path, which starts in {os.getcwd()}.", kind="missing_file")
        return Path(name)
    if name not in _names(folder):
        raise InputError(
            f"{complaint}. There are: {', '.join(_names(folder))}; or give a YAML file.", kind="unknown_name"
        )
    return _shipped((Path(folder) / name).as_posix())


def _names(folder: str = "") -> list[str]:
    """Return the names of the shipped files in a folder, without their suffixes."""
    root = paths.shipped(FOLDER) / folder
    names = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))
    return [name for name in names if folder or not name.startswith(f"{ON}/")]


def _shipped(name: str) -> Path:
    return paths.shipped(FOLDER) / f"{name}.yaml"


def _stem(out: Path, name: str, on: str | None) -> Path:
    last = Path(name).name
    return out / name / (f"{last}-{Path(on).stem}" if on else last)


def _say(results: Results) -> None:
    print(f"\n{results.title}\n\n{table_markdown(results.pivoted)}")
    print(textwrap.fill(describe_setup(results), 120))
    if results.missing:
        print(textwrap.fill(missing_trials(results), 120))
    endings = [ending for ending in (".html", ".md", ".csv", ".png") if results.file(ending).exists()]
    lines = [f"{ending[1:]:<8}{results.file(ending)}" for ending in endings]
    print("\n" + "\n".join([*lines, f"{'trials':<8}{results.trials}"]))


if __name__ == "__main__":
    arguments, sys.argv = (
        sys.argv[1:],
        sys.argv[:1],
    )  # LightningCLI warns if sys.argv holds other arguments than it gets
    run_command(lambda: main(arguments))
