"""Matplotlib plots of images, predictions and perturbations, as in the figures of Metzen et al. (ICCV 2017)."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from uap.utils.class_tables import LabelTable

Picture = NDArray[np.uint8]
Mask = NDArray[np.uint8]


def amplified(perturbation: NDArray[np.float32], factor: float) -> Picture:
    """Return an RGB picture of a perturbation `(H, W, 3)` in grey levels: 128 plus `factor` times the perturbation."""
    picture: Picture = np.clip(128 + factor * perturbation, 0, 255).round().astype(np.uint8)
    return picture


def panels(pictures: dict[str, Picture], columns: int, legend: LabelTable, classes: NDArray[np.integer]) -> Figure:
    """Plot titled pictures in a grid, with a legend of classes below.

    Args:
        pictures: RGB pictures `(H, W, 3)` by title, row by row.
        columns: number of columns of the grid.
        legend: names and colors of all classes.
        classes: class ids in the legend.
    """
    height, width = next(iter(pictures.values())).shape[:2]
    rows = -(-len(pictures) // columns)
    cell = 4.0
    figure = Figure(figsize=(cell * columns, rows * (cell * height / width + 0.3) + 0.6), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title, fontsize=10)
    for axis in axes.flat:
        axis.set_axis_off()
    colors = np.array(legend.colors) / 255
    patches = [Patch(facecolor=colors[c], edgecolor="grey", label=legend.names[c]) for c in classes if c < len(legend)]
    figure.legend(handles=patches, loc="outside lower center", ncols=max(1, 3 * columns), fontsize=8, frameon=False)
    return figure


def attack_figure(
    image: Picture,
    clean: Mask,
    perturbation: NDArray[np.float32],
    target: Mask,
    adversarial_image: Picture,
    adversarial: Mask,
    table: LabelTable,
    amplify: float,
    target_title: str = "target",
) -> Figure:
    """Plot one image as in figures 3 and 5 of Metzen et al.; pictures are `(H, W, 3)`, masks are class ids `(H, W)`."""
    return panels(
        {
            "image": image,
            "prediction": table.paint(clean),
            f"perturbation, amplified x{amplify:g}": amplified(perturbation, amplify),
            target_title: table.paint(target),
            "adversarial image": adversarial_image,
            "prediction on the adversarial image": table.paint(adversarial),
        },
        columns=2,
        legend=table,
        classes=np.unique(np.concatenate([clean, target, adversarial])),
    )


def prediction_figure(
    clean: Mask,
    perturbation: NDArray[np.float32],
    target: Mask,
    adversarial: Mask,
    table: LabelTable,
    amplify: float,
    target_title: str = "target",
) -> Figure:
    """Plot `attack_figure` without the images, for data sets whose images may not be published."""
    return panels(
        {
            "prediction": table.paint(clean),
            "prediction on the adversarial image": table.paint(adversarial),
            target_title: table.paint(target),
            f"perturbation, amplified x{amplify:g}": amplified(perturbation, amplify),
        },
        columns=2,
        legend=table,
        classes=np.unique(np.concatenate([clean, target, adversarial])),
    )


def perturbation_figure(
    perturbation: NDArray[np.float32], prediction: Mask, table: LabelTable, amplify: float
) -> Figure:
    """Plot a perturbation and the prediction of the network on the perturbation alone (Metzen et al., figure 4)."""
    return panels(
        {
            f"perturbation, amplified x{amplify:g}": amplified(perturbation, amplify),
            "prediction on the perturbation alone": table.paint(prediction),
        },
        columns=2,
        legend=table,
        classes=np.unique(prediction),
    )
