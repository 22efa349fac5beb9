"""MedMNIST: medical images with one label each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.published import Published, batches_of
from cifar_exp.components.datasets.source import Extent
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "https://zenodo.org/records/10519652/files/"
SPLITS = ("train", "val", "test")

_MD5 = {
    "path": "a8b06965200029087d5bd730944a56c1",
    "derma": "0744692d530f8e62ec473284d019b0c7",
    "oct": "c68d92d5b585d8d81f7112f81e2d0842",
    "pneumonia": "28209eda62fecd6e6a2d98b1501bb15f",
    "retina": "bd4c0672f1bba3e3a89f0e4e876791e4",
    "breast": "750601b1f35ba3300ea97c75c52ff8f6",
    "blood": "7053d0359d879ad8a5505303e11de1dc",
    "tissue": "ebe78ee8b05294063de985d821c1c34b",
    "organa": "68e3f8846a6bd62f0c9bf841c0d9eacc",
    "organc": "b9ceb9546e10131b32923c5bbeaea2b1",
    "organs": "9ab87b696fb54e2a387ebe992d6ed5f1",
}
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
)
CLASSES: Mapping[str, tuple[str, ...]] = {
    "path": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
        *("normal colon mucosa", "cancer-associated stroma"),
        "colorectal adenocarcinoma epithelium",
    ),
    "derma": (
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
        *("benign keratosis-like lesions", "dermatofibroma", "melanoma"),
        *("melanocytic nevi", "vascular lesions"),
    ),
    "oct": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumonia": ("normal", "pneumonia"),
    "retina": ("0", "1", "2", "3", "4"),
    "breast": ("malignant", "normal, benign"),
    "blood": (
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ),
    "tissue": (
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule"),
        *("Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes"),
        *("Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"),
    ),
    "organa": _ORGANS,
    "organc": _ORGANS,
    "organs": _ORGANS,
}
"""The names of the classes, as in version 3.0.2 of the package medmnist."""


class MedMnist(Archived):
    """MedMNIST: medical images of 2 to 11 classes, 28 x 28, with their own validation splits.

    Licence: CC BY 4.0; of derma CC BY-NC 4.0. The set `chest` has several labels per image, so it
    is left out.
    """

    name: ClassVar[str] = "medmnist"
    extent = Extent(images=89_996, size=28)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        subset: OfficialFile(url=f"{FOLDER}{subset}mnist.npz", md5=md5)
        for subset, md5 in _MD5.items()
    }

    subset: Literal[
        "path",
        "derma",
        "oct",
        "pneumonia",
        "retina",
        "breast",
        "blood",
        "tissue",
        "organa",
        "organc",
        "organs",
    ] = Field(default="path", description="Which of its data sets; without `mnist` in its name.")

    def needed(self) -> Sequence[str]:
        """Return the file of the data set."""
        return [self.subset]

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images, grey or in colour, of the three splits."""
        with np.load(files[0], allow_pickle=False) as content:
            images = [content[f"{split}_images"] for split in SPLITS]
            labels = [content[f"{split}_labels"].reshape(-1) for split in SPLITS]
        train, val, test = map(len, labels)
        if [len(part) for part in images] != [train, val, test]:
            raise ValueError("images and labels do not belong together")
        joined = np.concatenate(labels).astype(np.int64)
        if images[0].dtype != np.uint8 or joined.max() >= len(CLASSES[self.subset]):
            raise ValueError("it does not hold the images of this data set")
        return Published(
            classes=CLASSES[self.subset],
            labels=joined,
            counts=(train, val, test),
            size=images[0].shape[1],
            batches=batches_of(images),
        )
