"""Victims from torchvision: FCN, DeepLabV3 and LR-ASPP."""

from typing import Any

from uap.networks.download import download
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.class_table import Classes, table_of
from uap.victims.victim import Victim


class Torchvision(Victim):
    """A victim from torchvision.models.segmentation, without its auxiliary head.

    The preprocessing of torchvision resizes the shorter side of images to 520 pixels. This adapter does not resize
    images: choose a similar `--data.size`, or set `input_size`.
    """

    def __init__(
        self,
        name: str = "deeplabv3_resnet50",
        weights: str | None = "COCO_WITH_VOC_LABELS_V1",
        classes: Classes | None = None,
        **settings: Any,
    ) -> None:
        """Build the network and load its weights.

        Args:
            name: name of a segmentation network in torchvision.models.list_models.
            weights: name of published weights, which are downloaded once, or a `.safetensors` or `.pth` file; None for
                random weights.
            classes: name of a class table, or class names of the outputs (`void` for an output without a class); by
                default the classes of the published weights.
            settings: settings of `Victim`. Mean and std are those of the published weights, also for a file.

        Raises:
            InputError: the network or the weights do not exist, or `classes` is not set for weights in a file.
        """
        from torchvision import models  # takes a second to import

        if name not in models.list_models(models.segmentation):
            raise InputError(
                f"There is no segmentation network {name} in torchvision. Choose one of "
                f"{', '.join(models.list_models(models.segmentation))}.",
                kind="unknown_name",
            )
        kinds = models.get_model_weights(name)
        published = kinds.__members__.get(weights or "")
        if not published and weights is not None and not paths.find(weights).is_file():
            raise InputError(
                f"There are no weights {weights} for {name}. Give a file, or one of the published weights "
                f"{', '.join(kinds.__members__)}.",
                setting="model.victim.weights",
                kind="unknown_name",
            )
        if classes is None and not published:
            raise InputError(
                f"victim.classes is not set. Set it if the weights of {name} are not those of torchvision.",
                setting="model.victim.classes",
                kind="missing_setting",
            )
        categories = [category.strip("_") for category in published.meta["categories"]] if published else []
        classes = classes or categories
        outputs = len(categories) or len(table_of(classes))
        network = models.get_model(name, weights=None, weights_backbone=None, num_classes=outputs)
        network.unused_weights = ("aux_classifier.",)
        if published:
            state = {n: v for n, v in download(published).items() if not n.startswith("aux_classifier.")}
            network.load_state_dict(state)
        preset = (published or kinds["DEFAULT"]).transforms()
        super().__init__(
            network,
            weights=None if published else weights,
            classes=classes,
            channel_order="rgb",
            mean=tuple(255 * value for value in preset.mean),
            std=tuple(255 * value for value in preset.std),
            **settings,
        )
