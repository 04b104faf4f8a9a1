"""The HTML page of detectors: the values of `templates/detect.html`."""

from pathlib import Path

from uap import __version__
from uap.detectors import DETECTORS
from uap.evaluation.detector_scores import Detection
from uap.reporting.detector_plot import alternative_text
from uap.reporting.detector_tables import tables
from uap.reporting.document import document
from uap.reporting.pictures import embedded
from uap.utils.text_tables import digest

DEFINITIONS = {name: row.definition for name, row in DETECTORS.items()} | {
    "KnownPattern": "minus the largest correlation of the residuals of the image and of a known perturbation, over all "
    "shifts"
}
"""The definitions of all detectors by name; one that knows a perturbation cannot be in the table of names."""


def page(
    detections: list[Detection], roc: Path, entropy: Path | None, facts: dict[str, str], attacks: dict[str, str]
) -> str:
    """Return the page.

    Args:
        detections: the detectors against the attacks.
        roc: the PNG of the ROC curves.
        entropy: the PNG of self-entropy maps; None without one.
        facts: the data, by title.
        attacks: definitions of attacks and perturbations by name.
    """
    networks = list(dict.fromkeys(one.images.network.name for one in detections))
    used = {one.detector.partition(":")[0] for one in detections}
    return document(
        "detect.html",
        title=f"Detectors on {'; '.join(networks)}",
        made=f"Made by uap detect (uap {__version__}).",
        shown=[digest([one.cell for one in detections])],
        roc=embedded(roc, alternative_text(detections)),
        entropy=None
        if entropy is None
        else embedded(entropy, "Predictions and self-entropy of clean and attacked images"),
        metrics=tables(detections),
        detectors={name: {"definition": text} for name, text in DEFINITIONS.items() if name in used},
        attacks={name: {"definition": text} for name, text in attacks.items()},
        data={facts["data"]: {title: text for title, text in facts.items() if title != "data"}},
    )
