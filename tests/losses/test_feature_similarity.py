"""Features of a network, their similarity as a loss, and attacks with it."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from torch import Tensor, nn

import uap
from tests.helpers import refuses
from uap.attacks import SignSteps
from uap.defenses import Blur
from uap.losses import FeatureSimilarity
from uap.networks import CGNet, DiCENet, ESPNet, ESPNetv2, FCN8sResNet
from uap.objectives import Goal, HideClasses, LeastLikely, Untargeted
from uap.utils.features import deepest_layer, features_of
from uap.victims import AlsoBlurred, Defended, Ensemble, Multiscale, Patched, Victim


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 2, 1)]
    return nn.Sequential(*layers, nn.Upsample(scale_factor=4)).requires_grad_(False)


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 32, generator=torch.Generator().manual_seed(0)) * 255


def test_the_loss_is_the_cosine_similarity_at_each_location() -> None:
    rng = np.random.default_rng(0)
    features, clean = rng.normal(0, 1, (2, 2, 5, 3, 4))
    goal = Goal(torch.zeros(2, 3, 4, dtype=torch.int64), sign=-1, features=torch.from_numpy(clean))
    found = FeatureSimilarity()(torch.from_numpy(features), goal)
    for image, row, column in np.ndindex(2, 3, 4):
        expected = 1 - cosine(features[image, :, row, column], clean[image, :, row, column])
        assert found[image, row, column].item() == pytest.approx(expected)


def test_features_are_those_of_the_layer_and_later_layers_do_not_run() -> None:
    model, ran = network(), []
    model[4].register_forward_hook(lambda *_: ran.append(True))
    assert torch.equal(features_of(model, "2", images()), model[:3](images()))
    assert not ran
    assert model[2]._forward_hooks == {}


@pytest.mark.parametrize(
    ("built", "layer"),
    [
        (lambda: ESPNet(20), "encoder.b3"),
        (lambda: CGNet(11, 3, 4), "bn_prelu_3"),
        (lambda: ESPNetv2(20, 0.5), "base_net.level4.6"),
        (lambda: DiCENet(20, 0.5), "base_net.level4"),
        (lambda: FCN8sResNet(19, depth=18, width=8), "encoder.layer4"),
    ],
)
def test_the_deepest_layer_is_the_last_one_of_the_encoder(built: object, layer: str) -> None:
    model = built().eval()  # type: ignore[operator]
    assert deepest_layer(model, torch.zeros(1, 3, 64, 64)).startswith(layer)
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_with_as_many_channels_as_classes_and_of_one_location_are_left_out() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 64, 1)))
    model.append(nn.Sequential(nn.Conv2d(64, 9, 1), nn.Upsample((16, 32))))
    assert deepest_layer(model, images()) == "0"


def test_a_universal_perturbation_makes_features_dissimilar_on_other_images() -> None:
    normalize, layers = nn.BatchNorm2d(3), network()
    torch.nn.init.constant_(normalize.running_mean, 128)  # type: ignore[arg-type]
    torch.nn.init.constant_(normalize.running_var, 400)  # type: ignore[arg-type]
    model = nn.Sequential(normalize, layers).eval().requires_grad_(False)
    delta = uap.learn(
        model,
        images(8) / 8 + 112,
        Untargeted(),
        tile=(8, 8),
        passes=40,
        loss=FeatureSimilarity("1.2"),
        random_shift=True,
        random_crop=(16, 16),
        progress=False,
    )
    other = torch.rand(4, 3, 16, 32, generator=torch.Generator().manual_seed(1)) * 32 + 112
    encoder, similarity = nn.Sequential(normalize, layers[:3]), nn.functional.cosine_similarity
    learned = similarity(encoder(other), encoder(delta(other))).mean()
    signs = 10 * torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(2)).sign()
    random = similarity(encoder(other), encoder(other + signs)).mean()
    assert 1 - learned > 1.3 * (1 - random)
    assert delta.proto.abs().max() <= 10


def test_networks_of_an_ensemble_have_their_own_layers() -> None:
    first, second = network(), nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 2, 1)).requires_grad_(False)
    loss = FeatureSimilarity()
    delta = uap.learn(
        first, images(), Untargeted(), 10, ensemble=[second], tile=(8, 8), passes=3, loss=loss, progress=False
    )
    assert delta.proto.any()
    assert [loss.output(model, images()).shape[1] for model in (first, second)] == [12, 6]


def test_the_same_image_has_the_same_adversarial_image_in_any_batch() -> None:
    attack = SignSteps(epsilon=8, steps=3, loss=FeatureSimilarity())
    together = attack(network(), images(3), Untargeted())
    alone = attack(network(), images(3)[1:2], Untargeted())
    assert torch.allclose(together[1:2], alone)


@pytest.mark.parametrize("objective", [LeastLikely(), HideClasses(["a"])])
def test_a_target_is_refused(objective: uap.objectives.Objective) -> None:
    with refuses("model.loss", "conflict", "Untargeted"):
        SignSteps(loss=FeatureSimilarity())(victim(), images(), objective)
    with refuses("model.loss", "conflict", "Untargeted"):
        uap.learn(victim(), images(), objective, loss=FeatureSimilarity(), progress=False)


def victim() -> Victim:
    return Victim(network(), classes=["a", "b"], mean=(128.0,) * 3, std=(64.0,) * 3)


def test_a_layer_of_a_victim_has_its_name_in_the_network() -> None:
    named = FeatureSimilarity("2").output(victim(), images())
    assert torch.equal(named, FeatureSimilarity("network.2").output(victim(), images()))
    wrapped = Defended(victim(), [Blur(1)])
    assert FeatureSimilarity("2").output(wrapped, images()).shape == named.shape


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda: Patched(victim(), 4),
        lambda: AlsoBlurred(victim(), 1.0),
        lambda: Multiscale(victim(), (0.5, 1.0)),
        lambda: Ensemble([victim(), victim()]),
    ],
)
def test_victims_that_run_networks_several_times_are_refused(wrapped: Callable[[], nn.Module]) -> None:
    with refuses("model.loss", "not_supported", "ensemble"):
        FeatureSimilarity().output(wrapped(), images())


def test_layers_that_are_no_features_of_each_image_are_not_chosen() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.folded, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 16, 1), nn.Conv2d(16, 2, 1)
            self.constant = nn.Conv2d(3, 64, 1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.constant(x)
            upper, lower = self.folded(torch.cat(self.first(x).chunk(2, 2))).chunk(2)
            result: Tensor = self.last(torch.cat([upper, lower], 2))
            return result

    assert deepest_layer(Halves().requires_grad_(False), images()) == "first"


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_refused_and_no_hook_stays() -> None:
    scripted = Victim(torch.jit.trace(network(), images()), classes=["a", "b"])  # type: ignore[no-untyped-call]
    with refuses("layer", "not_supported"):
        FeatureSimilarity().output(Defended(scripted, [Blur(1)]), images())
    with refuses("layer", "not_supported"):
        FeatureSimilarity("2").output(scripted, images())
    assert not any(module._forward_hooks for module in scripted.modules())


def test_copies_and_pickles_keep_the_layer() -> None:
    loss = FeatureSimilarity("2")
    loss.output(network(), images())
    assert pickle.loads(pickle.dumps(loss)).layer == copy.deepcopy(loss).layer == "2"


def test_nothing_is_said_to_be_learned_where_the_network_rounds_its_input() -> None:
    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.network(x.round())
            return result

    with pytest.warns(UserWarning, match="gradient was 0"):
        uap.learn(Rounded(), images(), Untargeted(), passes=10, loss=FeatureSimilarity(), progress=False)


def test_wrong_layers_are_refused() -> None:
    with refuses("layer", "unknown_name", "no layer '9'"):
        features_of(network(), "9", images())
    with refuses("layer", "wrong_shape", "did not run"):
        features_of(Unused(), "unused", images())
    with refuses("victim", "wrong_type", "torch.nn.Module"):
        deepest_layer(lambda x: x, images())
    with refuses("layer", "wrong_shape", "(1, 3, 1, 1)"):
        features_of(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 2, 1)), "0", images(1))
    with refuses("layer", "not_supported", "No layer"):
        deepest_layer(nn.Sequential(nn.Conv2d(3, 2, 1)), images())


class Unused(nn.Module):
    """A network with a layer that it does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x
