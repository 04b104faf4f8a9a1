"""Victims around victims: several scales, a dense CRF, and defenses."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.helpers import refuses
from uap.attacks import FGSM
from uap.defenses import BitDepth, GaussianNoise, Jpeg
from uap.objectives import Untargeted
from uap.utils.errors import InputError
from uap.victims import Defended, DenseCRF, Multiscale, Victim
from uap.victims.building import build_victim
from uap.victims.dense_crf import bilateral_features, bilateral_filter, spatial_filter
from uap.victims.wrapped import WrappedVictim

CLASSES = ["road", "sky", "person"]


def victim() -> Victim:
    torch.manual_seed(0)
    return Victim(nn.Conv2d(3, 3, 3, padding=1), classes=CLASSES, mean=(128.0,) * 3, std=(64.0,) * 3)


def image(height: int = 12, width: int = 16, count: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(1)).float()


WRAPPED = [
    lambda: Multiscale(victim()),
    lambda: DenseCRF(victim(), iterations=2),
    lambda: Defended(victim(), [Jpeg(75)]),
    lambda: Defended(Multiscale(victim(), (0.5,)), [BitDepth(4), GaussianNoise(2)]),
]


@pytest.mark.parametrize("make", WRAPPED)
def test_a_wrapped_victim_is_a_victim(make: Callable[[], WrappedVictim]) -> None:
    wrapped, images = make(), image(count=2)
    assert isinstance(wrapped, Victim)
    assert wrapped.table.names == tuple(CLASSES)
    wrapped.check((12, 16))
    assert wrapped(images).shape == (2, 3, 12, 16)
    assert wrapped.predict(images.to(torch.uint8)).dtype == torch.uint8
    assert wrapped.fingerprint() not in (victim().fingerprint(), "")
    assert wrapped.fingerprint() == make().fingerprint()
    assert not wrapped.train().training
    adversarial = FGSM(4)(wrapped, images, Untargeted())
    assert (adversarial != images).any()


def test_settings_change_the_fingerprint() -> None:
    prints = {Multiscale(victim(), scales).fingerprint() for scales in ((0.5,), (0.75,), (0.5, 0.75))} | {
        DenseCRF(victim(), iterations=n).fingerprint() for n in (1, 2)
    }
    prints |= {Defended(victim(), [Jpeg(quality)]).fingerprint() for quality in (50, 75)}
    assert len(prints) == 7


@pytest.mark.parametrize("fuse", ["max", "mean"])
def test_multiscale_fuses_the_logits_of_its_scales(fuse: Any) -> None:
    net, images = victim(), image()
    scales = []
    for size in ((6, 8), (9, 12), (12, 16)):
        small = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        scales.append(F.interpolate(net(small), (12, 16), mode="bilinear", align_corners=False))
    logits = torch.stack(scales)
    expected = logits.amax(0) if fuse == "max" else logits.mean(0)
    torch.testing.assert_close(Multiscale(net, fuse=fuse)(images), expected)


def test_scale_one_alone_is_the_victim_itself() -> None:
    net, images = victim(), image()
    assert torch.equal(Multiscale(net, (1.0,))(images), net(images))


def test_the_gradient_goes_through_the_scales() -> None:
    net, images = Multiscale(victim().double(), (0.5, 0.75)), image(6, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(net, (images,), eps=1e-3, atol=1e-6)


def test_defenses_are_applied_in_their_order() -> None:
    net, images = victim(), image()
    both = Defended(net, [BitDepth(2), Jpeg(50)])(images)
    assert torch.equal(both, net(Jpeg(50)(BitDepth(2)(images))))
    assert not torch.equal(both, Defended(net, [Jpeg(50), BitDepth(2)])(images))


def by_hand(unary: Tensor, images: Tensor, iterations: int) -> Tensor:
    """The mean field with whole matrices in float64: theta_alpha 5, theta_beta 40, theta_gamma 1; weights 3 and 5."""
    height, width = unary.shape[-2:]
    positions = (
        torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).flatten(1).T.double()
    )
    colors = images[0].flatten(1).T.double()
    apart = (positions[:, None] - positions[None]).square().sum(2)
    smooth = torch.exp(-apart / 2)
    steps = (positions[:, None] - positions[None]).abs().amax(2)
    smooth[steps > 4] = 0
    bilateral = torch.exp(-apart / (2 * 5**2) - (colors[:, None] - colors[None]).square().sum(2) / (2 * 40**2))
    u = unary[0].flatten(1).T.double()
    z = u
    for _ in range(iterations):
        q = z.softmax(1)
        z = u + 3 * (smooth @ q) / smooth.sum(1, keepdim=True) + 5 * (bilateral @ q) / bilateral.sum(1, keepdim=True)
    return z.T.reshape(1, -1, height, width)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_the_mean_field_is_that_of_whole_matrices(iterations: int) -> None:
    net, images = victim(), image()
    crf = DenseCRF(net, iterations, theta_alpha=5, theta_beta=40, theta_gamma=1)
    expected = by_hand(net(images), images, iterations)
    torch.testing.assert_close(crf(images).double(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 21])
def test_the_kernel_is_never_built_as_a_matrix(classes: int) -> None:
    """Flash attention, which works block by block, takes the tensors; with others torch builds the whole matrix."""
    q, features = torch.rand(1, classes, 6, 8).softmax(1), bilateral_features(image(6, 8), 5.0, 40.0)
    expected = bilateral_filter(q, features)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        torch.testing.assert_close(bilateral_filter(q, features), expected)


def test_colors_that_do_not_matter_give_the_mean_of_near_pixels() -> None:
    q = torch.rand(1, 2, 6, 8)
    features = bilateral_features(image(6, 8), theta_alpha=1e6, theta_beta=1e6)
    torch.testing.assert_close(bilateral_filter(q, features), q.mean((2, 3), keepdim=True).expand_as(q))


def test_the_spatial_filter_leaves_a_constant_alone_up_to_the_border() -> None:
    constant = torch.full((1, 2, 9, 11), 0.3)
    torch.testing.assert_close(spatial_filter(constant, 3.0), constant)


def test_a_noisy_prediction_follows_the_colors() -> None:
    images = torch.zeros(1, 3, 16, 24)
    images[..., 12:] = 200
    truth = (images[:, 0] > 100).long()
    unary = F.one_hot(truth, 2).movedim(-1, 1).float() + torch.randn(
        1, 2, 16, 24, generator=torch.Generator().manual_seed(0)
    )
    crf = DenseCRF(Victim(nn.Conv2d(3, 2, 1), classes=["dark", "bright"]))
    before, after = ((logits.argmax(1) == truth).float().mean() for logits in (unary, crf.refine(unary, images)))
    assert before < 0.9
    assert after == 1
    confidence = crf.refine(unary, images).softmax(1).amax(1).mean()
    assert confidence > unary.softmax(1).amax(1).mean()


def test_the_gradient_goes_to_the_logits_and_if_attached_to_the_colors() -> None:
    unary = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    images = 255 * torch.rand(1, 3, 4, 5, dtype=torch.float64)
    crf = DenseCRF(victim(), 2, theta_alpha=5, theta_beta=40, theta_gamma=1, features="attached")
    assert torch.autograd.gradcheck(crf.refine, (unary, images.requires_grad_()), eps=1e-4, atol=1e-6)
    crf.features = "detached"
    crf.refine(unary, images).sum().backward()  # type: ignore[no-untyped-call]
    assert unary.grad is not None
    assert images.grad is None


def test_a_stride_approximates_the_filter() -> None:
    net, images = victim(), image(24, 32)
    images = F.interpolate(images, (6, 8)).repeat_interleave(4, 2).repeat_interleave(4, 3)
    exact, coarse = (DenseCRF(net, 2, theta_beta=60, stride=stride)(images).softmax(1) for stride in (1, 2))
    assert (exact - coarse).abs().mean() < 0.05
    assert DenseCRF(net, 1, stride=5)(image(13, 17)).shape == (1, 3, 13, 17)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Multiscale(victim(), ()),
        lambda: Multiscale(victim(), (0.0,)),
        lambda: Multiscale(victim(), (math.nan,)),
        lambda: Multiscale(victim(), (0.01,))(image()),
        lambda: DenseCRF(victim(), theta_beta=0),
        lambda: DenseCRF(victim(), iterations=-1),
        lambda: DenseCRF(victim(), stride=0),
        lambda: Defended(victim(), []),
        lambda: Defended(victim(), ["jpeg"]),  # type: ignore[list-item]
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


class OneSize(nn.Module):
    """A network that takes images of 8 x 12 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.place = nn.Parameter(torch.rand(1, 3, 8, 12))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv(x) + self.place
        return scores


def test_a_scale_that_the_network_cannot_take_is_refused() -> None:
    one_size = Victim(OneSize(), classes=CLASSES, mean=(128.0,) * 3, std=(64.0,) * 3)
    Multiscale(one_size, (1,)).check((8, 12))
    with refuses("data.size", "not_supported", "Multiscale"):
        Multiscale(one_size, (0.5, 1)).check((8, 12))


def test_kernels_are_gaussians_of_their_standard_deviation() -> None:
    point = torch.zeros(1, 1, 1, 41)
    point[..., 20] = 1
    filtered = spatial_filter(point, 3.0)[0, 0, 0]
    assert float(filtered[23] / filtered[20]) == pytest.approx(math.exp(-0.5), rel=1e-2)


def test_a_configuration_can_wrap_a_victim(tmp_path: Path) -> None:
    inner = {
        "class_path": "uap.victims.Victim",
        "init_args": {"network": {"class_path": "tests.helpers.Brightness"}, "classes": ["dark", "bright"]},
    }
    scales = {"class_path": "uap.victims.Multiscale", "init_args": {"victim": inner, "scales": [0.5, 1.0]}}
    jpeg = {"class_path": "uap.defenses.Jpeg", "init_args": {"quality": 60}}
    outer = {"class_path": "uap.victims.Defended", "init_args": {"victim": scales, "defenses": [jpeg]}}
    (tmp_path / "victim.yaml").write_text(yaml.safe_dump({"model": {"victim": outer}}))
    built = build_victim(tmp_path / "victim.yaml")
    assert isinstance(built, Defended)
    assert isinstance(built.victim, Multiscale)
    assert built.table.names == ("dark", "bright")
    assert built(image()).shape == (1, 2, 12, 16)
