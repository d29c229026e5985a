"""Models that people bring, on the full pipeline: registered, named, run side by side on one worker, and right."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.line import Line
from watson.events import ImageCatalogued
from watson.model.description import read_description
from watson.model.kinds import kind_named
from watson.model.masks import decode_masks, encode_masks
from watson.model.preparing import ReadyModel, prepare

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(400)]


def _lraspp(folder: Path) -> Path:
    """LR-ASPP from a local file of weights, as somebody trained it: here at random, so that masks are many."""
    import torch
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.manual_seed(7)
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    torch.save(network.state_dict(), folder / "lraspp.pth")
    file = folder / "street.toml"
    file.write_text(
        'name = "street"\nkind = "torchvision"\nweights = "lraspp.pth"\nlicence = "CC0-1.0"\n'
        f'sha256 = "{hashlib.sha256((folder / "lraspp.pth").read_bytes()).hexdigest()}"\n'
        '[configuration]\narchitecture = "lraspp_mobilenet_v3_large"\nresize = 96\nlongest = 192\n'
    )
    return file


def _bright(folder: Path) -> Path:
    """A network of one's own, as TorchScript: what is bright."""
    import torch

    class Bright(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            luma = pictures.mean(dim=1, keepdim=True)
            return torch.cat([0.5 - luma, luma - 0.5], dim=1) * 20

    torch.jit.script(Bright()).save(str(folder / "bright.pt"))
    file = folder / "bright.json"
    file.write_text(json.dumps({
        "name": "bright", "kind": "torchscript", "weights": "bright.pt",
        "configuration": {
            "input": {"longest": 96, "multiple": 32},
            "output": {"kind": "semantic-logits", "background": 0},
            "categories": ["disc"],
        },
    }))  # fmt: skip
    return file


def _catalogued(line: Line, job: str) -> list[ImageCatalogued]:
    """What the catalogue holds of a job, by Watson's own reader."""
    import asyncio

    from watson.settings import Settings
    from watson.storage.connect_catalogue import catalogue

    fields = {name.removeprefix("WATSON_").lower(): text for name, text in line.environment.items()}

    async def read() -> list[ImageCatalogued]:
        rows = catalogue(Settings(**fields))
        await rows.open()
        try:
            return list((await rows.images(job, limit=500)).items)
        finally:
            await rows.close()

    return asyncio.run(read())


def _right(events: list[ImageCatalogued], ready: ReadyModel, read: Callable[[str], bytes]) -> int:
    """Each mask object is byte for byte what the model makes of the picture in this process; the number of masks."""
    import torch

    torch.set_num_threads(1)
    card = ready.card
    model = kind_named(card.kind).load(card.info, card.configuration, ready.weights, device="cpu", torch_threads=1)
    masks = 0
    for event in events:
        assert event.model == card.reference
        pixels = np.asarray(Image.open(io.BytesIO(read(event.normalised.object))).convert("RGB"))
        (found,) = model.segment([pixels])
        _, wanted = encode_masks(
            found, card.info, segmentation_id=event.segmentation_id, picture_sha256=event.normalised.sha256,
            width=event.normalised.width, height=event.normalised.height,
        )  # fmt: skip
        stored = read(event.masks_object)
        assert gzip.decompress(stored) == gzip.decompress(wanted)
        masks += len(decode_masks(stored).summaries)
    return masks


def test_two_jobs_with_models_of_ones_own_run_at_once_on_one_worker_and_both_are_right(
    line: Line, upload: Any, s3_client: Any, bucket: str, tmp_path: Path
) -> None:
    good, broken = upload(30)
    files = {"street": _lraspp(tmp_path), "bright": _bright(tmp_path)}
    for file in files.values():
        line.cli("models", "add", str(file))
    line.start("discover", "preprocess", "segment", "catalogue", "project")
    for name in files:  # by name: resolved once, at submission
        line.cli("submit", f"s3://{bucket}/photographs/", "--dataset", "test", "--job", name, "--model", name)
    for name in files:
        line.wait(lambda name=name: line.complete(name), 180, f"the job {name} is complete")

    def read(key: str) -> bytes:
        return s3_client.get_object(Bucket=bucket, Key=f"watson/{key}")["Body"].read()

    for name, file in files.items():
        (tmp_path / f"made-{name}").mkdir()
        ready = prepare(read_description(file), tmp_path / f"made-{name}")
        events = _catalogued(line, name)
        assert {event.original.uri for event in events} == good
        assert _right(events, ready, read) > 0
        assert line.status(name)["counts"]["quarantined"] == len(broken)
        assert "nothing is off" in line.cli("audit", name).stdout


def test_a_job_whose_models_weights_are_gone_fails_with_the_reason_and_quarantines_nothing(
    line: Line, upload: Any, s3_client: Any, bucket: str, tmp_path: Path
) -> None:
    upload(3)
    added = json.loads(line.cli("models", "add", str(_bright(tmp_path)), "--json").stdout)
    key = f"watson/models/{added['weights_sha256']}"
    weights = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3_client.delete_object(Bucket=bucket, Key=key)
    line.start("discover", "project")
    source = f"s3://{bucket}/photographs/"
    line.cli("submit", source, "--dataset", "test", "--job", "gone", "--model", "bright")
    line.wait(lambda: line.status("gone")["state"] == "failed", 60, "the job has failed")
    status = line.status("gone")
    assert f"The weights of the model {added['model']}" in status["message"]
    assert status["counts"] == dict.fromkeys(status["counts"], 0)
    assert line.cli("dead-letters", "list", "--job", "gone", check=False).stdout == ""
    s3_client.put_object(Bucket=bucket, Key=key, Body=weights)
