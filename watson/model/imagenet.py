"""Names of ImageNet's 1000 classes: short enough to be categories, and each its own even without capitals."""

from __future__ import annotations

from collections import Counter
from functools import cache

from watson.model.weights import package_file

__all__ = ["categories"]

# Where WordNet's first word is shared by two classes but for capitals, what tells them apart.
_APART = {
    "n02012849": "crane (bird)",
    "n02113186": "Cardigan Welsh corgi",
    "n03126707": "crane (machine)",
    "n03710637": "maillot (leotard)",
    "n03710721": "maillot (tank suit)",
}


@cache
def categories() -> tuple[str, ...]:
    """Return the names in class order, for example ``goldfish`` for class 1.

    Read from the tables behind timm's `ImageNetInfo`, not through it: importing timm imports torch, and who submits
    a job needs the names only.

    Raises:
        UserError: timm is not installed.
    """
    synsets = _table("imagenet_synsets.txt").split()
    lemmas = dict(line.split("\t", 1) for line in _table("imagenet_synset_to_lemma.txt").splitlines())
    names = tuple(_APART.get(synset) or lemmas[synset].split(",")[0].strip() for synset in synsets)
    shared = [name for name, count in Counter(map(str.casefold, names)).items() if count > 1]
    if shared:
        raise ValueError(f"this release of timm gives several ImageNet classes one name: {shared}")
    return names


def _table(name: str) -> str:
    return package_file("timm", f"data/_info/{name}", distribution="timm").read_text("utf-8")
