import numpy as np
import torch

from uap.evaluation.distortions import EightBit, shifted
from uap.universal.perturbation import Perturbation
from uap.utils.quantize import eight_bit


def test_eight_bit_images_are_those_of_the_perturbation() -> None:
    perturbation, images = Perturbation((4, 6), 10), torch.full((2, 3, 4, 6), 128, dtype=torch.uint8)
    torch.nn.init.uniform_(perturbation.proto, -10, 10)
    assert torch.equal(EightBit(perturbation)(images), perturbation.eight_bit(images).float())


def test_eight_bit_rounds_and_clips() -> None:
    assert eight_bit(torch.tensor([-7.0, 0.4, 1.6, 254.7, 300.0])).tolist() == [0, 0, 2, 255, 255]


def test_shifted_moves_the_perturbation_down_and_to_the_right() -> None:
    perturbation = Perturbation((4, 6), 10)
    torch.nn.init.uniform_(perturbation.proto, -10, 10)
    proto = perturbation.proto.detach().clone()
    for pixels in (1, 8):
        moved = shifted(perturbation, pixels)
        assert moved.epsilon == 10
        np.testing.assert_array_equal(moved.proto.detach(), np.roll(proto.numpy(), (pixels, pixels), (1, 2)))
    assert moved.proto.detach()[0, 0, 2] == proto[0, 0, 0]  # 8 is a multiple of the height, and 2 more than the width
    assert torch.equal(perturbation.proto, proto)


def test_shifted_periodic_perturbation_is_a_shifted_pattern() -> None:
    perturbation = Perturbation((4, 6), 10)
    torch.nn.init.uniform_(perturbation.proto, -10, 10)
    grey = torch.full((1, 3, 11, 13), 128, dtype=torch.uint8)
    large = torch.full((1, 3, 12, 14), 128, dtype=torch.uint8)
    moved = shifted(perturbation, 1).eight_bit(large)
    assert torch.equal(moved[..., 1:, 1:], perturbation.eight_bit(grey))
