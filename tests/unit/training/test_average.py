"""Averaged weights: the moving average in closed form, and a network that has them for a while."""

import pytest
import torch
from torch import nn

from edge_harmony.training.average import AveragedWeights


def network(value):
    model = nn.BatchNorm1d(2, affine=True)
    with torch.no_grad():
        model.weight.fill_(value)
    return model


def test_the_average_of_a_constant_change_is_the_geometric_sum():
    """Weights that jump from 0 to 1: after n steps of decay d the average is 1 - d^n (the first steps decay less)."""
    average = AveragedWeights.of(network(0.0), 0.05)
    for n in range(1, 6):
        average.update(network(1.0), 100)
        torch.testing.assert_close(average.tensors["weight"], torch.full((2,), 1 - 0.05**n))


def test_the_first_steps_keep_less():
    average = AveragedWeights.of(network(0.0), 0.999)
    average.update(network(1.0), 1)
    torch.testing.assert_close(average.tensors["weight"], torch.full((2,), 1 - 2 / 11))


def test_without_a_decay_there_is_no_average_and_counters_are_taken_as_they_are():
    average, model = AveragedWeights.of(network(0.0), 0.0), network(3.0)
    model(torch.rand(4, 2))
    average.update(model, 1)
    assert average.tensors.keys() == model.state_dict().keys()
    assert all(torch.equal(average.tensors[name], value) for name, value in model.state_dict().items())
    assert int(average.tensors["num_batches_tracked"]) == 1


def test_a_network_has_the_average_for_a_while_and_its_own_weights_after_an_error_too():
    average, model = AveragedWeights.of(network(0.25), 0.9), network(1.0)
    weights = []

    def fail():
        with average.within(model):
            weights.append(float(model.weight[0]))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert weights == [0.25]
    assert float(model.weight[0]) == 1.0
    assert float(average.tensors["weight"][0]) == 0.25
