"""The HTML page on one or several runs: the values of `templates/report.html`."""

from uap import __version__
from uap.reporting.curves import curves, distributions
from uap.reporting.document import document
from uap.reporting.facts import card, facts, settings_that_differ
from uap.reporting.labels import labels
from uap.reporting.pictures import gallery, legend, perturbations
from uap.reporting.run import Run
from uap.reporting.tables import by_class, by_size, per_image


def page(runs: list[Run], shown: list[str]) -> str:
    """Return the HTML page on some runs; `shown` are digests that identify them."""
    return document(
        "report.html",
        title=runs[0].name if len(runs) == 1 else f"{len(runs)} runs side by side",
        made=f"Made by python -m uap.report (uap {__version__}). Photographs are compressed again for this page.",
        shown=shown,
        labels=labels(runs),
        cards=[card(run) for run in runs],
        gallery=gallery(runs),
        legend=legend(runs),
        curves=curves(runs),
        facts=facts(runs),
        distributions=distributions(runs),
        by_class=by_class(runs),
        by_size=by_size(runs),
        per_image=per_image(runs),
        perturbations=perturbations(runs),
        differences=settings_that_differ(runs),
        configurations={run.name: run.config_text for run in runs if run.config_text},
    )
