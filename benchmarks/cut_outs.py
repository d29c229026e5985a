"""Pictures whose outlines are known to the pixel: photographic cut-outs laid on corners of photographs.

The cut-outs are Tux Paint's stamps, as Debian's package ``tuxpaint-stamps-default`` has them (GPL-2: fetched when
needed, never kept in the repository). The backgrounds are the demo's photographs and three textures.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photographs import originals
from watson.errors import UserError

PACKAGE = "tuxpaint-stamps-default"
CACHE = Path(__file__).parents[1] / "build" / "cam-quality"
_STAMPS = "usr/share/tuxpaint/stamps"
_PHOTOGRAPHIC = (
    *("animals", "food/fruit", "food/nuts", "food/vegetables", "hobbies", "household", "military/vehicles"),
    *("plants/flowers", "plants/mushrooms", "sports", "vehicles"),
)
_DRAWN = frozenset({"cartoon", "toys", "plastic", "bee", "hedgehog", "echidna"})
"""Folders and files of drawings and of things made to look like others."""
_FEWEST_PIXELS = 130
"""Long side of the smallest stamp used: smaller ones would be blown up to blurs."""
_SIZES = ((480, 360), (360, 480), (448, 448), (512, 320))
_LARGEST_SHARE = 0.85
_SMALLEST_SHARE = 0.4
NAMES: dict[str, tuple[str, ...]] = {
    "crowned_crane": ("crane (bird)",),
    "drake": ("drake",),
    "duck": ("drake",),
    "gander": ("goose",),
    "hen": ("hen",),
    "rooster": ("cock",),
    "heron_greatblue": ("little blue heron",),
    "heron_greatblue_flying": ("little blue heron",),
    "penguin": ("king penguin",),
    "little-penguin": ("king penguin",),
    "magellanic_penguin": ("king penguin",),
    "ostrich": ("ostrich",),
    "peacock": ("peacock",),
    "pelican": ("pelican",),
    "pink_flamingo": ("flamingo",),
    "rainbow-lorikeet": ("lorikeet",),
    "tucan": ("toucan",),
    "vulture": ("vulture",),
    "lionfish": ("lionfish",),
    "lobster": ("American lobster", "spiny lobster"),
    "Brown_slug": ("slug",),
    "fly": ("fly",),
    "grasshopper": ("grasshopper", "cricket"),
    "mantis": ("mantis",),
    "iguana": ("common iguana",),
    "chimp": ("chimpanzee",),
    "gorilla": ("gorilla",),
    "orca": ("killer whale",),
    "otter": ("otter",),
    "sea_lion": ("sea lion",),
    "badger": ("badger",),
    "bear": ("American black bear", "brown bear"),
    "european-bear": ("brown bear",),
    "bison": ("bison",),
    "ram": ("ram",),
    "camel": ("Arabian camel",),
    "dromedary": ("Arabian camel",),
    "lion": ("lion",),
    "lion-2": ("lion",),
    "tiger": ("tiger",),
    "tiger_sumatran": ("tiger",),
    "fox": ("red fox", "kit fox", "grey fox"),
    "elephant": ("Indian elephant", "African elephant", "tusker"),
    "zebra": ("zebra",),
    "ferret": ("black-footed ferret", "polecat"),
    "hippopotamus": ("hippopotamus",),
    "pig": ("hog",),
    "pig_golden": ("hog",),
    "pig_golden2": ("hog",),
    "rabbit": ("wood rabbit", "hare", "Angora"),
    "rabbit-2": ("wood rabbit", "hare", "Angora"),
    "rabbit_little": ("wood rabbit", "hare", "Angora"),
    "beaver": ("beaver",),
    "marmot": ("marmot",),
    "squirrel": ("fox squirrel",),
    "wildboar": ("wild boar",),
    "koala": ("koala",),
    "wombat": ("wombat",),
    "Strawberry2": ("strawberry",),
    "orange_seville": ("orange",),
    "corn": ("corn", "ear"),
    "binoculars": ("binoculars",),
    "camera_35mm": ("reflex camera",),
    "drum_tomtom_floor": ("drum",),
    "cello": ("cello",),
    "violin": ("violin",),
    "bassoon": ("bassoon",),
    "guitar_classical": ("acoustic guitar",),
    "guitar2": ("electric guitar",),
    "guitar_electric": ("electric guitar",),
    "guitar_electric_bass": ("electric guitar",),
    "trumpet": ("cornet",),
    "toilet": ("toilet seat",),
    "cep": ("bolete", "mushroom"),
    "cep-1": ("bolete", "mushroom"),
    "cep-2": ("bolete", "mushroom"),
    "firetruck": ("fire engine",),
    "balloon360": ("balloon",),
    "747": ("airliner",),
    "garbagetruck": ("garbage truck",),
    "indycar": ("racer",),
    "7spoke256": ("car wheel",),
    "sportscar2": ("sports car", "convertible"),
    "truck": ("pickup",),
}
"""What ImageNet calls those stamps that show one of its classes."""


@dataclass(frozen=True, slots=True)
class CutOut:
    """One picture and the truth about it.

    Attributes:
        name: of the stamp.
        picture: (H, W, 3) uint8, RGB, 0–255.
        truth: (H, W) bool, where the thing covers more than half of the pixel.
    """

    name: str
    picture: NDArray[np.uint8]
    truth: NDArray[np.bool_]


def stamps() -> list[Path]:
    """The photographic cut-outs, in a fixed order; fetched on the first call.

    Raises:
        UserError: they are not here and this machine cannot fetch them.
    """
    root = unpacked()
    found = {path for folder in _PHOTOGRAPHIC for path in (root / folder).rglob("*.png")}
    return sorted(path for path in found if _is_photographic(path.relative_to(CACHE / "stamps")))


def unpacked() -> Path:
    """The folder of all stamps, drawn ones too; fetched on the first call.

    Raises:
        UserError: they are not here and this machine cannot fetch them.
    """
    root = CACHE / "stamps"
    if not root.is_dir():
        _fetch(root)
    return root / _STAMPS


def cut_outs(seed: int, number: int) -> Iterator[CutOut]:
    """Yield ``number`` pictures; the same for the same seed. Each stamp comes once before any comes again."""
    random = np.random.default_rng(seed)
    paths, grounds = stamps(), backgrounds()
    order: list[int] = []
    for _ in range(number):
        order = order or list(random.permutation(len(paths)))
        path = paths[order.pop()]
        with Image.open(path) as image:
            stamp = np.asarray(image.convert("RGBA"))
        yield _laid(path.stem, stamp, grounds[random.integers(len(grounds))], random)


def backgrounds() -> list[NDArray[np.uint8]]:
    """The photographs of which corners are taken, each (H, W, 3) uint8."""
    spec = find_spec("skimage")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    textures = [root / "data" / name for root in roots for name in ("brick.png", "grass.png", "gravel.png")]
    return [np.asarray(image) for image in [*originals(), *(Image.open(path).convert("RGB") for path in textures)]]


def _laid(name: str, stamp: NDArray[np.uint8], ground: NDArray[np.uint8], random: np.random.Generator) -> CutOut:
    width, height = _SIZES[random.integers(len(_SIZES))]
    picture = _corner(ground, width, height, random).astype(np.float32)
    share = random.uniform(_SMALLEST_SHARE, _LARGEST_SHARE)
    scale = share * min(width / stamp.shape[1], height / stamp.shape[0])
    size = max(1, round(stamp.shape[1] * scale)), max(1, round(stamp.shape[0] * scale))
    alpha = stamp[..., 3:].astype(np.float32) / 255
    # Colours weighted by alpha: what a stamp has where it is transparent must not bleed into its edge.
    layers = np.concatenate([stamp[..., :3] * alpha, alpha], axis=2)
    layers = cv2.resize(layers, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    colours, alpha = layers[..., :3], np.clip(layers[..., 3:], 0, 1)
    if random.random() < 0.5:
        colours, alpha = colours[:, ::-1], alpha[:, ::-1]
    left, top = random.integers(width - size[0] + 1), random.integers(height - size[1] + 1)
    place = np.s_[top : top + size[1], left : left + size[0]]
    picture[place] = picture[place] * (1 - alpha) + colours
    truth = np.zeros((height, width), np.bool_)
    truth[place] = alpha[..., 0] > 0.5
    return CutOut(name, _as_jpeg(picture + random.normal(0, 2, picture.shape)), truth)


def _corner(ground: NDArray[np.uint8], width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A corner holds the surroundings rather than the main thing; a little out of focus, as backgrounds are."""
    share = random.uniform(0.35, 0.55)
    scale = min(ground.shape[1] / width, ground.shape[0] / height) * share
    wide, high = max(1, int(width * scale)), max(1, int(height * scale))
    left = (ground.shape[1] - wide) * random.integers(2)
    top = (ground.shape[0] - high) * random.integers(2)
    enlarged = cv2.resize(ground[top : top + high, left : left + wide], (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(enlarged, (0, 0), random.uniform(0.5, 3)))


def _as_jpeg(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What JPEG leaves of it: the model never sees other pictures."""
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def _is_photographic(path: Path) -> bool:
    if _DRAWN.intersection((*path.parts, path.stem)) or path.stem.endswith("_mirror"):
        return False
    with Image.open(CACHE / "stamps" / path) as image:
        return max(image.size) >= _FEWEST_PIXELS and "A" in image.convert("RGBA").getbands()


def _fetch(root: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UserError(f"The cut-outs come from Debian's package {PACKAGE}, and this machine has no apt-get")
    CACHE.mkdir(parents=True, exist_ok=True)
    if not (archives := sorted(CACHE.glob(f"{PACKAGE}_*.deb"))):
        done = subprocess.run(["apt-get", "download", PACKAGE], cwd=CACHE, capture_output=True, text=True, check=False)
        archives = sorted(CACHE.glob(f"{PACKAGE}_*.deb"))
        if done.returncode != 0 or not archives:
            raise UserError(
                f"apt-get download {PACKAGE} failed: {done.stderr.strip()}. "
                f"Do: apt-get update; or put the .deb into {CACHE}"
            )
    unpacked = root.with_name("unpacking")
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", archives[-1], unpacked], check=True)
    unpacked.rename(root)  # last, so that what is there is whole
