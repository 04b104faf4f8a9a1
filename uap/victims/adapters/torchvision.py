"""Torchvision's segmentation networks: FCN, DeepLabV3 and LR-ASPP."""

from typing import Any

from uap.networks.download import download
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.victim import Classes, Victim, table_of


class Torchvision(Victim):
    """A network of torchvision.models.segmentation, without its auxiliary head.

    Torchvision's own preprocessing resizes images to a shorter side of 520; here they go in at their own size: choose
    `--data.size` near that for its weights, or set `input_size`.
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
            name: as in torchvision.models.list_models.
            weights: the name of published weights, downloaded once, or a `.safetensors` or `.pth` file; null for none.
            classes: a class table by name, or the names of the outputs (`void` for one that is no class); those of the
                published weights by default.
            settings: as of Victim. Mean and std are those of the published weights, for files too.

        Raises:
            InputError: there is no such network or weights, or no classes for a file's.
        """
        from torchvision import models  # takes a second to import

        if name not in models.list_models(models.segmentation):
            raise InputError(
                f"There is no segmentation network {name} in torchvision: there are "
                f"{', '.join(models.list_models(models.segmentation))}. Choose from these."
            )
        kinds = models.get_model_weights(name)
        published = kinds.__members__.get(weights or "")
        if not published and weights is not None and not paths.find(weights).is_file():
            raise InputError(
                f"There are no weights {weights} for {name}: no such file, and torchvision publishes "
                f"{', '.join(kinds.__members__)}."
            )
        if classes is None and not published:
            raise InputError(f"victim.classes is not set; {name} needs it without torchvision's own weights.")
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
