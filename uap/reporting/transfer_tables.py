"""The matrices of transfer: rows are attacks, columns are the networks that they are evaluated on."""

from typing import Any

from uap.evaluation.perturbation_scores import TITLES
from uap.evaluation.summed import SumRow
from uap.metrics.names import METRICS
from uap.reporting.numbers import NOTHING, percent
from uap.reporting.robustness_tables import FORMS
from uap.utils.text_tables import csv_text, markdown

Cell = dict[str, Any]
"""A cell of `transfer.json`."""

SHOWN = ("iou_ratio", "normalized_miou", "success_rate", "success_before", "kept")
"""The metrics of image-dependent attacks that have matrices; files have all of them."""


def facts(title: str, rows: dict[str, dict[str, str]]) -> str:
    """Return a Markdown table of the facts on each row."""
    header = [title, *next(iter(rows.values()))]
    return markdown(header, [[name, *of.values()] for name, of in rows.items()])


def of_perturbations(cells: list[Cell]) -> str:
    """Return a Markdown table, in per cent, for each metric that any cell has.

    Rows of random signs are left out of the metrics of clean images, which do not depend on the perturbation.
    """
    columns = list(dict.fromkeys(cell["evaluated_on"] for cell in cells))
    texts = []
    for metric, title in TITLES.items():
        rows: dict[str, list[str]] = {}
        for cell in cells:
            if not (cell["control"] and METRICS[metric].of_clean_images):
                rows.setdefault(cell["perturbation"], []).append(percent(cell["metrics"].get(metric)))
        table = [[row, *shares] for row, shares in rows.items() if set(shares) != {NOTHING}]
        if table:
            texts.append(f"## {title}\n\n{markdown(['perturbation', *columns], table)}")
    noted = [cell for cell in cells if cell["note"] and not cell["control"]]
    notes = [f"* {cell['perturbation']} on {cell['evaluated_on']}: {cell['note']}.\n" for cell in noted]
    return "\n".join([*texts, *(["".join(notes)] if notes else [])])


def of_attacks(cells: list[Cell]) -> str:
    """Return a Markdown table for each metric of `SHOWN`, form of the images, attack, epsilon and number of steps."""
    columns = list(dict.fromkeys(cell["network"] for cell in cells))
    texts = []
    groups: dict[tuple[str, float | None, int | None], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell["attack"], cell["epsilon"], cell["steps"]), []).append(cell)
    for (attack, epsilon, steps), own in groups.items():
        for metric in SHOWN:
            for form, images in FORMS.items():
                rows: dict[str, list[str]] = {}
                for cell in own:
                    value = cell["metrics"][form].get(metric)
                    text = NOTHING if value is None else METRICS[metric].text(value)
                    rows.setdefault(cell["made_from"], []).append(text)
                if {text for row in rows.values() for text in row} != {NOTHING}:
                    bound = "" if epsilon is None else f", epsilon {epsilon:g}"
                    bound += "" if steps is None else f", {steps} steps"
                    table = markdown(["made from", *columns], [[name, *row] for name, row in rows.items()])
                    texts.append(f"## {METRICS[metric].title}, {attack}{bound}, {images}\n\n{table}")
    return "\n".join(texts)


def of_sums(rows: dict[str, SumRow], kinds: dict[str, str]) -> str:
    """Return a Markdown table of scores and perceptibility by row; `kinds` has the metric of each column."""
    titles = {"miou_adversarial": "mIoU", "map_adversarial": "mAP"}
    header = ["perturbation of", *(f"{column}, {titles[kind]}" for column, kind in kinds.items()), "p"]
    visible = METRICS["perceptibility"].text
    texts = [
        [name, *(percent(row.scores[column]) for column in kinds), visible(row.perceptibility)]
        for name, row in rows.items()
    ]
    return markdown(header, texts)


def csv_of_attacks(cells: list[Cell]) -> str:
    """Return a CSV with a row for each cell, form of the images and metric."""
    header = ["network", "made_from", "attack", "epsilon", "steps", "scored", "metric", "value"]
    rows = [
        [*(cell[key] for key in header[:5]), form, metric, value]
        for cell in cells
        for form, metrics in cell["metrics"].items()
        for metric, value in metrics.items()
    ]
    return csv_text(header, rows)
