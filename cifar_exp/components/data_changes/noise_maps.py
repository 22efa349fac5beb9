"""Which class is mistaken for which: the published maps of asymmetric label noise."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from cifar_exp.components.validation import DefinitionError, quoted, suggestion
from cifar_exp.system.formatting import listed

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
CIFAR10 = {
    "truck": "automobile",
    "bird": "airplane",
    "cat": "dog",
    "dog": "cat",
    "deer": "horse",
}
"""Source: Patrini et al. 2017, Making Deep Neural Networks Robust to Label Noise."""

DIGITS = {"7": "1", "2": "7", "5": "6", "6": "5", "3": "8"}
"""Source: the same, for MNIST."""

CIFAR100_SUPERCLASSES = (
    "beaver dolphin otter seal whale",
    "aquarium_fish flatfish ray shark trout",
    "orchid poppy rose sunflower tulip",
    "bottle bowl can cup plate",
    "apple mushroom orange pear sweet_pepper",
    "clock keyboard lamp telephone television",
    "bed chair couch table wardrobe",
    "bee beetle butterfly caterpillar cockroach",
    "bear leopard lion tiger wolf",
    "bridge castle house road skyscraper",
    "cloud forest mountain plain sea",
    "camel cattle chimpanzee elephant kangaroo",
    "fox porcupine possum raccoon skunk",
    "crab lobster snail spider worm",
    "baby boy girl man woman",
    "crocodile dinosaur lizard snake turtle",
    "hamster mouse rabbit shrew squirrel",
    "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "bicycle bus motorcycle pickup_truck train",
    "lawn_mower rocket streetcar tank tractor",
)
"""The classes of each superclass, in the order of their labels."""


def _circular() -> dict[str, str]:
    """Return the map of each class to the next of its superclass, of the last to the first."""
    found: dict[str, str] = {}
    for line in CIFAR100_SUPERCLASSES:
        names = line.split()
        found.update(zip(names, [*names[1:], names[0]], strict=True))
    return found


CIFAR100 = _circular()
"""Source: Patrini et al. 2017."""

PUBLISHED: Sequence[tuple[frozenset[str], Mapping[str, str]]] = (
    (frozenset(CIFAR10_CLASSES), CIFAR10),
    (frozenset(string.digits), DIGITS),
    (frozenset(CIFAR100), CIFAR100),
)
"""The classes of a data set, and their map."""


def published_map(name: str, classes: Sequence[str]) -> Mapping[str, str]:
    """Return the published map for the classes of a data set, in any order.

    Raises:
        DefinitionError: There is none.
    """
    for known, found in PUBLISHED:
        if known == set(classes):
            return found
    raise DefinitionError(
        "data_changes.noise.map: is missing; maps are published for the classes of cifar10, "
        f"cifar100 and of digits only, and {name} has others ({listed(map(quoted, classes), 4)}): "
        f"name the classes that are mistaken, such as map = {{ {quoted(classes[0])} = "
        f"{quoted(classes[-1])} }}"
    )


def indices(names: Mapping[str, str], classes: Sequence[str]) -> dict[int, int]:
    """Return a map of names as one of class indices.

    Raises:
        DefinitionError: A name is that of no class; all such names are told.
    """
    unknown = dict.fromkeys(n for pair in names.items() for n in pair if n not in set(classes))
    if unknown:
        raise DefinitionError(
            "\n".join(
                f"data_changes.noise.map: there is no class {quoted(name)}"
                f"{suggestion(name, classes)}"
                for name in unknown
            )
        )
    return {classes.index(source): classes.index(target) for source, target in names.items()}
