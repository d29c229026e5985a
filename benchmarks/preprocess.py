"""How near preprocessing is to the decoder's own speed: ``python benchmarks/preprocess.py``.

For photographs at camera size (4000 × 3000, JPEG) it times, in one run and on one thread: Pillow's full decode, its
draft decode at the fraction that Watson asks for, and `normalise` as a whole (decode, scale, encode). The ratios are
what counts; the milliseconds are this machine's. Needs the photographs of ``watson[demo]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image
from skimage import data as skimage_data
from sklearn.datasets import load_sample_images

from watson.imaging import normalise
from watson.imaging.decode import DRAFT_MARGIN

SIZE = (4000, 3000)
MAX_PIXELS = 200_000_000


def photographs() -> Iterator[tuple[str, bytes]]:
    """Name and JPEG of each, scaled up to `SIZE`, with sensor noise added: without it they would decode too easily."""
    sources = {
        "astronaut": skimage_data.astronaut(),
        "chelsea": skimage_data.chelsea(),
        "coffee": skimage_data.coffee(),
        "rocket": skimage_data.rocket(),
        **dict(zip(("china", "flower"), load_sample_images().images, strict=True)),
    }
    noise = np.random.default_rng(0).normal(0, 6, (SIZE[1], SIZE[0], 1))
    for name, pixels in sources.items():
        large = np.asarray(Image.fromarray(pixels).resize(SIZE, Image.Resampling.LANCZOS), np.float32)
        out = BytesIO()
        Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
        yield name, out.getvalue()


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the best run: what others do on the machine at the same time can only add to it."""
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def full(data: bytes) -> None:
    Image.open(BytesIO(data)).load()


def draft(data: bytes, long_side: int) -> None:
    image = Image.open(BytesIO(data))
    share = DRAFT_MARGIN * long_side / max(image.size)
    image.draft(None, (round(image.width * share), round(image.height * share)))
    image.load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long-side", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(
        f"{'photograph':12} {'MB':>5} {'full ms':>8} {'draft ms':>8} {'normalise ms':>12} {'/ full':>7} {'/ draft':>8}"
    )
    ratios = []
    for name, data in photographs():
        whole = seconds(lambda data=data: full(data), options.repeats)
        quick = seconds(lambda data=data: draft(data, options.long_side), options.repeats)
        work = seconds(
            lambda data=data: normalise(data, long_side=options.long_side, max_pixels=MAX_PIXELS), options.repeats
        )
        ratios.append((work / whole, work / quick))
        print(
            f"{name:12} {len(data) / 1e6:5.1f} {whole * 1e3:8.1f} {quick * 1e3:8.1f} {work * 1e3:12.1f}"
            f" {work / whole:7.2f} {work / quick:8.2f}"
        )
    to_full, to_draft = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"median: normalise takes {to_full:.2f} × the full decode, {to_draft:.2f} × the draft decode")


if __name__ == "__main__":
    main()
