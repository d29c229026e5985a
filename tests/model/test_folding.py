"""The network in fewer steps is the network."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def norm(channels: int, **options: bool) -> Any:
    """With other statistics and weights than a new one has."""
    from timm.layers import BatchNormAct2d
    from torch import nn

    made = BatchNormAct2d(channels, act_layer=nn.ReLU6, **options)
    for tensor in (made.weight, made.bias, made.running_mean, made.running_var):
        tensor.data.uniform_(0.5, 2)
    return made


def stage(kernel: int) -> Any:
    """A convolution that halves, depth by depth, and one across the depths; each with norm, the first activated."""
    import torch
    from timm.layers import Conv2dSame
    from torch import nn

    torch.manual_seed(kernel)
    return nn.Sequential(
        Conv2dSame(6, 6, kernel, stride=2, groups=6, bias=False),
        norm(6),
        nn.Sequential(nn.Conv2d(6, 4, 1, bias=False), norm(4, apply_act=False)),
    ).eval()


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(32, 64), (2, 2), (96, 32)])
def test_the_folded_network_says_the_same_but_for_rounding(kernel: int, size: tuple[int, int]) -> None:
    import torch
    from timm.layers import BatchNormAct2d, Conv2dSame

    from watson.model.folding import fold_batch_norms, fold_padding

    network, picture = stage(kernel), 3 * torch.randn(1, 6, *size)
    with torch.inference_mode():
        before = network(picture)
        fold_batch_norms(network)
        fold_padding(network)
        after = network(picture)
    assert before.std() > 0.1
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    kinds = {type(module) for module in network.modules()}
    assert BatchNormAct2d not in kinds
    assert Conv2dSame not in kinds


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1), (3, 4)])
def test_padding_that_cannot_be_folded_is_refused(kernel: int, stride: int) -> None:
    from timm.layers import Conv2dSame
    from torch import nn

    from watson.model.folding import fold_padding

    with pytest.raises(ValueError, match="square odd kernels of stride 2 only"):
        fold_padding(nn.Sequential(Conv2dSame(3, 3, kernel, stride=stride)))
