"""Suggestions for unknown names of networks, without an import of torch."""

from __future__ import annotations

from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.models.networks.base import LibraryModel
from cifar_exp.components.models.networks.timm import Timm
from cifar_exp.components.models.networks.torchvision import Torchvision
from cifar_exp.components.validation import nearest, quoted, unknown

LIBRARIES: dict[str, type[LibraryModel]] = {
    library.prefix: library for library in (Torchvision, Timm)
}
"""The libraries of networks by prefix."""

MOST_LISTED = 100
"""Names in a message; timm has more than a thousand."""

_NAMES = """
alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75
mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf
regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d
resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s
swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32
vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
"""
TORCHVISION_NAMES = _NAMES.split()
"""The classification networks of torchvision 0.29, for suggestions only."""


def unknown_model(name: str, known: list[str]) -> str:
    """Return the message about an unknown network: the most similar name, or those in `known`.

    Networks of all sources are compared by the name after their prefix, if they have one.
    """
    own = {bare: bare for bare in MODELS}
    of_torchvision = {bare: f"{Torchvision.prefix}{bare}" for bare in TORCHVISION_NAMES}
    if name.startswith(Timm.prefix):
        full_names = {known_name.rpartition(":")[2]: known_name for known_name in known}
    elif name.startswith(Torchvision.prefix):
        full_names = {**own, **of_torchvision}
    else:
        full_names = {**of_torchvision, **own}
    match = nearest(name.rpartition(":")[2], full_names)
    if match is None:
        return unknown("model", name, known[:MOST_LISTED])
    return f'unknown model {quoted(name)}; did you mean "{full_names[match]}"?'
