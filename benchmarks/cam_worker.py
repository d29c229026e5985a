"""Runs one version of the default model for ``benchmarks.cam_quality``, picture by picture, on one thread.

A script of its own, since two versions of a package cannot live in one process: PYTHONPATH says whose ``watson`` it
is. Reads names of ``.npy`` files from its input, a line each; answers each with a line of JSON, and with the masks in
``<name>.<version>.npz`` beside it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from watson.model import efficientnet_cam
from watson.model.efficientnet_cam import EfficientNetCam
from watson.model.segmenter import Picture


def main() -> None:
    """Answer line by line until the input ends."""
    version = sys.argv[1]
    model = efficientnet_cam.load(torch_threads=1)
    for line in sys.stdin:
        path = Path(line.strip())
        picture = np.load(path)
        # This process's own time: what others take of the machine is left out, though not what they do to caches.
        began = time.process_time()
        found = model.segment([picture])[0].instances
        seconds = time.process_time() - began
        masks = [one.mask for one in found] or [np.zeros(picture.shape[:2], np.bool_)]
        np.savez_compressed(path.with_suffix(f".{version}.npz"), np.array(masks))
        named = [one.category_id for one in found]
        print(json.dumps({"seconds": seconds, "named": named, "best": best(model, picture)}), flush=True)


def best(model: EfficientNetCam, picture: Picture) -> list[int]:
    """The five likeliest classes, likeliest first."""
    # Naming alone is no part of the model's interface, and the first version has no method for it.
    views = [model._network([picture], area)[0] for area in model._configuration.areas]  # noqa: SLF001 - as said above
    if hasattr(model, "_scores"):
        scores = model._scores(views)  # noqa: SLF001 - as said above
    else:
        powers = [np.exp((view.logits - view.logits.max()).astype(np.float64) / 0.5) for view in views]
        scores = np.mean([some / some.sum() for some in powers], axis=0)
    return [int(one) for one in np.argsort(-scores, kind="stable")[:5]]


if __name__ == "__main__":
    main()
