from __future__ import annotations

import numpy as np
import pytest

from watson.errors import UserError

pytestmark = pytest.mark.torch


@pytest.fixture(params=["efficientnet_lite0", "mobilenet_v3_large", "resnet50"])
def base(request):
    from watson.model.backbones import base_named

    return base_named(request.param)


def test_every_base_gives_maps_of_its_channels_at_strides_4_to_32(base):
    import torch

    from watson.model.fpn import maps_of

    torch.set_num_threads(1)
    maps = maps_of(base.build().eval(), torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape) for level in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(base.channels, (4, 8, 16, 32), strict=True)
    ]


def test_a_picture_is_scaled_and_normalised(base):
    picture = np.full((10, 20, 3), 255, np.uint8)
    prepared = base.prepared(picture, (64, 32))
    assert prepared.shape == (3, 32, 64)
    assert prepared[:, 0, 0].tolist() == pytest.approx(
        [(1 - mean) / scale for mean, scale in zip(base.mean, base.scale, strict=True)]
    )


def test_the_maps_are_those_of_the_network_that_names_pictures():
    import torch

    from watson.model import efficientnet_cam
    from watson.model.backbones import base_named, pretrained
    from watson.model.efficientnet_network import load_network
    from watson.model.fpn import maps_of

    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    whole = load_network(efficientnet_cam.weights())
    with torch.inference_mode():
        finest, *_, coarsest = maps_of(pretrained(base_named("efficientnet_lite0")), picture)
        expected = whole.forward_head(whole.bn2(whole.conv_head(coarsest)))
        assert torch.allclose(whole(picture), expected, atol=1e-4)
        assert finest.shape == (1, 24, 16, 16)


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "resnet50"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_torchvision_are_read_from_a_file(tmp_path, name, suffix):
    import safetensors.torch
    import torch
    import torchvision

    from watson.model.backbones import base_named, pretrained

    torch.manual_seed(3)
    whole = torchvision.models.get_model(name, weights=None)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(whole.state_dict(), path)
    else:
        safetensors.torch.save_file(whole.state_dict(), path)
    network = pretrained(base_named(name), path)
    whole_weights = {tuple(t.shape): t for n, t in whole.state_dict().items() if n.endswith("weight") and t.ndim == 4}
    own = [t for n, t in network.state_dict().items() if t.ndim == 4]
    assert any(torch.equal(tensor, whole_weights[tuple(tensor.shape)]) for tensor in own)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_weights_of_another_network_are_refused(tmp_path):
    import torch
    import torchvision

    from watson.model.backbones import base_named, pretrained

    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"does not hold the weights of resnet50: .* is missing or of another shape"):
        pretrained(base_named("resnet50"), tmp_path / "weights.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, suffix):
    from watson.model.backbones import base_named, pretrained

    path = tmp_path / f"weights{suffix}"
    with pytest.raises(UserError, match="cannot be read"):
        pretrained(base_named("resnet50"), path)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"holds no weights that can be read safely"):
        pretrained(base_named("resnet50"), path)
