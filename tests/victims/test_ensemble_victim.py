"""Several networks with one target: hand-computed joint labels, classes matched by name, one image for all."""

import pytest
import torch
from torch import nn

import uap
from tests.attacks.linear import images
from tests.helpers import refuses
from uap.attacks import SignSteps, TanhAffine
from uap.attacks.source_region import clean_classes, summed_means
from uap.evaluation import Transferred, evaluate
from uap.losses import CrossEntropy
from uap.objectives import Goal, JointTargets, LeastLikely, SwapClasses, Untargeted
from uap.utils.errors import InputError
from uap.victims import Ensemble, Victim


def network(names: list[str], seed: int) -> Victim:
    layer = nn.Conv2d(3, len(names), 1)
    with torch.no_grad():
        weight = torch.randn(len(names), 3, generator=torch.Generator().manual_seed(seed))
        layer.weight.copy_(weight[:, :, None, None] / 8)
        layer.bias.copy_(-128 * layer.weight.sum((1, 2, 3)))  # type: ignore[union-attr]
    return Victim(layer, classes=names)


def both() -> Ensemble:
    return Ensemble([network(["road", "sky", "person"], 0), network(["pedestrian", "tree", "road", "sky"], 1)])


def test_classes_are_matched_by_name_and_synonym() -> None:
    ensemble, pictures = both(), images(2)
    assert ensemble.table.names == ("road", "sky", "person")
    logits = ensemble(pictures)
    first, second = ensemble.victims
    assert torch.equal(logits[:, :, 0], first(pictures))
    assert torch.equal(logits[:, :, 1], second(pictures)[:, [2, 3, 0]])


def test_the_joint_label_is_that_of_the_more_confident_network() -> None:
    p = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], [[0.1, 0.2, 0.7], [0.4, 0.3, 0.3]]])  # pixel, network, class
    logits = p.log().permute(2, 1, 0)[None, :, :, None]  # (N, C, V, H, W) = (1, 3, 2, 1, 2)
    goal = JointTargets(SwapClasses({"person": "road"})).prepare(both(), torch.zeros(1, 3, 1, 2), logits)
    assert goal.labels.tolist() == [[[[1, 0]], [[1, 0]]]]  # sky by the second network; person by the first, now road
    assert goal.region is not None
    assert goal.region.tolist() == [[[[False, True]], [[False, True]]]]


def test_a_local_attack_on_several_networks_leaves_their_joint_classes() -> None:
    ensemble, pictures = both(), images(2) / 8 + 112  # little contrast, so that no two probabilities round to 1
    logits = ensemble(pictures)
    joint = JointTargets(SwapClasses({"person": "road"}))
    found = clean_classes(joint, ensemble, pictures, logits.argmax(1))
    sure = logits.softmax(1).amax(1)  # (N, V, H, W)
    expected = logits.argmax(1).gather(1, sure.argmax(1, keepdim=True))
    assert torch.equal(found, expected.expand(-1, 2, -1, -1))
    assert not torch.equal(found, logits.argmax(1))
    assert torch.equal(clean_classes(joint.objective, ensemble, pictures, logits.argmax(1)), logits.argmax(1))


def test_weights_use_the_largest_probability_of_the_networks() -> None:
    p = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])  # network, class
    logits = p.log().permute(1, 0)[None, :, :, None, None]
    goal = JointTargets(Untargeted()).prepare(both(), torch.zeros(1, 3, 1, 1), logits)
    weight = TanhAffine(weights="printed")._weight(logits, goal, joint=True)
    assert goal.labels.flatten().tolist() == [0, 0]
    torch.testing.assert_close(weight.flatten(), torch.ones(2))  # M = 0.6, 0.5, 0.3, and the label is class 0
    goal = JointTargets(SwapClasses({"road": "sky"})).prepare(both(), torch.zeros(1, 3, 1, 1), logits)
    weight = TanhAffine(weights="printed")._weight(logits, goal, joint=True)
    torch.testing.assert_close(weight.flatten(), torch.full((2,), (0.5 - 0.3) / (0.6 - 0.3)))


@pytest.mark.parametrize("local", [False, True])
def test_one_image_reaches_the_target_on_each_network(local: bool) -> None:
    ensemble, pictures = both(), images(2)
    first, second = ensemble.victims
    with torch.no_grad():  # networks that one image can deceive: the second is the first, twice as confident
        second.network.weight[[2, 3, 0]] = 2 * first.network.weight  # type: ignore[operator, union-attr]
        second.network.bias[[2, 3, 0]] = 2 * first.network.bias  # type: ignore[operator, union-attr]
        second.network.bias[1] = -1e3  # type: ignore[operator, union-attr]
    attack = TanhAffine(steps=60, lr=0.1, local=local, penalty=0)
    transferred = Transferred(attack, ensemble, JointTargets(SwapClasses({"road": "sky"})))
    for victim in ensemble.victims:
        before = evaluate(victim, pictures, None, SwapClasses({"road": "sky"}), progress=False).metrics["float"]
        after = evaluate(victim, pictures, transferred, transferred.objective, progress=False).metrics["float"]
        assert after["source_kept"] < 0.1
        assert after["swapped"] > before["swapped"] + (0.5 if local else 0.9)  # the local loss needs no destination
        assert after["source_kept"] < 0.1
    if local:
        made = transferred.made(pictures)
        assert made.goal.region is not None
        outside = ~made.goal.region[:, :1].expand(-1, 3, -1, -1)
        assert torch.equal(made.adversarial[outside], pictures[outside])


@pytest.mark.parametrize("local", [False, True])
def test_the_losses_of_the_networks_are_summed_and_the_penalty_is_not(local: bool) -> None:
    one, pictures, swap = network(["road", "sky", "person"], 0), images(2), SwapClasses({"road": "sky"})
    twice = Ensemble([one, one])
    joint = TanhAffine(steps=5, local=local, penalty=20)(twice, pictures, JointTargets(swap))
    alone = TanhAffine(steps=5, local=local, penalty=10)(one, pictures, swap)
    torch.testing.assert_close(joint, alone, atol=0.01, rtol=0)


def test_a_network_with_a_small_source_region_has_the_same_weight() -> None:
    values = torch.tensor([[[[4.0, 4.0, 4.0, 4.0]], [[8.0, 0.0, 0.0, 0.0]]]], requires_grad=True)
    region = torch.tensor([[[[True, True, True, True]], [[True, False, False, False]]]])
    found = summed_means(values, region)
    assert found.tolist() == [12]
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.flatten().tolist() == [0.25, 0.25, 0.25, 0.25, 1, 0, 0, 0]


def test_one_network_has_no_joint_targets() -> None:
    one, pictures = network(["road", "sky", "person"], 0), images(2)
    joint = JointTargets(SwapClasses({"road": "sky"}))
    with refuses("objective", "wrong_shape", "Ensemble"):
        TanhAffine(steps=1)(one, pictures, joint)
    with refuses("objective", "wrong_shape", "Ensemble"):
        uap.learn(one, pictures, JointTargets(Untargeted()), ensemble=[one], progress=False)


def test_the_mean_of_the_locations_is_that_of_the_networks() -> None:
    ensemble, pictures = Ensemble([network(["road", "sky"], seed) for seed in (0, 1)]), images(2)
    goal = JointTargets(Untargeted()).prepare(ensemble, pictures, ensemble(pictures))
    whole = CrossEntropy(None)(ensemble(pictures), goal)
    each = [CrossEntropy(None)(victim(pictures), Goal(goal.labels[:, 0], sign=-1)) for victim in ensemble.victims]
    torch.testing.assert_close(whole.mean(), (each[0].mean() + each[1].mean()) / 2)


def test_untargeted_joint_attacks_are_scored_by_the_predictions_of_each_network() -> None:
    ensemble, pictures = both(), images(2)
    transferred = Transferred(SignSteps(epsilon=40, alpha=8, steps=10), ensemble, JointTargets(Untargeted()))
    for victim in ensemble.victims:
        found = evaluate(victim, pictures, transferred, transferred.objective, progress=False)
        assert found.metrics["float"]["kept"] < 0.6


def test_one_network_no_common_class_and_other_objectives_are_refused() -> None:
    with pytest.raises(InputError) as error:
        Ensemble([network(["road", "sky"], 0)])
    assert error.value.setting == "victims"
    with pytest.raises(InputError) as error:
        Ensemble([network(["road", "sky"], 0), network(["road", "car"], 0)])
    assert error.value.kind == "conflict"
    with pytest.raises(InputError) as error:
        JointTargets(LeastLikely())  # type: ignore[arg-type]
    assert error.value.setting == "objective"
