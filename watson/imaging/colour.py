"""Whatever a file calls a pixel, as 8-bit grey or RGB.

* Alpha, also of a palette or a colour key, is composited on white, as a browser's page shows it.
* 16-bit grey is scaled from 0–65535, not clipped. 32-bit integers beyond that range, and floats, have no white of
  their own: they are stretched from their least to their greatest value (floats within 0–1 are taken for 0–1).
  16-bit colour keeps its high byte (Pillow's decoder).
* CMYK is converted without a profile; Adobe's inverted values in JPEG are put right by the decoder.
* Embedded colour profiles are not applied. The models that Watson runs were trained on pixels decoded just so, a
  profile would have to be parsed by C code from a hostile file, and the difference is small beside a model's tolerance.
  To be looked at again when a model is trained on colour-managed pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["flatten"]

_WITH_ALPHA = frozenset(("LA", "PA", "RGBA"))
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_WIDE = frozenset(("I", "F", "I;16", "I;16B", "I;16L", "I;16N"))
_SIXTEEN_BITS = 65_535


def flatten(image: Image.Image) -> Image.Image:
    """Return a picture of mode ``L`` or ``RGB``, opaque, of the same size; a grey one stays grey (it scales faster)."""
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if image.mode in _WIDE:
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if _is_transparent(image):
        return _on_white(image.convert("RGBA"))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _is_transparent(image: Image.Image) -> bool:
    if image.mode in _WITH_ALPHA:
        return True
    if image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A"):
        return True
    return image.mode in ("P", "L", "RGB", "1") and "transparency" in image.info


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, (255, 255, 255))
    page.paste(image, mask=image.getchannel("A"))
    return page


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale wide grey values to 0–255.

    Args:
        values: (H, W) uint16, int32 or float32.
    """
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(finite.min()), float(finite.max())
        return _stretch(finite, *((0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)))
    whole = values.astype(np.int64)
    low, high = int(whole.min()), int(whole.max())
    if low >= 0 and high <= _SIXTEEN_BITS:
        return ((whole + 128) // 257).astype(np.uint8)  # 65535 = 255 * 257: exact, rounded to nearest
    return _stretch(whole.astype(np.float64), float(low), float(high))


def _stretch(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    span = high - low
    if span <= 0:
        return np.zeros(values.shape, np.uint8)
    scaled: NDArray[np.uint8] = np.rint((values - low) * (255.0 / span)).astype(np.uint8)
    return scaled
