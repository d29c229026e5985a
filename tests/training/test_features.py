from __future__ import annotations

import numpy as np
import pytest

from tests.training.scene import squares, write_coco
from watson.training.labelled import split
from watson.training.options import TrainingOptions
from watson.training.readers import read_dataset

pytestmark = pytest.mark.torch
OPTIONS = TrainingOptions(side=64, variants=2)


def some(number: int):
    from watson.training.features import PictureFeatures

    random = np.random.default_rng(number)
    maps = [random.normal(size=(3, 4 >> level, 8 >> level)).astype(np.float16) for level in range(3)]
    return PictureFeatures(maps, random.integers(-1, 5, (16, 32)).astype(np.int16))


def same(one, other) -> bool:
    return all(map(np.array_equal, one.maps, other.maps)) and np.array_equal(one.labels, other.labels)


def opened(folder, fingerprint: str = "a", limit: int = 10**6):
    from watson.training.features import FeatureCache

    return FeatureCache(folder, fingerprint, limit)


def test_what_was_kept_comes_back_also_after_it_was_closed(tmp_path):
    with opened(tmp_path) as cache:
        assert all(cache.append(some(number)) for number in range(3))
        assert all(same(cache[number], some(number)) for number in range(3))
    with opened(tmp_path) as cache:
        assert len(cache) == 3
        assert cache.append(some(3))
        assert all(same(cache[number], some(number)) for number in range(4))


def test_features_of_something_else_are_forgotten(tmp_path):
    with opened(tmp_path) as cache:
        cache.append(some(0))
    with opened(tmp_path, "b") as cache:
        assert len(cache) == 0
        cache.append(some(1))
        assert same(cache[0], some(1))


@pytest.mark.parametrize(("file", "lost"), [("features.bin", 1), ("features.jsonl", 1), ("features.jsonl", 40)])
def test_what_was_cut_off_is_computed_again(tmp_path, file, lost):
    with opened(tmp_path) as cache:
        for number in range(3):
            cache.append(some(number))
    data = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(data[:-lost])
    with opened(tmp_path) as cache:
        assert len(cache) == 2
        cache.append(some(7))
        assert same(cache[1], some(1))
        assert same(cache[2], some(7))


def test_the_cache_takes_no_more_than_its_limit(tmp_path):
    with opened(tmp_path, limit=1000) as cache:
        number = 0
        while cache.append(some(number)):
            number += 1
        assert 0 < len(cache) == number
    assert (tmp_path / "features.bin").stat().st_size <= 1000


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    dataset = read_dataset(write_coco(tmp_path_factory.mktemp("coco"), 4))
    return split(dataset, 0.25, 0)


def features(parts, cache):
    from watson.model.backbones import base_named, pretrained
    from watson.training.features import Features

    base = base_named("efficientnet_lite0")
    return Features(pretrained(base), base, *parts, OPTIONS, cache)


def test_features_are_the_same_whether_they_fit_in_the_cache_or_not(tmp_path, parts):
    (tmp_path / "none").mkdir()
    with opened(tmp_path) as all_of_them, opened(tmp_path / "none", limit=0) as none:
        cached, computed = features(parts, all_of_them), features(parts, none)
        said = []
        cached.compute(lambda *at: said.append(at))
        computed.compute(lambda *_: None)
        assert len(all_of_them) == 1 + 3 * OPTIONS.variants
        assert said[-1] == (7, 7)
        assert len(none) == 0
        assert same(cached.held_out(0), computed.held_out(0))
        for variant in range(OPTIONS.variants):
            for number in range(cached.pictures):
                assert same(cached.training(number, variant), computed.training(number, variant))


def test_held_out_pictures_are_seen_whole_and_variants_square(tmp_path, parts):
    with opened(tmp_path) as cache:
        found = features(parts, cache)
        seen = found.held_out(0)
        assert seen.labels.shape == (64, 64)  # 48 × 64 pixels: multiples of 32 nearest to 64² in their proportions
        assert [level.shape[0] for level in seen.maps] == [24, 40, 112, 320]
        number = int(parts[1].samples[0].name.removesuffix(".png"))
        assert (seen.labels > 0).mean() == pytest.approx(squares(number).mask.mean(), abs=0.02)
        assert found.training(0, 1).labels.shape == (64, 64)
        assert not same(found.training(0, 0), found.training(0, 1))
