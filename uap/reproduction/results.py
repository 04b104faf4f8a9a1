"""What a reproduction leaves behind: the table as Markdown and CSV, the curves, and the page."""

import os
from dataclasses import dataclass
from pathlib import Path

from uap.reproduction import curves
from uap.reproduction.points import Point, Row, unique
from uap.reproduction.reproduction import Reproduction, name_of
from uap.reproduction.running import is_done, versions_of
from uap.reproduction.table import Table, table_csv, table_markdown
from uap.utils.text_tables import digest, write


@dataclass(frozen=True)
class Results:
    """Everything that is to be told.

    Attributes:
        found: what was reproduced.
        rows: its points by their names.
        table: what is known of them.
        points: the folder of the points' folders.
        stem: the path of the files, without their endings.
        command: what was typed.
    """

    found: Reproduction
    rows: list[Row]
    table: Table
    points: Path
    stem: Path
    command: str

    def file(self, ending: str) -> Path:
        """Return the path of one of the files."""
        return self.stem.with_name(self.stem.name + ending)

    def perturbation_file(self, number: int) -> Path:
        """Return the path of the picture of a perturbation as it is added, the `number`-th of `shown`, from 1 on."""
        return self.file(f"-perturbation{number if len(self.shown) > 1 else ''}.png")

    @property
    def title(self) -> str:
        """What was reproduced, and on what."""
        return f"{self.found.title}, on {self.found.on}" if self.found.on else self.found.title

    @property
    def shows(self) -> str:
        """What it shows; in the paper, where there is one."""
        return f"In the paper: {self.found.shows}" if self.found.paper else self.found.shows

    @property
    def missing(self) -> list[Point]:
        """The points that have not run to their end."""
        return [point for point in unique(row.point for row in self.rows) if not is_done(self.points / point.folder)]

    @property
    def made(self) -> str:
        """How it was made: the command, and the programs that ran the points."""
        folders = [self.points / point.folder for point in unique(row.point for row in self.rows)]
        programs = dict.fromkeys(versions_of(folder) for folder in folders if is_done(folder))
        return f"Made by `{self.command}`" + (f" with {'; '.join(programs)}." if programs else ".")

    @property
    def shown(self) -> dict[str, Path]:
        """The run folders whose pictures are shown, by title: those of perturbations that were learned, if any are."""
        if not (self.found.examples or self.found.perturbations):
            return {}
        learned = [point for point in unique(row.point for row in self.rows) if point.command == "fit"]
        folders = {point.title: self.points / point.folder for point in learned}
        return {title: folder for title, folder in folders.items() if is_done(folder)}


def identity(rows: list[Row]) -> str:
    """Return the digest of everything that a table depends on."""
    return digest([row.point.folder for row in rows])


def write_results(results: Results) -> None:
    """Write Markdown, CSV and curves.

    Raises:
        InputError: a file cannot be written.
    """
    write(results.file(".csv"), table_csv(results.table))
    if results.found.curves:
        curves.draw(results.table, results.found.curves, results.file(".png"))
    write(results.file(".md"), document(results))


def document(results: Results) -> str:
    """Return the Markdown file."""
    found = results.found
    parts = [f"# {results.title}", results.shows, ground(found, results.rows), table_markdown(results.table).rstrip()]
    if results.missing:
        parts.append(missing_points(results))
    if found.curves and results.file(".png").exists():
        parts.append(f"![Curves over {found.curves}]({results.file('.png').name})")
    parts += [_pictures(results, *shown, number) for number, shown in enumerate(results.shown.items(), start=1)]
    parts.append(results.made)
    return "\n\n".join(part for part in parts if part) + "\n"


def ground(found: Reproduction, rows: list[Row]) -> str:
    """Return what was measured on which network and data, and how that differs from the paper's."""
    points = [row.point.learned or row.point for row in rows]
    learned = [point for point in points if point.command == "fit"] or points
    ours = list(dict.fromkeys(_ground(point) for point in learned))
    images, passes = [point.images for point in learned], [point.setting("trainer.max_epochs") for point in learned]
    text = "Shares are in per cent. Ours: " + "; ".join(f"{network} on {data}, {size}" for network, data, size in ours)
    text += f"; {_span(images)} images, {_span(passes)} passes"
    paper = found.paper
    if paper is None:
        return f"{text}."
    reported = (paper.network, paper.data, name_of(paper.size))
    names = ("another network", "other data", "another size of the images")
    differing = [name for i, name in enumerate(names) if any(own[i] != reported[i] for own in ours)]
    differing += ["fewer images"] if any(count is not None and count < paper.images for count in images) else []
    differing += ["another number of steps"] if any(count != paper.steps for count in passes) else []
    text += f". The paper's ({paper.source}): {reported[0]} on {reported[1]}, {reported[2]}; "
    text += f"{paper.images:,} images, {paper.steps} passes"
    if not differing:
        return f"{text}."
    listed = " and ".join(part for part in (", ".join(differing[:-1]), differing[-1]) if part)
    return f"{text}: {listed}, so the numbers need not agree."


def _span(counts: list[int | None]) -> str:
    """Return in words from what to what some counts go, of which None is all: 5 to 20; 60; all."""
    known = sorted({count for count in counts if count is not None})
    ends = [f"{count:,}" for count in known[:1] + known[1:][-1:]] + (["all"] if None in counts else [])
    return " to ".join([ends[0], ends[-1]][: len(ends)])


def missing_points(results: Results) -> str:
    """Return which points are not there yet."""
    count, total = len(results.missing), len(unique(row.point for row in results.rows))
    names = "; ".join(point.title for point in results.missing)
    return f"{count} of {total} points are missing: {names}. The same command without `--shard` runs them."


def _ground(point: Point) -> tuple[str, str, str]:
    return point.network, point.data, name_of(point.setting("data.init_args.size"))


def _pictures(results: Results, title: str, folder: Path, number: int) -> str:
    """Return the pictures of a point as Markdown."""
    paths: list[Path] = []
    if results.found.perturbations:
        paths += [results.perturbation_file(number), folder / "pictures" / "perturbation.png"]
    names = sorted(path.name for path in (folder / "pictures" / "panels").glob("*"))
    paths += [folder / "pictures" / f"{name}.png" for name in names[: results.found.examples]]
    here = results.stem.parent
    return "\n\n".join(f"![{title}: {path.stem}]({Path(os.path.relpath(path, here)).as_posix()})" for path in paths)
