"""Tests of unusual published networks: the adapter supports them, or a message names the solution."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right
from uap.utils.errors import InputError, first_line
from uap.victims import Victim

SIZE = (12, 16)
CLASSES = ["a", "b", "c", "d"]


class Rough(nn.Module):
    """A network of two convolutions, between which a subclass inserts an unusual operation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 4, 1)

    def between(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def after(self, x: Tensor) -> Any:
        return x

    def forward(self, x: Tensor) -> Any:
        return self.after(self.last(self.between(self.first(x))))


def victim_of(network: nn.Module, **settings: Any) -> Victim:
    preprocessing = {"mean": (128.0, 128.0, 128.0), "std": (64.0, 64.0, 64.0)}
    return Victim(network, **{"classes": CLASSES, **preprocessing, **settings})


def refused(network: nn.Module, sentence: str, **settings: Any) -> None:
    with pytest.raises(InputError, match=sentence):
        victim_of(network, **settings).check(SIZE)


class OneEighth(Rough):
    def between(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.relu(x), 8, ceil_mode=True)


class MultipleOf32(Rough):
    """A network that fails for sizes that are not multiples of 32, like `torch.cat` in a U-Net."""

    def between(self, x: Tensor) -> Tensor:
        deep = F.interpolate(F.max_pool2d(x, 32), scale_factor=32.0)
        return torch.cat([x[:, :3], deep[:, :3]], 1)


class AuxiliaryHead(Rough):
    def after(self, x: Tensor) -> Any:
        return {"aux": x.mean(1, keepdim=True), "out": [x, x[..., ::2, ::2]]}


class InPlaceFirst(Rough):
    def __init__(self) -> None:
        super().__init__()
        self.start = nn.ReLU(inplace=True)
        self.squash = nn.Sequential(nn.Sigmoid(), nn.ReLU6(inplace=True), nn.Hardtanh(0, 1, inplace=True))

    def forward(self, x: Tensor) -> Any:
        return super().forward(self.start(x))

    def between(self, x: Tensor) -> Tensor:
        squashed: Tensor = self.squash(x)
        return squashed


class HidesModules(Rough):
    def __init__(self) -> None:
        super().__init__()
        self.modules = [self.first, nn.ReLU(inplace=True), self.last]  # type: ignore[assignment]  # as ESPNet's authors do
        self.layers = nn.ModuleList(self.modules)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Any:
        for layer in self.modules:  # type: ignore[attr-defined]
            x = layer(x)
        return x


class MergesBatchAndChannels(Rough):
    """A network whose `view` works for one image in any memory layout, and for more only in the contiguous one."""

    def between(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        return F.relu(x.view(count * channels, 1, height, width).view(count, channels, height, width))


def test_memory_layout_is_channels_last_if_supported() -> None:
    victim, other = victim_of(Rough()), victim_of(MergesBatchAndChannels())
    victim.check(SIZE)
    other.check(SIZE)
    assert victim.layout is torch.channels_last
    assert other.layout is torch.contiguous_format


class HalfPrecision(Rough):
    def __init__(self) -> None:
        super().__init__()
        self.half()


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (Rough, {}),
        (OneEighth, {}),
        (MultipleOf32, {"size_multiple": 32}),
        (MultipleOf32, {"input_size": (32, 64)}),
        (AuxiliaryHead, {"output": "out"}),
        (InPlaceFirst, {}),
        (HidesModules, {}),
        (MergesBatchAndChannels, {}),
        (HalfPrecision, {}),
        (Rough, {"classes": CLASSES[:3]}),
        (Rough, {"channel_order": "bgr", "mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0)}),
        (Rough, {"mean": (0.0, 0.0, 0.0), "std": (127.5, 127.5, 127.5)}),
        (OneEighth, {"size_multiple": 5, "input_size": (9, 23), "channel_order": "bgr"}),
    ],
)
def test_unusual_networks_are_supported_with_correct_gradients(
    network: type[nn.Module], settings: dict[str, Any]
) -> None:
    victim = victim_of(network(), **settings)
    victim.check(SIZE)
    assert len(victim.table) == 4
    assert victim.table.names[:3] == ("a", "b", "c")
    assert victim.table.names[3] == ("d" if "classes" not in settings else "void")
    assert victim.predict(torch.zeros(3, 3, *SIZE)).shape == (3, *SIZE)
    assert not any(parameter.requires_grad for parameter in victim.network.parameters())
    assert_gradient_is_right(victim, *SIZE)


def test_unsupported_size_is_named_with_solutions() -> None:
    refused(
        MultipleOf32(), r"MultipleOf32 fails on images of 12 x 16 \(.*\)\. Set --data\.size or victim\.input_size .*"
    )
    refused(MultipleOf32(), r"or victim\.size_multiple to the number that divides", input_size=(31, 32))


class Asserts(Rough):
    def between(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % 32 == 0
        return x


def test_network_that_asserts_its_size_is_named() -> None:
    refused(Asserts(), r"Asserts fails on images of 12 x 16 \(.+\)\. Set")
    victim_of(Asserts(), size_multiple=32).check(SIZE)


class AddsInPlace(Rough):
    def between(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(x)
        x += 1
        return x


class ReluInPlace(Rough):
    def between(self, x: Tensor) -> Tensor:
        return F.relu(torch.tanh(x), inplace=True)


class LeakyReluOfThePackage(Rough):
    def between(self, x: Tensor) -> Tensor:
        return torch.relu_(F.leaky_relu(x.exp(), 0.1, True).mul_(2).sub_(1))


class AddsToAListItem(Rough):
    def between(self, x: Tensor) -> Tensor:
        levels = [torch.sigmoid(x), x]
        levels[0] += levels[1]
        levels[0] /= 2
        return levels[0]


class AddsToAView(Rough):
    """A network that changes one of several views in place, which autograd refuses in the forward pass."""

    def between(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        first += second
        return torch.cat([first, second], 1)


@pytest.mark.parametrize("network", [AddsInPlace, ReluInPlace, LeakyReluOfThePackage, AddsToAListItem, AddsToAView])
def test_in_place_changes_of_activations_are_replaced(network: type[Rough]) -> None:
    with torch.no_grad():
        own = victim_of(network())(torch.full((1, 3, *SIZE), 90.0))
    victim = victim_of(network())
    with pytest.warns(UserWarning, match=f"{network.__name__} changes activations in place.* same bit for bit") as said:
        victim.check(SIZE)
    victim.check(SIZE)
    assert len([one for one in said if "in place" in str(one.message)]) == 1
    assert torch.equal(victim(torch.full((1, 3, *SIZE), 90.0)), own)
    assert_gradient_is_right(victim, *SIZE)


class ViewsAndAddsInPlace(MergesBatchAndChannels):
    def between(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(super().between(x))
        x += 1
        return x


def test_network_that_needs_the_contiguous_layout_is_supported() -> None:
    victim = victim_of(ViewsAndAddsInPlace())
    with pytest.warns(UserWarning, match="in place"):
        victim.check(SIZE)
    assert victim.layout is torch.contiguous_format


def test_counters_and_masks_change_as_before() -> None:
    class Counts(AddsInPlace):
        def between(self, x: Tensor) -> Tensor:
            mask = torch.zeros_like(x)
            mask.add_(1)  # the result is dropped
            return super().between(x) * mask

    victim = victim_of(Counts())
    with pytest.warns(UserWarning, match="in place"):
        victim.check(SIZE)


class DropsTheResult(Rough):
    def between(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(x)
        x.add_(1)
        return x.mul(2)


class AssignsToAPart(Rough):
    def between(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(x)
        x[:, 0] = 0
        return x


class CopiesWithinABlock(Rough):
    class Block(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = torch.tanh(x)
            x.copy_(x * 2)
            return x

    def between(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.Block()(x)
        return doubled


@pytest.mark.parametrize(
    ("network", "module"),
    [(DropsTheResult, "DropsTheResult"), (AssignsToAPart, "AssignsToA"), (CopiesWithinABlock, "Block")],
)
def test_in_place_change_that_cannot_be_replaced_is_named(network: type[nn.Module], module: str) -> None:
    refused(
        network(),
        rf"backward pass .* to the image fails .*inplace operation.*`x = x \+ y`\. .*{module}.*\(test_probe.py, line",
    )


@pytest.mark.parametrize("network", [DropsTheResult, AssignsToAPart])
def test_hint_of_pytorch_is_quoted_completely(network: type[nn.Module]) -> None:
    refused(network(), r"The backward pass .* to the image fails \(.*expected version 0 instead\.\)\.")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("short", "short"),
        (f"One. {'Two ' * 20}two. {'three ' * 60}", f"One. {'Two ' * 20}two."),
        ("word " * 100, f"{'word ' * 59}word ..."),
        ("x" * 400, f"{'x' * 300} ..."),
        ("", "ValueError"),
    ],
)
def test_quoted_error_ends_with_a_sentence_or_a_word(text: str, quoted: str) -> None:
    assert first_line(ValueError(text)) == quoted


class PlainList(Rough):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.Conv2d(6, 6, 1)]

    def between(self, x: Tensor) -> Tensor:
        features: Tensor = self.hidden[0](x)
        return features


def test_layers_in_a_plain_list_are_named() -> None:
    refused(PlainList(), r"PlainList has weights that are missing in its parameters\(\).*into nn\.ModuleList")


class Softmax(Rough):
    def after(self, x: Tensor) -> Any:
        return F.softmax(F.avg_pool2d(x, 2), 1)


class SoftmaxBesideLogits(Rough):
    def after(self, x: Tensor) -> Any:
        return F.softmax(x, 1), x


def test_probabilities_are_named() -> None:
    refused(Softmax(), r"gives probabilities, expected logits\. Leave out its softmax, or set victim\.output")
    refused(SoftmaxBesideLogits(), "gives probabilities")
    victim_of(SoftmaxBesideLogits(), output=1).check(SIZE)


class LogSoftmax(Rough):
    def after(self, x: Tensor) -> Any:
        return F.log_softmax(x, 1)


def test_log_probabilities_are_logits() -> None:
    victim_of(LogSoftmax()).check(SIZE)


class ArgMax(Rough):
    def after(self, x: Tensor) -> Any:
        return x.argmax(1)


class ArgMaxWithChannel(Rough):
    def after(self, x: Tensor) -> Any:
        return x[..., ::2, ::2].argmax(1, keepdim=True)


@pytest.mark.parametrize("network", [ArgMax, ArgMaxWithChannel])
def test_class_ids_are_named(network: type[nn.Module]) -> None:
    refused(network(), r"gives torch\.int64, expected logits\. Leave out the arg max at its end")


class NoGrad(Rough):
    def between(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return F.relu(x)


class OneHot(Rough):
    def after(self, x: Tensor) -> Any:
        return F.one_hot(x.argmax(1), 4).permute(0, 3, 1, 2).float() * 5


class Inference(Rough):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)


@pytest.mark.parametrize("network", [NoGrad, OneHot, Inference])
def test_missing_gradient_is_named(network: type[nn.Module]) -> None:
    refused(network(), r"gives no gradient with respect to the image\. .*torch\.no_grad, detach")


class Rounds(Rough):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x.round())


def test_zero_gradient_is_named() -> None:
    refused(Rounds(), "gradient of the network Rounds with respect to the image is 0 everywhere.*rounds or clips")


class ActiveDropout(Rough):
    def between(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.2)


class BatchStatistics(Rough):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)

    def between(self, x: Tensor) -> Tensor:
        normalized: Tensor = self.norm(x)
        return normalized


@pytest.mark.parametrize("network", [ActiveDropout, BatchStatistics])
def test_random_or_batch_dependent_output_is_named(network: type[nn.Module]) -> None:
    refused(network(), r"gives another result for an image .*F\.dropout without training=self\.training, or BatchNorm")


class OneOutput(Rough):
    def after(self, x: Tensor) -> Any:
        return x[:, :1]


def test_single_score_is_named() -> None:
    refused(
        OneOutput(),
        r"gives one output, expected one for each of two classes or more\..*torch\.zeros_like",
        classes=["a"],
    )


class ChannelsLast(Rough):
    def after(self, x: Tensor) -> Any:
        return x.permute(0, 2, 3, 1)


def test_outputs_of_other_shapes_are_named() -> None:
    refused(Rough(), r"gives \(1, 4, 12, 16\) .*expected logits \(1, 5 or more, 12, 16\)", classes=list("abcde"))
    refused(Rough(), r"gives \(1, 4, 12, 16\) .*victim\.output to another of its outputs", classes="camvid")
    refused(
        nn.Sequential(Rough(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), r"gives \(1, 4\) for images \(1, 3, 12, 16\)"
    )


def test_network_without_logits_is_named_with_its_output() -> None:
    class Masks(Rough):
        def after(self, x: Tensor) -> Any:
            return {"masks": x, "scores": x.mean((2, 3))}

    refused(Masks(), r"a dictionary of masks \(1, 4, 12, 16\), scores \(1, 4\)\. Set victim\.output")
    victim_of(Masks(), output="masks").check(SIZE)
    refused(Masks(), r"victim\.output is 'mask', but", output="mask")
