"""The plots of detectors: ROC curves, and maps of self-entropy."""

import textwrap

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uap.data import SegmentationData
from uap.detectors import self_entropy
from uap.evaluation.detector_scores import AttackedImages, Detection
from uap.evaluation.evaluate import Scored
from uap.metrics.roc import auc, roc_curve
from uap.reporting.detector_tables import rows_of

COLUMNS = 3

TITLE = 45
"""Characters in a line of a title of a map."""

ROC_TITLE = 38
"""Characters in a line of a title of a ROC plot."""


def roc_figure(detections: list[Detection]) -> Figure:
    """Return the plot: a panel for each network and attack, a curve for each detector."""
    rows = rows_of(detections)
    titles = list(dict.fromkeys(one.detector for one in detections))
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * lines + 0.8), dpi=130, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axis, ((network, attack), row) in zip(axes.flat, rows.items(), strict=False):
        for one in row:
            false, found = roc_curve(one.benign, one.attacked)
            color = f"C{titles.index(one.detector) % 10}"
            axis.plot(100 * false, 100 * found, color=color, label=one.detector, alpha=0.8)
        axis.plot([0, 100], [0, 100], color="grey", linestyle=":", linewidth=1)
        axis.set_title("\n".join([network, *textwrap.wrap(attack, ROC_TITLE)]), fontsize=9)
    for unused in axes.flat[len(rows) :]:
        unused.set_visible(False)
    for axis in axes.flat[: len(rows)][-columns:]:  # the lowest of each column
        axis.set_xlabel("false positives in %")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("detected in %")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def alternative_text(detections: list[Detection]) -> str:
    """Return the plot in words, for who cannot see it."""
    parts = [
        f"{network}, {attack}: "
        + ", ".join(f"{one.detector} {100 * auc(one.benign, one.attacked):.1f} %" for one in row)
        for (network, attack), row in rows_of(detections).items()
    ]
    return "Area under the ROC curve. " + "; ".join(parts)


def entropy_figure(rows: list[AttackedImages], image: Tensor, form: Scored) -> Figure:
    """Return the predictions and the self-entropy of a clean image `(3, H, W)` and of its attacked versions.

    Raises:
        InputError: a patch does not fit into the image.
    """
    first = rows[0].network
    shown = [(f"{first.name}, clean", first, image)]
    shown += [(row.title, row.network, row.adversarial(image[None], form)[0]) for row in rows]
    maps = [self_entropy(network.victim, picture) for _, network, picture in shown]
    top = max(0.1, *(float(one.max()) for one in maps))
    figure = Figure(figsize=(9.0, 2.6 * len(shown)), dpi=110, layout="constrained")
    axes = figure.subplots(len(shown), 2, squeeze=False)
    for (left, right), (title, network, picture), entropy in zip(axes, shown, maps, strict=True):
        prediction = network.victim.predict(picture[None])[0].cpu().numpy()
        left.imshow(network.victim.table.paint(prediction), interpolation="nearest")
        left.set_title(textwrap.fill(f"{title}: prediction", TITLE), fontsize=8)
        drawn = right.imshow(np.asarray(entropy.cpu()), vmin=0, vmax=top, cmap="magma")
    for axis in axes.flat:
        axis.set_axis_off()
    bar = figure.colorbar(drawn, ax=axes[:, 1].tolist(), shrink=0.6)
    bar.set_label("self-entropy of 50 patches in nats", fontsize=8)  # tall images have no room for titles
    return figure


def first_image(data: SegmentationData) -> Tensor:
    """Return the first scored image `(3, H, W)` float32 of data that are set up."""
    return torch.as_tensor(data.datasets["scored"][0]["image"]).float()
