"""Metrics: counts of locations, intersection over union, perceptibility, and the table that names them."""

from uap.metrics.counts import (
    SIZE_BOUNDS,
    SIZES,
    ClassIoU,
    CountTable,
    PixelRate,
    class_counts,
    confusion_counts,
    distribution,
    hidden_counts,
    iou_per_class,
    left_classes,
    preserved_counts,
    size_counts,
    success_counts,
)

__all__ = [
    "SIZES",
    "SIZE_BOUNDS",
    "ClassIoU",
    "CountTable",
    "PixelRate",
    "class_counts",
    "confusion_counts",
    "distribution",
    "hidden_counts",
    "iou_per_class",
    "left_classes",
    "preserved_counts",
    "size_counts",
    "success_counts",
]
