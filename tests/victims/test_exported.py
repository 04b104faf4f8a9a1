import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right
from tests.victims.test_export_archive import Hostile, pytestmark  # noqa: F401  # skips with old versions of torch
from uap.utils.errors import InputError
from uap.victims import Exported, Victim

SETTINGS: dict[str, Any] = {"classes": list("abc"), "mean": (128.0, 128.0, 128.0), "std": (64.0, 64.0, 64.0)}
SIZE = (12, 16)


class Net(nn.Module):
    """A network with half-size logits, a constant, pixel coordinates, and an in-place change of an activation."""

    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.last = nn.Conv2d(4, 3, 1)
        self.scale = torch.tensor([scale, 2.0, 3.0]).view(1, 3, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu_(self.norm(self.first(x)))
        ramp = torch.arange(y.shape[-1], device=x.device) / 8
        return self.last(self.drop(y)) * self.scale + ramp, y


def save(path: Path, network: nn.Module | None = None, dynamic: Any = None, size: tuple[int, int] = SIZE) -> str:
    network = Net().eval() if network is None else network
    image = torch.rand(2, 3, *size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises torch.export
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(network, (image,), dynamic_shapes=dynamic), path)
        elif path.stem == "script":
            torch.jit.save(torch.jit.script(network), path)
        else:
            torch.jit.save(torch.jit.trace(network, image), path)  # type: ignore[no-untyped-call]
    return str(path)


def all_sizes() -> Any:
    auto = torch.export.Dim.AUTO
    return ({0: auto, 2: auto, 3: auto},)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("programs")
    return {name: save(folder / name, dynamic=dynamic) for name, dynamic in FILES.items()}


FILES = {"script.pt": None, "traced.pt": None, "fixed.pt2": None, "dynamic.pt2": all_sizes()}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("count", [1, 3])
def test_program_has_the_logits_of_the_network_for_any_batch_size(
    programs: dict[str, str], name: str, count: int
) -> None:
    victim = Exported(programs[name], **SETTINGS)
    victim.check(SIZE)
    images = torch.randint(0, 256, (count, 3, *SIZE)).float()
    torch.testing.assert_close(victim(images), Victim(Net(), **SETTINGS)(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_gradient_equals_finite_differences(programs: dict[str, str], name: str) -> None:
    victim = Exported(programs[name], **SETTINGS)
    assert_gradient_is_right(victim, *SIZE, count=3)
    assert not any(parameter.requires_grad for parameter in victim.parameters())


def test_program_of_a_fixed_size_needs_that_size(programs: dict[str, str]) -> None:
    path = programs["fixed.pt2"]
    with pytest.raises(
        InputError, match=r"fails on images of 24 x 32 .* == 12.*Set --data\.size or victim\.input_size"
    ):
        Exported(path, **SETTINGS).check((24, 32))
    victim = Exported(path, input_size=SIZE, **SETTINGS)
    victim.check((24, 32))
    assert_gradient_is_right(victim, 24, 32)


def test_program_of_dynamic_sizes_accepts_them(programs: dict[str, str]) -> None:
    victim = Exported(programs["dynamic.pt2"], **SETTINGS)
    victim.check((20, 28))
    assert_gradient_is_right(victim, 20, 28)


@pytest.mark.parametrize("name", ["traced.pt", "fixed.pt2"])
def test_program_in_training_mode_is_named(tmp_path: Path, name: str) -> None:
    victim = Exported(save(tmp_path / name, Net().train()), **SETTINGS)
    with pytest.raises(InputError, match=r"gives another result for an image.*Export files from network\.eval"):
        victim.check(SIZE)


def test_scripted_code_is_put_into_eval_mode(tmp_path: Path) -> None:
    Exported(save(tmp_path / "script.pt", Net().train()), **SETTINGS).check(SIZE)


@pytest.mark.parametrize("name", ["traced.pt", "fixed.pt2"])
def test_fingerprint_depends_on_the_program(tmp_path: Path, name: str) -> None:
    """The fingerprint is equal for the same file, and differs for another constant with the same weights."""
    paths = []
    for i, network in enumerate((Net(), Net(scale=1.5), Net(seed=1))):
        (tmp_path / str(i)).mkdir()
        paths.append(save(tmp_path / str(i) / name, network.eval()))
    prints = [Exported(path, **SETTINGS).fingerprint() for path in [*paths, paths[0]]]
    assert len(set(prints)) == 3
    assert prints[0] == prints[3]
    assert Exported(paths[0], **SETTINGS | {"classes": list("def")}).fingerprint() == prints[0]


@pytest.mark.parametrize("name", ["fixed.pt2", "dynamic.pt2"])
def test_program_moves_to_another_device(programs: dict[str, str], name: str) -> None:
    victim = Exported(programs[name], **SETTINGS).to("meta")
    logits = victim(torch.rand(3, 3, *SIZE, device="meta"))
    assert logits.device.type == "meta"
    assert logits.shape == (3, 3, *SIZE)


def test_hostile_script_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "hostile.pt"
    with zipfile.ZipFile(save(tmp_path / "traced.pt")) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, pickle.dumps(Hostile(), 2) if name.endswith("/data.pkl") else content)
    with pytest.raises(InputError, match=r"hostile\.pt cannot be loaded as TorchScript"):
        Exported(str(path))
    assert not Path("trapped").exists()


def test_files_without_a_program_are_named(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("text")
    for name in ("weights", "text"):
        with pytest.raises(
            InputError, match=rf"{name}\.pt cannot be loaded as TorchScript \(.+\)\. Pass a file of weights"
        ):
            Exported(str(tmp_path / f"{name}.pt"))
    torch.save(Net().state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(InputError, match=r"weights\.pt2 cannot be read as a program of torch\.export\.save"):
        Exported(str(tmp_path / "weights.pt2"))
    with pytest.raises(InputError, match=r"There is no file none\.pt2 in .*\. Check the path"):
        Exported("none.pt2")


def test_program_of_two_inputs_is_named(tmp_path: Path) -> None:
    program = torch.export.export(nn.Bilinear(3, 3, 2), (torch.rand(2, 3), torch.rand(2, 3)))
    torch.export.save(program, tmp_path / "two.pt2")
    with pytest.raises(InputError, match=r"two\.pt2 takes 2 inputs, expected only the image"):
        Exported(str(tmp_path / "two.pt2"))


def test_custom_operator_is_named(tmp_path: Path) -> None:
    @torch.library.custom_op("uap_tests::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return 2 * x

    twice.register_fake(torch.empty_like)

    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = twice(x)
            return result

    path = save(tmp_path / "custom.pt2", Custom())
    with pytest.raises(InputError, match=r"custom\.pt2 contains target 'torch\.ops\.uap_tests\.twice\.default'"):
        Exported(path)
