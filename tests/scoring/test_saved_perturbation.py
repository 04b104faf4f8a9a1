from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import SIZE, Brightness, make_camvid
from tests.scoring.runs import THRESHOLD, block_scene, config, make_run, noise
from uap.evaluation.saved_perturbation import SavedPerturbation, random_signs, read_saved
from uap.objectives import HideClasses, Objective
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.utils.errors import InputError
from uap.victims import Victim


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def victim(*classes: str, threshold: float = 100.0) -> Victim:
    """Return a network on which no run was learned."""
    return Victim(Brightness(threshold, len(classes)), classes=list(classes))


def static_run(root: Path, *classes: str, scene: list[list[int]] | None = None, name: str = "run") -> SavedPerturbation:
    pixels = block_scene() if scene is None else np.array(scene, np.uint8)
    size = (pixels.shape[0], pixels.shape[1])
    settings = config(root, classes=list(classes), size=size)
    return read_saved(make_run(root.parent / name, settings, noise(tile=size), pixels), name)


def dynamic_run(root: Path, *hide: str, tile: tuple[int, int] = SIZE) -> SavedPerturbation:
    settings = config(root, classes=["road", "person", "truck"], hide=list(hide))
    return read_saved(make_run(root.parent / "hide", settings, noise(tile=tile)), "hide")


def scene_of(target: Objective | None) -> list[list[int]]:
    rows: list[list[int]] = cast(Any, target).scene.tolist()
    return rows


def test_scene_is_translated_by_class_names(root: Path) -> None:
    learned = static_run(root, "road", "person", "wall", scene=[[0, 1, 2, 0]])
    target, note = learned.target_for(victim("pedestrian", "sky", "Road"), (1, 4))
    assert scene_of(target) == [[2, 0, 255, 2]]
    assert note == "25.0 % of the target has no class in this network and is ignored"
    assert scene_of(learned.target) == [[0, 1, 2, 0]]


def test_ignored_pixels_are_not_reported_as_lost(root: Path) -> None:
    learned = static_run(root, "road", "person", scene=[[0, 255, 255, 1]])
    target, note = learned.target_for(victim("person", "road"), (1, 4))
    assert scene_of(target) == [[1, 255, 255, 0]]
    assert note == ""


def test_outputs_without_a_class_are_kept_for_the_same_network(root: Path) -> None:
    learned = static_run(root, "road", "person", scene=[[0, 1, 7, 255]])
    own = Victim(Brightness(THRESHOLD), classes=["road", "person"])
    assert scene_of(learned.target_for(own, (1, 4))[0]) == [[0, 1, 7, 255]]
    target, note = learned.target_for(victim("road", "person"), (1, 4))
    assert scene_of(target) == [[0, 1, 255, 255]]
    assert note.startswith("25.0 %")


def test_network_with_other_class_names_is_another_network(root: Path) -> None:
    learned = static_run(root, "road", "person", scene=[[0, 1, 7, 255]])
    renamed = Victim(Brightness(THRESHOLD), classes=["person", "road"])
    assert scene_of(learned.target_for(renamed, (1, 4))[0]) == [[1, 0, 255, 255]]


def test_scene_is_resized_by_the_nearest_neighbor(root: Path) -> None:
    learned = static_run(root, "road", "person")
    target, _ = learned.target_for(victim("person", "road"), (12, 64))
    expected = 1 - block_scene((12, 64))
    assert scene_of(target) == expected.tolist()


def test_network_without_the_classes_of_the_scene_has_no_target(root: Path) -> None:
    learned = static_run(root, "road", "person")
    assert learned.target_for(victim("cat", "dog"), SIZE) == (
        None,
        "100.0 % of the target has no class in this network and is ignored",
    )


def test_hidden_classes_are_found_by_synonym(root: Path) -> None:
    learned = dynamic_run(root, "person")
    target, note = learned.target_for(victim("sky", "road", "pedestrian"), SIZE)
    assert cast(HideClasses, target).hidden_classes == (2,)
    assert note == ""


def test_note_names_hidden_classes_that_the_network_lacks(root: Path) -> None:
    learned = dynamic_run(root, "person", "truck")
    target, note = learned.target_for(victim("pedestrian", "road"), SIZE)
    assert cast(HideClasses, target).hidden_classes == (0,)
    assert note == "this network has no class truck"
    assert learned.target_for(victim("cat", "road"), SIZE) == (None, "this network has no class person, truck")


def test_periodic_perturbation_has_no_size(root: Path) -> None:
    assert dynamic_run(root, "person", tile=(8, 8)).size is None
    assert dynamic_run(root, "person").size == SIZE


def test_facts_describe_the_perturbation(root: Path) -> None:
    assert dynamic_run(root, "person", "truck", tile=(8, 6)).facts == {
        "network": "Brightness",
        "data": "CamVid",
        "epsilon": "60",
        "tile": "8 x 6, periodic",
        "target": "hide person, truck",
    }


def proto(learned: SavedPerturbation) -> Tensor:
    return learned.perturbation.proto.detach()


def test_control_is_epsilon_times_random_signs(root: Path) -> None:
    learned = static_run(root, "road", "person")
    (control,) = random_signs([learned], 0)
    assert (control.name, control.is_control, control.size) == ("random signs, epsilon 60", True, SIZE)
    assert proto(control).shape == (3, *SIZE)
    assert set(proto(control).flatten().tolist()) == {-60.0, 60.0}
    assert abs(float(proto(control).mean())) < 60 * 4 / (3 * SIZE[0] * SIZE[1]) ** 0.5  # four standard errors
    assert torch.equal(proto(random_signs([learned], 0)[0]), proto(control))
    assert not torch.equal(proto(random_signs([learned], 1)[0]), proto(control))
    assert control.target is learned.target
    assert not learned.is_control


def test_perturbations_with_the_same_settings_share_a_control(root: Path) -> None:
    first = static_run(root, "road", "person", name="first")
    settings = config(root, classes=["road", "person"])
    again = read_saved(make_run(root.parent / "again", settings, noise(seed=1), block_scene()), "again")
    other = static_run(root, "road", "person", scene=(1 - block_scene()).tolist(), name="other")
    assert len({first.identity(), again.identity(), other.identity()}) == 3
    assert [control.name for control in random_signs([first, again, other], 0)] == [
        "random signs, epsilon 60, in place of first",
        "random signs, epsilon 60, in place of other",
    ]


def test_folder_without_a_run_raises_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no .*config.yaml. Give the folder of a run of python -m uap.fit"):
        read_saved(root, "x")
    make_run(tmp_path / "run", config(root, classes=["a", "b"]), noise(), block_scene())
    (tmp_path / "run" / "perturbation.safetensors").unlink()
    with pytest.raises(InputError, match=r"There is no perturbation .*run.perturbation.safetensors. A finished run"):
        read_saved(tmp_path / "run", "x")


def test_static_target_without_a_scene_raises_error(root: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "run", config(root, classes=["a", "b"]), noise(), None)
    with pytest.raises(InputError, match=r"has no scene of its static target. Learn it again"):
        read_saved(tmp_path / "run", "x")


def test_identity_depends_on_perturbation_and_target(root: Path) -> None:
    identity = dynamic_run(root, "person").identity()
    assert dynamic_run(root, "person").identity() == identity
    file = root.parent / "hide" / "perturbation.safetensors"
    perturbation, metadata = load_perturbation(file)
    save_perturbation(perturbation, file, metadata | {"seconds": "7"})
    assert read_saved(root.parent / "hide", "again").identity() == identity
    with torch.no_grad():
        perturbation.proto[0, 0, 0] = 0
    save_perturbation(perturbation, file, metadata)
    assert read_saved(root.parent / "hide", "hide").identity() != identity
    assert dynamic_run(root, "truck").identity() != identity
    assert dynamic_run(root, "person", tile=(8, 8)).identity() != identity
