"""The files of a reproduction: the table as Markdown and CSV, the plots, and the HTML page."""

import os
from dataclasses import dataclass
from pathlib import Path

from uap.reproduction import curves
from uap.reproduction.measurements import results_file
from uap.reproduction.reproduction import Paper, Reproduction, name_of
from uap.reproduction.running import is_done, versions_of
from uap.reproduction.table import Table, pivoted, table_csv, table_markdown
from uap.reproduction.trials import Row, Trial, unique
from uap.utils.text_tables import digest, read_json, write


@dataclass(frozen=True)
class Results:
    """Everything that the files of a reproduction show.

    Attributes:
        reproduction: the reproduction.
        rows: its trials with their names.
        table: the metrics of the trials that are done.
        trials: the folder that has the folders of the trials.
        stem: the path of the files, without their suffixes.
        command: the command line.
    """

    reproduction: Reproduction
    rows: list[Row]
    table: Table
    trials: Path
    stem: Path
    command: str

    def file(self, ending: str) -> Path:
        """Return the path of one of the files."""
        return self.stem.with_name(self.stem.name + ending)

    def perturbation_file(self, number: int) -> Path:
        """Return the path of the picture of perturbation `number` of `shown`, counted from 1."""
        return self.file(f"-perturbation{number if len(self.shown) > 1 else ''}.png")

    @property
    def title(self) -> str:
        """The title, with the data, and the network of learned perturbations, if they are not the paper's."""
        title, on = self.reproduction.title, self.reproduction.on
        if on is None:
            return title
        is_learned = any(row.trial.config for row in self.rows)
        return f"{title}, on {on.title}" + (f" with {on.network}" if is_learned and on.network else "")

    @property
    def pivoted(self) -> Table:
        """The table with the values of an axis as columns, if the reproduction names such an axis."""
        return pivoted(self.table, self.reproduction.columns)

    @property
    def shows(self) -> str:
        """The result that the table or figure demonstrates."""
        text = " ".join(self.reproduction.shows.split())
        return f"In the paper: {text}" if self.reproduction.paper else text

    @property
    def missing(self) -> list[Trial]:
        """The trials that are not done."""
        return [trial for trial in unique(row.trial for row in self.rows) if not is_done(self.trials / trial.folder)]

    @property
    def made(self) -> str:
        """The command and the versions of the programs that ran the trials."""
        folders = [self.trials / trial.folder for trial in unique(row.trial for row in self.rows)]
        programs = dict.fromkeys(versions_of(folder) for folder in folders if is_done(folder))
        return f"Made by `{self.command}`" + (f" with {'; '.join(programs)}." if programs else ".")

    @property
    def shown(self) -> dict[str, Path]:
        """The run folders whose pictures are shown, by title: those of the `fit` trials that are done."""
        if not (self.reproduction.examples or self.reproduction.perturbations):
            return {}
        trials = unique(row.trial for row in self.rows)
        learned = [trial for trial in trials if trial.command == "fit" and trial.config]
        folders = {trial.title: self.trials / trial.folder for trial in learned}
        return {title: folder for title, folder in folders.items() if is_done(folder)}


def identity(rows: list[Row]) -> str:
    """Return a digest of everything that determines the table."""
    return digest([row.trial.folder for row in rows])


def write_results(results: Results) -> None:
    """Write the table as Markdown and CSV, and the plots.

    Raises:
        InputError: a file cannot be written.
    """
    write(results.file(".csv"), table_csv(results.table))
    if results.reproduction.curves:
        panels = results.reproduction.panels
        curves.plot(results.table, results.reproduction.curves, results.file(".png"), panels)
    write(results.file(".md"), document(results))


def document(results: Results) -> str:
    """Return the Markdown file."""
    reproduction = results.reproduction
    parts = [
        f"# {results.title}",
        results.shows,
        describe_setup(results),
        table_markdown(results.pivoted).rstrip(),
    ]
    if results.missing:
        parts.append(missing_trials(results))
    if reproduction.curves and results.file(".png").exists():
        parts.append(f"![Curves over {reproduction.curves}]({results.file('.png').name})")
    parts += [_pictures(results, *shown, number) for number, shown in enumerate(results.shown.items(), start=1)]
    parts.append(results.made)
    return "\n\n".join(part for part in parts if part) + "\n"


def describe_setup(results: Results) -> str:
    """Describe the networks, data, images and passes of the trials, and how they differ from the paper's."""
    reproduction = results.reproduction
    trials = [row.trial.source or row.trial for row in results.rows]
    learned = [trial for trial in trials if trial.command == "fit"] or [trial for trial in trials if trial.config]
    ours, differing = _of_configurations(learned, reproduction.paper) if learned else (_of_files(results), [])
    text = f"Shares are in per cent. Ours: {ours}"
    paper = reproduction.paper
    if paper is None:
        return f"{text}."
    text += f". The paper's ({paper.source}): " + ", ".join(
        [f"{paper.network} on {paper.data}", *([name_of(paper.size)] if paper.size else [])]
    )
    text += f"; {paper.images:,} images" if paper.images else ""  # 0: the paper does not say
    text += f", {paper.steps} passes" if paper.steps is not None else ""
    if not differing:
        return f"{text}."
    listed = " and ".join(part for part in (", ".join(differing[:-1]), differing[-1]) if part)
    return f"{text}: {listed}, so the numbers need not agree."


def _of_configurations(trials: list[Trial], paper: Paper | None) -> tuple[str, list[str]]:
    """Return the setup of configured trials as text, and in what it differs from the paper's."""
    ours = list(dict.fromkeys(_setup(trial) for trial in trials))
    images, passes = [trial.images for trial in trials], [trial.setting("trainer.max_epochs") for trial in trials]
    text = "; ".join(f"{network} on {data}, {size}" for network, data, size in ours)
    text += f"; {_span(images)} images, {_span(passes)} passes"
    if paper is None:
        return text, []
    reported = (paper.network, paper.data, name_of(paper.size))
    names = ("another network", "other data", "another size of the images")
    differing = [name for i, name in enumerate(names) if any(own[i] != reported[i] for own in ours)]
    differing += ["fewer images"] if any(count is not None and count < paper.images for count in images) else []
    differing += ["another number of steps"] if any(count != paper.steps for count in passes) else []
    return text, differing


FACTS = {"data": "", "images": " images", "size": " pixels"}
"""Keys of facts in a file of results, and the text after their values."""


def _of_files(results: Results) -> str:
    """Return the setup of the trials that are done as text: the facts in their files of results."""
    found: dict[str, None] = {}
    for trial in unique(row.trial for row in results.rows):
        folder = results.trials / trial.folder
        content = read_json(results_file(trial, folder)) if is_done(folder) else {}
        facts = [f"{content[key]}{unit}" for key, unit in FACTS.items() if isinstance(content.get(key), str)]
        found |= {", ".join(facts): None} if facts else {}
    commands = dict.fromkeys(f"uap {row.trial.command}" for row in results.rows)
    return "; ".join([*found, f"by {', '.join(commands)}"])


def _span(counts: list[int | None]) -> str:
    """Return the range of counts as text, such as "5 to 20", "60" or "all"; None stands for all."""
    known = sorted({count for count in counts if count is not None})
    ends = [f"{count:,}" for count in known[:1] + known[1:][-1:]] + (["all"] if None in counts else [])
    return " to ".join([ends[0], ends[-1]][: len(ends)])


def missing_trials(results: Results) -> str:
    """Return a sentence that lists the trials that are not done."""
    count, total = len(results.missing), len(unique(row.trial for row in results.rows))
    names = "; ".join(trial.title for trial in results.missing)
    return f"{count} of {total} trials are missing: {names}. The same command without `--shard` runs them."


def _setup(trial: Trial) -> tuple[str, str, str]:
    return trial.network, trial.data, name_of(trial.setting("data.init_args.size"))


def _pictures(results: Results, title: str, folder: Path, number: int) -> str:
    """Return Markdown that shows the pictures of a trial."""
    paths: list[Path] = []
    if results.reproduction.perturbations:
        paths += [results.perturbation_file(number), folder / "pictures" / "perturbation.png"]
    names = sorted(path.name for path in (folder / "pictures" / "panels").glob("*"))
    paths += [folder / "pictures" / f"{name}.png" for name in names[: results.reproduction.examples]]
    here = results.stem.parent
    return "\n\n".join(f"![{title}: {path.stem}]({Path(os.path.relpath(path, here)).as_posix()})" for path in paths)
