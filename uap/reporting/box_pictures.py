"""Pictures of detections before and after an attack."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from uap.utils.class_tables import LabelTable
from uap.utils.detections import Detections
from uap.utils.plots import amplified

SHOWN_SCORE = 0.4
"""The smallest score of the boxes in pictures."""


def box_figure(
    image: Tensor, adversarial: Tensor, before: Detections, after: Detections, table: LabelTable, amplify: float = 10.0
) -> Figure:
    """Plot the boxes on an image, the perturbation, and the boxes on the adversarial image.

    Args:
        image: `(1, 3, H, W)`, 0 to 255.
        adversarial: `(1, 3, H, W)`.
        before: detections on the image; those above `SHOWN_SCORE` are plotted.
        after: detections on the adversarial image.
        table: names and colors of the classes.
        amplify: factor of the perturbation in its picture.
    """
    height, width = image.shape[-2:]
    figure = Figure(figsize=(15, 5 * height / width + 0.4), dpi=110, layout="constrained")
    axes = figure.subplots(1, 3)
    change = (adversarial - image)[0].permute(1, 2, 0).cpu().numpy()
    for axis, title, pixels, found in (
        (axes[0], "detections", image, before),
        (axes[1], f"perturbation, amplified x{amplify:g}", None, None),
        (axes[2], "detections on the adversarial image", adversarial, after),
    ):
        shown = amplified(change, amplify) if pixels is None else _pixels(pixels)
        axis.imshow(shown, interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
        for box, name, score in zip(*(found.boxes, found.classes, found.scores), strict=True) if found else ():
            if score > SHOWN_SCORE:
                left, top, right, bottom = box.tolist()
                color = np.array(table.colors[int(name)]) / 255
                axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color))
                text = f"{table.names[int(name)]} {score:.2f}"
                label = {"facecolor": color, "pad": 0.5, "linewidth": 0}
                axis.text(left, top, text, fontsize=5, color="white", bbox=label, clip_on=True)
    return figure


def _pixels(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return image[0].clamp(0, 255).round().byte().permute(1, 2, 0).cpu().numpy()
