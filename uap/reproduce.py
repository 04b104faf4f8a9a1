"""python -m uap.reproduce: a paper's table or figure, from its runs to one page."""

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
from uap.reporting.page import check_page
from uap.reproduction.page import page
from uap.reproduction.points import rows_of, shard, unique
from uap.reproduction.reading import placed_on, read_reproduction
from uap.reproduction.reproduction import Reproduction
from uap.reproduction.results import Results, ground, identity, missing_points, write_results
from uap.reproduction.running import run_points
from uap.reproduction.table import table_markdown, table_of
from uap.utils import paths
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.text_tables import write

FOLDER = "configs/reproduce"
ON = "on"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's own arguments."""
    found = argparse.ArgumentParser(
        prog="python -m uap.reproduce",
        usage="python -m uap.reproduce [NAME] [--on DATA] [--out FOLDER] [--shard i/n] [--quiet] [more of uap.fit's]",
        description="Runs every point of a table or figure, and writes it as Markdown, CSV, PNG and one HTML page. "
        "What is done is skipped, what was cut off is resumed, and tables share their points. Without a name it lists "
        "what there is; a name may be a folder of them (metzen2017), or a YAML file of your own.",
        epilog="All other arguments go to python -m uap.fit in each point, under what the table itself varies: "
        "--data.root, --model.victim.weights, --config FILE ... example: python -m uap.reproduce metzen2017/table1 "
        "--on streetscenes",
        allow_abbrev=False,
    )
    found.add_argument("--on", help=f"other data and network: {', '.join(_names(ON))}, or a YAML file")
    found.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="the folder (default: %(default)s)")
    found.add_argument(
        "--shard",
        default="1/1",
        help="run one of n parts of about the same work; with a common --out the last to end writes the whole table "
        "(default: %(default)s)",
    )
    found.add_argument("--quiet", action="store_true", help="print no progress, only the table")
    return found


def main(given: list[str] | None = None) -> list[Path]:
    """Run a reproduction, or all of a folder; returns their pages, none where only a list was asked for.

    Raises:
        InputError: there is no such reproduction, or something in it or beside it cannot be used; or points were
            refused, after all others have run and the tables are written.
    """
    given = sys.argv[1:] if given is None else given
    own, further = parser().parse_known_args(given)
    if not further:
        print(listing())
        return []
    number, of = parts_of(own.shard)
    if own.quiet:
        be_quiet()
    found, further = with_options([load(name, own.on) for name in _all(further[0])], further[1:])
    rows = [rows_of(one, further) for one in found]
    stems = [_stem(own.out, one.name, own.on) for one in found]
    for stem, own_rows in zip(stems, rows, strict=True):  # before hours of running
        check_page(stem.with_name(f"{stem.name}.html"), [identity(own_rows)])
    points = own.out / "points"
    refused = run_points(shard(unique(row.point for own_rows in rows for row in own_rows), number, of), points)
    pages = []
    for one, own_rows, stem in zip(found, rows, stems, strict=True):
        results = Results(
            found=one,
            rows=own_rows,
            table=table_of(one, own_rows, points),
            points=points,
            stem=stem,
            command=_command(given),
        )
        write_results(results)
        write(results.file(".html"), page(results))
        _say(results)
        pages.append(results.file(".html"))
    if refused:
        raise InputError("\n".join(refused))
    return pages


def listing() -> str:
    """Return the reproductions that there are, a line each, with the folders that they ask for."""
    found = [load(name, None) for name in _names()]
    width = max((len(one.name) for one in found), default=0)
    places = [" ".join(f"--{name} {folder}" for name, folder in one.places.items()) for one in found]
    titles = [f"{one.title} ({own})" if own else one.title for one, own in zip(found, places, strict=True)]
    lines = [f"  {one.name:<{width}}  {title}" for one, title in zip(found, titles, strict=True)]
    return "\n".join(["python -m uap.reproduce NAME [--on " + "|".join(_names(ON)) + "|FILE]", "", *lines])


def load(name: str, on: str | None) -> Reproduction:
    """Read a reproduction and what it is to run on.

    Raises:
        InputError: there is no such file, or it cannot be used.
    """
    path = _found(name, "", f"There is no reproduction {name}")
    found = read_reproduction(path, Path(name).stem if path == Path(name) else name)
    if on is None:
        return found
    return placed_on(found, _found(on, ON, f"--on is {on}, but there is no file of that name"))


def parts_of(shard: str) -> tuple[int, int]:
    """Return the two numbers of a shard, such as 1/4.

    Raises:
        InputError: it is none.
    """
    numbers = [int(text) for text in shard.split("/")] if re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", shard) else []
    if not numbers or not 1 <= numbers[0] <= numbers[1]:
        raise InputError(f"--shard is {shard}, expected i/n with i from 1 to n, such as 1/4.")
    return numbers[0], numbers[1]


def with_options(found: list[Reproduction], further: list[str]) -> tuple[list[Reproduction], list[str]]:
    """Return reproductions with their own options as they are given, and the arguments that are left.

    Their options are the folders that their settings name, such as `--camvid`, and the arguments of their commands,
    such as `--attack.images`.

    Raises:
        InputError: what is left does not begin with an option.
    """
    options = argparse.ArgumentParser(prog="python -m uap.reproduce", allow_abbrev=False, add_help=False)
    defaults: dict[str, Any] = {}
    for one in found:
        arguments = {f"{f.command}.{name}": value for f in one.families for name, value in f.arguments.items()}
        defaults |= one.places | arguments
    for name, default in defaults.items():
        options.add_argument(f"--{name}", dest=name, type=type(default), default=default)
    known, left = options.parse_known_args(further)
    if left and not left[0].startswith("-"):
        raise InputError(f"{left[0]} is one name too many. Give one reproduction, or one folder of them, at a time.")
    return [_given(one, vars(known)) for one in found], left


def _given(found: Reproduction, given: dict[str, Any]) -> Reproduction:
    families = [
        replace(f, arguments={name: given[f"{f.command}.{name}"] for name in f.arguments}) for f in found.families
    ]
    return replace(found, places={name: given[name] for name in found.places}, families=families)


def _all(name: str) -> list[str]:
    """Return the reproductions of a folder, or the one of that name."""
    return [known for known in _names() if known.startswith(f"{name.rstrip('/')}/")] or [name]


def _command(given: list[str]) -> str:
    """Return the command as it makes the whole: a part of the points makes no table."""
    text = re.sub(r" --shard[= ]\S+", "", f" {shlex.join(given)}")
    return f"python -m uap.reproduce{text}"


def _found(name: str, folder: str, complaint: str) -> Path:
    """Return a file of the user's own, or a shipped one by its name."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise InputError(f"{complaint}. Check the path, which starts in {os.getcwd()}.")
        return Path(name)
    if name not in _names(folder):
        raise InputError(f"{complaint}. There are: {', '.join(_names(folder))}; or give a YAML file.")
    return _shipped((Path(folder) / name).as_posix())


def _names(folder: str = "") -> list[str]:
    """Return the names of the shipped files in a folder, without the ending."""
    root = paths.shipped(FOLDER) / folder
    names = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))
    return [name for name in names if folder or not name.startswith(f"{ON}/")]


def _shipped(name: str) -> Path:
    return paths.shipped(FOLDER) / f"{name}.yaml"


def _stem(out: Path, name: str, on: str | None) -> Path:
    last = Path(name).name
    return out / name / (f"{last}-{Path(on).stem}" if on else last)


def _say(results: Results) -> None:
    print(f"\n{results.title}\n\n{table_markdown(results.table)}")
    print(textwrap.fill(ground(results.found, results.rows), 120))
    if results.missing:
        print(textwrap.fill(missing_points(results), 120))
    endings = [ending for ending in (".html", ".md", ".csv", ".png") if results.file(ending).exists()]
    lines = [f"{ending[1:]:<8}{results.file(ending)}" for ending in endings]
    print("\n" + "\n".join([*lines, f"{'points':<8}{results.points}"]))


if __name__ == "__main__":
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]  # Lightning's command line warns of arguments beside a point's
    run_command(lambda: main(arguments))
