"""Training of a detection network on exact boxes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


def train(
    network: nn.Module,
    images: Dataset[dict[str, Tensor]],
    *,
    epochs: int,
    batch_size: int = 4,
    learning_rate: float = 2e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
) -> Iterator[dict[str, float]]:
    """Train a detection network of torchvision with AdamW, and yield its mean losses after each epoch.

    Each image is mirrored with probability 0.5. The learning rate rises over the first 100 steps and falls to 0 by half
    a cosine. Gradients are clipped to a norm of 5.

    Args:
        network: in train mode it returns losses for a list of images, 0 to 1, and a list of their boxes and labels.
        images: items with `image`, `boxes` and `classes`, as of `uap.datasets.boxes.Boxes`.
        epochs: passes over the images.
        batch_size: images in a step.
        learning_rate: the highest learning rate.
        weight_decay: of AdamW.
        seed: seed of the order of the images and of the mirrored ones; the network samples with the global one of
            torch.
    """
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(images, batch_size, shuffle=True, collate_fn=list, generator=generator, drop_last=True)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * len(loader), pct_start=min(0.3, 100 / (epochs * len(loader)))
    )
    network.train()
    for _ in range(epochs):
        sums: dict[str, float] = {}
        for batch in loader:
            mirrored = torch.rand(len(batch), generator=generator) < 0.5
            pairs = [_example(item, bool(flip)) for item, flip in zip(batch, mirrored, strict=True)]
            losses: dict[str, Tensor] = network([image for image, _ in pairs], [target for _, target in pairs])
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack([*losses.values()]).sum())
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            sums = {name: sums.get(name, 0.0) + float(loss.detach()) for name, loss in losses.items()}
        yield {name: value / len(loader) for name, value in sums.items()}
    network.eval()


def _example(item: dict[str, Tensor], mirrored: bool) -> tuple[Tensor, dict[str, Any]]:
    """Return an image, 0 to 1, and its boxes and labels."""
    image, boxes = item["image"].float() / 255, item["boxes"]
    if mirrored:
        left, top, right, bottom = boxes.unbind(1)
        width = image.shape[-1]
        image, boxes = image.flip(-1), torch.stack([width - right, top, width - left, bottom], 1)
    return image, {"boxes": boxes, "labels": item["classes"]}
