"""``watson`` with a stand-in model that raises on every picture: what a bad deploy is to the rest of the line.

A module of the tests, so that no user can name such a model. The model's name and version are those of the good one.
"""

from __future__ import annotations

from collections.abc import Sequence

from watson.cli.app import main
from watson.model import threshold
from watson.model.segmenter import Picture, Segmentation


def _segment(_self: threshold.Threshold, _pictures: Sequence[Picture]) -> list[Segmentation]:
    raise RuntimeError("no kernel image is available for execution on the device")


if __name__ == "__main__":
    threshold.Threshold.segment = _segment  # type: ignore[method-assign]  # the fault to be injected
    main()
