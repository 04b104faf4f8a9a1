"""The HTML page of a reproduction: the values of `templates/reproduction.html`, pictures and curves embedded."""

from dataclasses import replace

from PIL import Image

from uap.reporting import tables
from uap.reporting.document import document
from uap.reporting.pictures import Captioned, gallery, legend, perturbations, picture
from uap.reporting.run import Run, read_runs
from uap.reporting.tables import Cell
from uap.reproduction.results import Results, describe_setup, identity, missing_trials
from uap.reproduction.running import CONFIG
from uap.reproduction.table import Table, columns, values
from uap.reproduction.trials import unique
from uap.universal.perturbation import tile
from uap.universal.perturbation_files import learned_size, load_perturbation
from uap.utils.plots import amplified


def page(results: Results) -> str:
    """Return the HTML page."""
    reproduction, runs = results.reproduction, _runs(results)
    curves = results.file(".png")
    with_examples = runs if reproduction.examples else []
    with_perturbations = runs if reproduction.perturbations else []
    return document(
        "reproduction.html",
        title=results.title,
        made=results.made,
        shown=[identity(results.rows)],
        source=reproduction.paper.source if reproduction.paper else "A reproduction",
        shows=results.shows,
        setup=describe_setup(results),
        table=_table(results.pivoted),
        missing=missing_trials(results) if results.missing else "",
        curves=picture(curves, "Curves", photograph=True) if reproduction.curves and curves.exists() else None,
        gallery=gallery(with_examples),
        legend=legend(with_examples),
        bare=_bare(results, with_perturbations),
        perturbations=perturbations(with_perturbations),
        configurations=_configurations(results),
    )


def _runs(results: Results) -> list[Run]:
    """Return the runs whose pictures are shown, named by their trials, with the requested number of examples."""
    runs = read_runs(list(results.shown.values())) if results.shown else []
    return [
        replace(run, name=title, examples=dict(list(run.examples.items())[: results.reproduction.examples]))
        for title, run in zip(results.shown, runs, strict=True)
    ]


def _table(table: Table) -> tables.Table:
    header, texts = columns(table)
    axes = len(table.axes)
    styles = ["paper" if title == "paper" else "" for title in header[axes:]]
    rows = []
    for row, entry in zip(texts, table.entries, strict=True):
        cells = zip(row[axes:], values(table, entry), styles, strict=True)
        rows.append((row[:axes], [Cell(text, value, style=style) for text, value, style in cells]))
    return tables.Table("Table", header[:axes], header[axes:], rows)


def _bare(results: Results, runs: list[Run]) -> list[Captioned]:
    """Write the perturbations over mid-grey, not amplified, as PNG files, and return them."""
    pictures = []
    for number, run in enumerate(runs, start=1):
        path = results.perturbation_file(number)
        perturbation, metadata = load_perturbation(run.folder / "perturbation.safetensors")
        noise = tile(perturbation.proto.detach(), learned_size(perturbation, metadata)).permute(1, 2, 0).numpy()
        Image.fromarray(amplified(noise, 1)).save(path)
        caption = f"The perturbation as it is added, over plain grey: {run.name}"
        pictures.append(Captioned(picture(path, caption, photograph=False), caption))
    return pictures


def _configurations(results: Results) -> dict[str, str]:
    """Return the configuration or the command line of each trial, by its title and folder."""
    trials = unique(row.trial for row in results.rows)
    files = {
        f"{trial.title}: {trial.folder}": results.trials / trial.folder / CONFIG for trial in trials if trial.config
    }
    lines = {f"{trial.title}: {trial.folder}": trial.command_line for trial in trials if not trial.config}
    return {title: file.read_text(encoding="utf-8") for title, file in files.items() if file.exists()} | lines
