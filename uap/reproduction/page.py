"""The self-contained HTML page of a reproduction: table with the paper's values, curves, pictures, configurations."""

from dataclasses import replace
from pathlib import Path

from PIL import Image

from uap.reporting.markup import Markup, tag
from uap.reporting.page import document
from uap.reporting.pictures import gallery, legend, perturbations, picture
from uap.reporting.run import Run, read_runs
from uap.reporting.tables import box
from uap.reproduction.results import Results, describe_setup, identity, missing_trials
from uap.reproduction.running import CONFIG
from uap.reproduction.table import Table, columns, values
from uap.reproduction.trials import unique
from uap.universal.perturbation import learned_size, load_perturbation, tile
from uap.utils.plots import amplified

STYLE = ".sortable td.paper { color: var(--muted) }"


def page(results: Results) -> str:
    """Return the HTML page; pictures and curves are embedded."""
    source = results.reproduction.paper.source if results.reproduction.paper else "A reproduction"
    header = tag("header", tag("p", source, class_="eyebrow"), tag("h1", results.title), tag("p", results.shows))
    return document(results.title, header, _sections(results), results.made, [identity(results.rows)], STYLE)


def _sections(results: Results) -> list[Markup]:
    runs = _runs(results)
    curves = results.file(".png")
    parts: dict[str, list[Markup | None]] = {
        "Table": [
            tag("p", describe_setup(results.reproduction, results.rows), class_="note"),
            _table(results.table),
            tag("p", missing_trials(results)) if results.missing else None,
        ],
        "Curves": [_plot(curves, "Curves")] if results.reproduction.curves and curves.exists() else [],
        "Pictures": [gallery(runs), legend(runs)] if results.reproduction.examples and runs else [],
        "Perturbation": [_bare(results, runs), perturbations(runs)]
        if results.reproduction.perturbations and runs
        else [],
        "Configurations": [_configurations(results)],
    }
    return [tag("section", tag("h2", title), *content) for title, content in parts.items() if any(content)]


def _runs(results: Results) -> list[Run]:
    """Return the runs whose pictures are shown, named by their trials, with the requested number of examples."""
    runs = read_runs(list(results.shown.values())) if results.shown else []
    return [
        replace(run, name=title, examples=dict(list(run.examples.items())[: results.reproduction.examples]))
        for title, run in zip(results.shown, runs, strict=True)
    ]


def _table(table: Table) -> Markup:
    header, rows = columns(table)
    axes = len(table.axes)
    heads = [
        tag("th", tag("button", text, type="button"), scope="col", class_="number" if i >= axes else None)
        for i, text in enumerate(header)
    ]
    styles = ["number paper" if text == "paper" else "number" for text in header]
    body = [
        tag(
            "tr",
            *(tag("th", cell, scope="row") for cell in row[:axes]),
            *(
                tag("td", cell, class_=style, data_value=value)
                for cell, style, value in zip(row[axes:], styles[axes:], values(table, entry), strict=True)
            ),
        )
        for row, entry in zip(rows, table.entries, strict=True)
    ]
    return box(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body), class_="sortable"), "Table")


def _plot(path: Path, alt: str) -> Markup:
    return tag("div", tag("figure", picture(path, alt, photograph=True), class_="paper"), class_="plots")


def _bare(results: Results, runs: list[Run]) -> Markup:
    """Write the perturbations over mid-grey, not amplified, as PNG files, and return them as figures of the page."""
    pictures = []
    for number, run in enumerate(runs, start=1):
        path = results.perturbation_file(number)
        perturbation, metadata = load_perturbation(run.folder / "perturbation.safetensors")
        noise = tile(perturbation.proto.detach(), learned_size(perturbation, metadata)).permute(1, 2, 0).numpy()
        Image.fromarray(amplified(noise, 1)).save(path)
        caption = f"The perturbation as it is added, over plain grey: {run.name}"
        pictures.append(tag("figure", picture(path, caption, photograph=False), tag("figcaption", caption)))
    return tag("div", *pictures, class_="plots")


def _configurations(results: Results) -> Markup:
    folded = []
    for trial in unique(row.trial for row in results.rows):
        config = results.trials / trial.folder / CONFIG
        if config.exists():
            title = f"{trial.title}: {trial.folder}"
            folded.append(tag("details", tag("summary", title), tag("pre", config.read_text(encoding="utf-8"))))
    return tag("div", *folded)
