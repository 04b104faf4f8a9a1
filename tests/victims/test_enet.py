from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from tests.helpers import refuses
from uap.networks import ENet
from uap.networks.enet import Bottleneck, Downsampler, Extension, Upsampler
from uap.utils import paths
from uap.utils.class_tables import CAMVID, CITYSCAPES
from uap.utils.errors import InputError
from uap.victims import Victim

REGULAR_64 = (
    "ext_conv1.0 16,64,1,1; ext_conv1.1 bn16; ext_conv1.2 1; ext_conv2.0 16,16,3,3; ext_conv2.1 bn16; ext_conv2.2 1; "
    "ext_conv3.0 64,16,1,1; ext_conv3.1 bn64; ext_conv3.2 1; out_activation 1"
)
REGULAR_128 = (
    "ext_conv1.0 32,128,1,1; ext_conv1.1 bn32; ext_conv1.2 1; ext_conv2.0 32,32,3,3; ext_conv2.1 bn32; ext_conv2.2 1; "
    "ext_conv3.0 128,32,1,1; ext_conv3.1 bn128; ext_conv3.2 1; out_activation 1"
)
ASYMMETRIC_128 = (
    "ext_conv1.0 32,128,1,1; ext_conv1.1 bn32; ext_conv1.2 1; ext_conv2.0 32,32,5,1; ext_conv2.1 bn32; ext_conv2.2 1; "
    "ext_conv2.3 32,32,1,5; ext_conv2.4 bn32; ext_conv2.5 1; ext_conv3.0 128,32,1,1; ext_conv3.1 bn128; ext_conv3.2 1; "
    "out_activation 1"
)
DECODER_64 = (
    "ext_conv1.0 16,64,1,1; ext_conv1.1 bn16; ext_conv2.0 16,16,3,3; ext_conv2.1 bn16; "
    "ext_conv3.0 64,16,1,1; ext_conv3.1 bn64"
)
PUBLISHED = {
    "initial_block": "main_branch 13,3,3,3; batch_norm bn16; out_activation 1",
    "downsample1_0": (
        "ext_conv1.0 4,16,2,2; ext_conv1.1 bn4; ext_conv1.2 1; ext_conv2.0 4,4,3,3; ext_conv2.1 bn4; ext_conv2.2 1; "
        "ext_conv3.0 64,4,1,1; ext_conv3.1 bn64; ext_conv3.2 1; out_activation 1"
    ),
    "regular1_1 regular1_2 regular1_3 regular1_4": REGULAR_64,
    "downsample2_0": (
        "ext_conv1.0 16,64,2,2; ext_conv1.1 bn16; ext_conv1.2 1; "
        "ext_conv2.0 16,16,3,3; ext_conv2.1 bn16; ext_conv2.2 1; "
        "ext_conv3.0 128,16,1,1; ext_conv3.1 bn128; ext_conv3.2 1; out_activation 1"
    ),
    "regular2_1 dilated2_2 dilated2_4 regular2_5 dilated2_6 dilated2_8": REGULAR_128,
    "asymmetric2_3 asymmetric2_7": ASYMMETRIC_128,
    "regular3_0 dilated3_1 dilated3_3 regular3_4 dilated3_5 dilated3_7": REGULAR_128,
    "asymmetric3_2 asymmetric3_6": ASYMMETRIC_128,
    "upsample4_0": (
        "main_conv1.0 64,128,1,1; main_conv1.1 bn64; ext_conv1.0 32,128,1,1; ext_conv1.1 bn32; "
        "ext_tconv1 32,32,2,2; ext_tconv1_bnorm bn32; ext_conv2.0 64,32,1,1; ext_conv2.1 bn64"
    ),
    "regular4_1 regular4_2": DECODER_64,
    "upsample5_0": (
        "main_conv1.0 16,64,1,1; main_conv1.1 bn16; ext_conv1.0 16,64,1,1; ext_conv1.1 bn16; "
        "ext_tconv1 16,16,2,2; ext_tconv1_bnorm bn16; ext_conv2.0 16,16,1,1; ext_conv2.1 bn16"
    ),
    "regular5_1": (
        "ext_conv1.0 4,16,1,1; ext_conv1.1 bn4; ext_conv2.0 4,4,3,3; ext_conv2.1 bn4; "
        "ext_conv3.0 16,4,1,1; ext_conv3.1 bn16"
    ),
}
"""The layers with parameters, and the shape of their weights; bn is a batch norm."""

PARAMETERS = {  # by hand from the shapes above: convolutions, 2 per channel of a batch norm, 1 per PReLU
    "initial_block": 351 + 32 + 1,
    "downsample1_0": 256 + 9 + 144 + 9 + 256 + 129 + 1,
    "stage 1": 4 * (1024 + 33 + 2304 + 33 + 1024 + 129 + 1),
    "downsample2_0": 4096 + 33 + 2304 + 33 + 2048 + 257 + 1,
    "regular and dilated": 12 * (4096 + 65 + 9216 + 65 + 4096 + 257 + 1),
    "asymmetric": 4 * (4096 + 65 + 2 * (5120 + 65) + 4096 + 257 + 1),
    "stage 4": (8192 + 128 + 4096 + 64 + 4096 + 64 + 2048 + 128) + 2 * (1024 + 32 + 2304 + 32 + 1024 + 128),
    "stage 5": (1024 + 32 + 1024 + 32 + 1024 + 32 + 256 + 32) + (64 + 8 + 144 + 8 + 64 + 32),
    "transposed_conv, 12 classes": 16 * 12 * 9,
}


def published(classes: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes in the published files."""
    shapes: dict[str, tuple[int, ...]] = {"transposed_conv.weight": (16, classes, 3, 3)}
    for blocks, layers in PUBLISHED.items():
        for name, shape in ((f"{b}.{n}", s) for b in blocks.split() for n, s in map(str.split, layers.split("; "))):
            if shape.startswith("bn"):
                ours = ("weight", "bias", "running_mean", "running_var")
                shapes |= {f"{name}.{part}": (int(shape.removeprefix("bn")),) for part in ours}
                shapes[f"{name}.num_batches_tracked"] = ()
            else:
                shapes[f"{name}.weight"] = tuple(map(int, shape.split(",")))
    return shapes


def victim(name: str, weights: Path | None = None) -> Victim:
    """Return the network of `configs/victim/<name>.yaml`."""
    config = yaml.safe_load(paths.shipped(f"configs/victim/{name}.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    network = ENet(**settings.pop("network")["init_args"])
    return Victim(network, None if weights is None else str(weights), **settings)


def with_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """Return the network in eval mode with batch norms at the statistics of some images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24), (40, 8)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert ENet(classes=7).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize("size", [(20, 24), (24, 12)])
def test_other_sizes_raise_error(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"{size[0]} x {size[1]}, expected multiples of 8\. Set victim.size_multiple"):
        ENet()(torch.rand(1, 3, *size))


def test_names_and_shapes_equal_the_published_ones() -> None:
    assert {name: tuple(value.shape) for name, value in ENet(12).state_dict().items()} == published(12)


def test_number_of_parameters_is_the_sum_of_the_layers() -> None:
    assert sum(p.numel() for p in ENet(12).parameters()) == sum(PARAMETERS.values()) == 350_652
    assert sum(p.numel() for p in ENet(20).parameters()) == 350_652 + 8 * 144


def test_dilations_equal_the_paper() -> None:
    dilations = {
        name.removesuffix(".ext_conv2.0"): layer.dilation
        for name, layer in ENet().named_modules()
        if isinstance(layer, nn.Conv2d) and layer.dilation != (1, 1)
    }
    assert dilations == {
        "dilated2_2": (2, 2), "dilated2_4": (4, 4), "dilated2_6": (8, 8), "dilated2_8": (16, 16),
        "dilated3_1": (2, 2), "dilated3_3": (4, 4), "dilated3_5": (8, 8), "dilated3_7": (16, 16),
    }  # fmt: skip


def test_blocks_have_the_order_of_the_paper() -> None:
    names = [name for name, _ in ENet().named_children()]
    encoder = [name for name in names if name[-3].isdigit()]
    assert names == ["initial_block", *encoder, "transposed_conv"]
    assert [name[-3:] for name in encoder] == sorted(name[-3:] for name in encoder)


def test_published_file_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        name: torch.rand(shape) if shape else torch.tensor(7)  # a batch norm counts its batches
        for name, shape in published(12).items()
    }
    torch.save({"epoch": 280, "miou": 0.65, "state_dict": state, "optimizer": {}}, tmp_path / "ENet")
    loaded = victim("enet_camvid", tmp_path / "ENet").network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_file_of_the_older_layout_raises_error(tmp_path: Path) -> None:
    state = {name.replace("out_activation", "out_prelu"): value for name, value in ENet(12).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "ENet")
    with refuses("model.victim.weights", "not_supported", "initial_block.out_activation.weight"):
        victim("enet_camvid", tmp_path / "ENet")


@pytest.mark.parametrize(
    ("name", "classes"),
    [("enet_camvid", (*CAMVID.names, "void")), ("enet_cityscapes", ("void", *CITYSCAPES.names))],
)
def test_outputs_have_the_classes_of_the_training(name: str, classes: tuple[str, ...]) -> None:
    network = victim(name)
    network.check((24, 32))
    assert network.table.names == classes


def test_grey_levels_are_scaled_to_0_to_1() -> None:
    seen: list[Tensor] = []
    network = victim("enet_camvid")
    network.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 51.0, 255.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8))
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([0.0, 0.2, 1.0]))


def test_odd_sizes_are_padded_and_cropped_with_gradients() -> None:
    torch.manual_seed(0)
    network = with_statistics(ENet(5), torch.rand(4, 3, 32, 32))
    adapter = Victim(network, classes=list("abcde"), std=(255, 255, 255), size_multiple=8)
    images = (255 * torch.rand(2, 3, 21, 30)).requires_grad_()
    logits = adapter(images)
    rows, columns = torch.arange(24).clamp(max=20), torch.arange(32).clamp(max=29)
    padded = network(images[:, :, rows][..., columns] / 255)
    torch.testing.assert_close(logits, padded[..., :21, :30])
    (gradient,) = torch.autograd.grad(logits.square().sum(), images)
    assert torch.isfinite(gradient).all()
    assert (gradient[..., -1, :] != 0).any()
    assert (gradient[..., -1] != 0).any()


def only_the_main_branch(block: Extension | Upsampler) -> None:
    """Make the extension branch of a block add zeros."""
    norm = (block.ext_conv3 if isinstance(block, Extension) else block.ext_conv2)[1]
    nn.init.zeros_(cast(nn.BatchNorm2d, norm).weight)


def down_and_up() -> tuple[Downsampler, Upsampler]:
    """Return two blocks that only pool and unpool 4 channels."""
    down, up = Downsampler(4, 8, 0.0).eval(), Upsampler(8, 4, 0.0).eval()
    only_the_main_branch(down)
    only_the_main_branch(up)
    conv, norm = up.main_conv1
    conv.weight = nn.Parameter(torch.eye(4, 8).view(4, 8, 1, 1))
    cast(nn.BatchNorm2d, norm).eps = 0.0
    return down, up


BLOCKS_OF_TWO = torch.tensor([[1.0, 2, 0, 9], [3, 4, 8, 7], [6, 5, 1, 1], [0, 2, 3, 2]])
MAXIMA = torch.tensor([[0.0, 0, 0, 9], [0, 4, 0, 0], [6, 0, 0, 0], [0, 0, 3, 0]])


def test_pooling_keeps_the_maxima_and_pads_channels() -> None:
    down, _ = down_and_up()
    pooled, positions = down(torch.stack([BLOCKS_OF_TWO, BLOCKS_OF_TWO.flip(1)] * 2)[None])
    assert pooled[0, :2].tolist() == [[[4, 9], [6, 3]], [[9, 4], [3, 6]]]
    assert positions[0, :2].tolist() == [[[5, 3], [8, 14]], [[0, 6], [13, 11]]]
    assert pooled.shape == (1, 8, 2, 2)
    assert (pooled[:, 4:] == 0).all()


def test_unpooling_restores_positions_and_gradients_of_maxima() -> None:
    down, up = down_and_up()
    images = torch.stack([BLOCKS_OF_TWO, BLOCKS_OF_TWO.flip(1)] * 2)[None].requires_grad_()
    expected = torch.stack([MAXIMA, MAXIMA.flip(1)] * 2)[None]
    restored = up(*down(images))
    torch.testing.assert_close(restored, expected)
    (gradient,) = torch.autograd.grad(restored.sum(), images)
    torch.testing.assert_close(gradient, (expected > 0).float())


def test_initial_block_appends_the_pooled_image() -> None:
    block = ENet().initial_block.eval()
    image = torch.zeros(1, 3, 4, 4)
    image[0, :, 0, 0] = torch.tensor([1.0, 2.0, 3.0])
    features = block(image)
    assert features.shape == (1, 16, 2, 2)
    torch.testing.assert_close(features[0, 13:, 0, 0], torch.tensor([1.0, 2.0, 3.0]), rtol=1e-4, atol=0)
    assert (features[0, 13:].flatten(1)[:, 1:] == 0).all()


State = dict[str, Tensor]


def normed(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def convolved(state: State, name: str, x: Tensor, padding: tuple[int, int] = (0, 0), first: int = 0) -> Tensor:
    """Return the output of a convolution and its batch norm with published names."""
    return normed(state, f"{name}.{first + 1}", F.conv2d(x, state[f"{name}.{first}.weight"], padding=padding))


def test_bottleneck_adds_its_convolutions_to_the_input() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 7)
    block = with_statistics(Bottleneck(8, 0.0, "asymmetric"), x)
    state = {name: value.detach() for name, value in block.state_dict().items()}
    steps = F.prelu(convolved(state, "ext_conv1", x), state["ext_conv1.2.weight"])
    steps = F.prelu(convolved(state, "ext_conv2", steps, (2, 0)), state["ext_conv2.2.weight"])
    steps = F.prelu(convolved(state, "ext_conv2", steps, (0, 2), first=3), state["ext_conv2.5.weight"])
    steps = F.prelu(convolved(state, "ext_conv3", steps), state["ext_conv3.2.weight"])
    torch.testing.assert_close(block(x), F.prelu(x + steps, state["out_activation.weight"]))


def test_upsampler_adds_its_convolutions_to_the_unpooled_input() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 3, 2)
    _, positions = F.max_pool2d(torch.randn(2, 4, 6, 4), 2, return_indices=True)
    block = Upsampler(8, 4, 0.0)
    block.train()(x, positions)
    block.eval()
    state = {name: value.detach() for name, value in block.state_dict().items()}
    main = convolved(state, "main_conv1", x)
    unpooled = torch.zeros(2, 4, 24).scatter(2, positions.flatten(2), main.flatten(2)).view(2, 4, 6, 4)
    steps = F.relu(convolved(state, "ext_conv1", x))
    doubled = F.conv_transpose2d(steps, state["ext_tconv1.weight"], stride=2)
    steps = convolved(state, "ext_conv2", F.relu(normed(state, "ext_tconv1_bnorm", doubled)))
    torch.testing.assert_close(block(x, positions), F.relu(unpooled + steps))


def test_encoder_has_prelu_and_decoder_relu() -> None:
    down, up = down_and_up()
    pooled, positions = down(torch.full((1, 4, 2, 2), -4.0))
    assert (pooled[:, :4] == -1).all()
    assert (up(pooled, positions) == 0).all()
    decoder = [m for name, m in ENet().named_modules() if name.startswith(("regular4", "regular5", "upsample"))]
    assert sum(isinstance(module, nn.ReLU) for module in decoder) == 3 * 4 + 2 * 1


def test_dropout_is_off_in_a_victim() -> None:
    network, x = ENet(5), torch.rand(2, 3, 16, 16)
    assert sorted({m.p for m in network.modules() if isinstance(m, nn.Dropout2d)}) == [0.01, 0.1]
    adapter = Victim(network, classes=list("abcde")).train()
    assert torch.equal(adapter(x), adapter(x))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = with_statistics(ENet(5).double(), torch.randn(4, 3, 24, 16, dtype=torch.float64))
    x = torch.randn(1, 3, 24, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 5, 24, 16, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
    step = 1e-7
    with torch.no_grad():
        for _ in range(8):
            direction = torch.randn_like(x)
            ahead, behind = ((network(x + sign * step * direction) * weights).sum() for sign in (1, -1))
            assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)
