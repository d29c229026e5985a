"""Kinds ``torchscript`` and ``torch-export``: networks that torch saved, and files that do more than a network."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.kinds.colours import BIAS, GIVEN, WEIGHT, check_names_colours, with_input, with_output
from watson.errors import UserError
from watson.model.kinds import archives, exported_programs, kind_named, torchscript
from watson.model.segmenter import ModelInfo, Segmenter

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")]

INFO = ModelInfo("mine", "0" * 12, "any", "0" * 64, ("red", "green"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Colours(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 1)
        self.layer.weight.data = torch.from_numpy(WEIGHT)
        self.layer.bias.data = torch.from_numpy(BIAS)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layer(pixels)
        return output


class InTwo(Colours):
    """Says the same in a dictionary, the map last."""

    def forward(self, pixels: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:  # type: ignore[override]
        return {"maps": (pixels, self.layer(pixels))}


def scripted(network: torch.nn.Module, folder: Path) -> Path:
    torch.jit.script(network).save(str(folder / "network.ts"))
    return folder / "network.ts"


def traced(network: torch.nn.Module, folder: Path) -> Path:
    torch.jit.trace(network, torch.zeros(1, 3, 16, 16), strict=False).save(str(folder / "network.ts"))
    return folder / "network.ts"


def exported(network: torch.nn.Module, folder: Path) -> Path:
    sizes = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=8), 3: torch.export.Dim("w", min=8)}
    program = torch.export.export(network.eval(), (torch.zeros(2, 3, 16, 24),), dynamic_shapes=(sizes,))
    torch.export.save(program, folder / "network.pt2")
    return folder / "network.pt2"


Save = Callable[[torch.nn.Module, Path], Path]
WAYS = [("torchscript", scripted), ("torchscript", traced), ("torch-export", exported)]
BOTH = [("torchscript", scripted), ("torch-export", exported)]


def loaded(name: str, given: dict[str, Any], path: Path) -> Segmenter:
    kind = kind_named(name)
    prepared = kind.prepare(given, path, path.parent)
    assert prepared.categories == ("red", "green")
    assert prepared.weights == path
    kept = path.parent / "0123abcd"  # as workers fetch it: by its hash, without a suffix
    kept.write_bytes(path.read_bytes())
    return kind.load(INFO, prepared.configuration, kept, device="cpu", torch_threads=1)


@pytest.mark.parametrize(("name", "save"), WAYS)
@pytest.mark.parametrize("change", [{}, {"channels_last": True}])
def test_a_saved_network_names_colours(name: str, save: Save, change: dict[str, Any], tmp_path: Path) -> None:
    check_names_colours(loaded(name, with_input(batch=True) | change, save(Colours(), tmp_path)))


@pytest.mark.parametrize(("name", "save"), WAYS)
def test_an_output_within_others_is_named_by_its_way(name: str, save: Save, tmp_path: Path) -> None:
    path = save(InTwo(), tmp_path)
    check_names_colours(loaded(name, with_output(name="maps.1"), path))
    with pytest.raises(UserError, match=r"no output 'maps'; there are: maps\.0, maps\.1"):
        loaded(name, with_output(name="maps"), path)


@pytest.mark.parametrize(("name", "save"), BOTH)
def test_a_configuration_that_does_not_fit_is_refused(name: str, save: Save, tmp_path: Path) -> None:
    path = save(Colours(), tmp_path)
    with pytest.raises(UserError, match=r"has 3 channels .* has 4: 3 categories"):
        loaded(name, GIVEN | {"categories": ["red", "green", "blue"]}, path)
    with pytest.raises(UserError, match=r"cannot be run on 1 blank picture\(s\)"):
        loaded(name, with_input(layout="NHWC"), path)


@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x05\x06" + bytes(18)])
def test_another_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(UserError, match="other is "):
        loaded(name, GIVEN, tmp_path / "other")


def test_the_file_of_one_kind_is_refused_as_the_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not TorchScript: make it with torch\.jit\.save"):
        loaded("torchscript", GIVEN, exported(Colours(), tmp_path))
    with pytest.raises(UserError, match=r"is no exported program: make it with torch\.export\.save"):
        loaded("torch-export", GIVEN, scripted(Colours(), tmp_path))


@pytest.mark.parametrize(("name", "save"), BOTH)
def test_a_damaged_file_is_refused(name: str, save: Save, tmp_path: Path) -> None:
    path = save(Colours(), tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"network\.\w+ is no "):
        loaded(name, GIVEN, path)


class Writes(Colours):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        torch.save(pixels, self.path)
        output: torch.Tensor = self.layer(pixels)
        return output


def test_torchscript_that_writes_files_is_refused_before_it_runs(tmp_path: Path) -> None:
    path = scripted(Writes(str(tmp_path / "written")), tmp_path)
    with pytest.raises(UserError, match=r"names 'save' in code/.*It was not loaded"):
        loaded("torchscript", GIVEN, path)
    assert not (tmp_path / "written").exists()
    torch.jit.load(str(path))(torch.zeros(1, 3, 8, 8))
    assert (tmp_path / "written").exists()  # so it would have


class ReadsByTorchvision(torch.nn.Module):
    """Reads a file by an operator that is there as soon as torchvision is."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        secret = torch.ops.image.read_file(self.path)
        return torch.cat([pixels[:, :1] + secret.sum(), pixels[:, 1:2]], dim=1)


def test_torchscript_with_operators_of_other_libraries_is_refused(tmp_path: Path) -> None:
    import torchvision  # noqa: F401 - as in a worker that runs a model of torchvision's

    (tmp_path / "secret").write_bytes(b"secret")
    path = scripted(ReadsByTorchvision(str(tmp_path / "secret")), tmp_path)
    with pytest.raises(UserError, match=r"names 'ops' in code/.*It was not loaded"):
        loaded("torchscript", GIVEN, path)
    with_two = torch.jit.load(str(path))(torch.zeros(1, 3, 8, 8))
    assert float(with_two.detach()[0, 0, 0, 0]) == sum(b"secret")  # so it would have read it


@pytest.mark.parametrize("text", ["ops.image.read_file(x)", "ops .image.x(y)", "x = ops", "ops\n.image.x", "ops.aten"])
def test_operators_are_of_a_known_library_or_refused(text: str) -> None:
    assert torchscript._REFUSED.search(text.encode())


@pytest.mark.parametrize("text", ["ops.torchvision.nms(b, s, 0.5)", "ops.prim.NumToTensor(x)", "props.x", "opset"])
def test_operators_of_known_libraries_are_let_through(text: str) -> None:
    assert not torchscript._REFUSED.search(text.encode())


class Suppresses(torch.nn.Module):
    """Uses an operator of torchvision's, as detectors do."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0]])
        kept = torch.ops.torchvision.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
        return torch.cat([pixels[:, :1] * float(kept.numel()), pixels[:, 1:2]], dim=1)


def test_a_network_with_torchvisions_operators_can_be_brought_by_a_process_that_loaded_nothing_else(
    tmp_path: Path,
) -> None:
    path = scripted(Suppresses(), tmp_path)
    code = (
        "import sys; from pathlib import Path; from watson.model.kinds import torchscript;"
        "torchscript.prepare({'categories': ['x'], 'output': {'kind': 'semantic-logits', 'background': 0},"
        " 'input': {'longest': 64}}, Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.touched,)


def altered(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    files = archives.entries(path)
    change(files)
    path.write_bytes(archives.packed(files).getvalue())
    return path


def pickled(thing: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
MODEL = "models/model.json"


def in_weights(files: dict[str, bytes], touched: Path) -> None:
    config = json.loads(files[WEIGHTS])
    config["config"]["layer.weight"]["use_pickle"] = True
    files[WEIGHTS] = json.dumps(config).encode()
    files["data/weights/weight_0"] = pickled(Malicious(touched))


def in_constants(files: dict[str, bytes], touched: Path) -> None:
    entry = json.loads(files[WEIGHTS])["config"]["layer.weight"] | {"path_name": "opaque_obj_0", "is_param": False}
    files[CONSTANTS] = json.dumps({"config": {"c": entry}}).encode()
    files["data/constants/opaque_obj_0"] = pickle.dumps(Malicious(touched)).ljust(4096, b".")  # as long as floats are


def in_a_size(files: dict[str, bytes], touched: Path) -> None:
    code = f"__import__('pathlib').Path({str(touched)!r}).touch()"
    files[MODEL] = files[MODEL].replace(b"Symbol('s", f"Symbol({code} or 's".encode().replace(b'"', b'\\"'), 1)


def in_an_operator(files: dict[str, bytes], touched: Path) -> None:
    files[MODEL] = files[MODEL].replace(b"torch.ops.aten.conv2d.default", b"torch.os.system")


REFUSALS = [
    (in_weights, "has pickled tensors"),
    (in_constants, "has an object that is no tensor: 'opaque_obj_0'"),
    (in_a_size, "has a size that is no plain arithmetic"),
    (in_an_operator, r"uses the operator 'torch\.os\.system'"),
]


@pytest.mark.parametrize(("spoil", "said"), REFUSALS)
def test_a_program_that_could_run_code_is_refused_and_its_code_does_not_run(
    spoil: Callable[[dict[str, bytes], Path], None], said: str, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    path = altered(exported(Colours(), tmp_path), lambda files: spoil(files, touched))
    with pytest.raises(UserError, match=said):
        loaded("torch-export", GIVEN, path)
    assert not touched.exists()


@pytest.mark.parametrize("spoil", [in_weights, in_constants, in_a_size])
def test_torch_itself_would_have_run_that_code(spoil: Callable[[dict[str, bytes], Path], None], tmp_path: Path) -> None:
    """When this fails, torch has become safer, and the documentation may say so."""
    touched = tmp_path / "touched"
    path = altered(exported(Colours(), tmp_path), lambda files: spoil(files, touched))
    with suppress(Exception):  # it may well stumble over what was made of the file, once that has run
        torch.export.load(path)
    assert touched.exists()


def test_pickled_samples_are_left_out_with_all_that_is_not_needed(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    def spoil(files: dict[str, bytes]) -> None:
        files["data/sample_inputs/model.pt"] = pickled((Malicious(touched),))
        files["data/aotinductor/model/code.so"] = b"\x7fELF"
        files["extra/note"] = b"hello"

    path = altered(exported(Colours(), tmp_path), spoil)
    check_names_colours(loaded("torch-export", GIVEN, path))
    assert not touched.exists()
    with zipfile.ZipFile(exported_programs.checked(path)) as archive:
        assert not [name for name in archive.namelist() if "aotinductor" in name or "extra" in name]
        assert b"test_torch_files" not in archive.read(f"model/{MODEL}")  # where the network was written


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Mul(Integer(3), Symbol('s0', positive=True, integer=True))", True),
        ("FloorDiv(Add(Symbol('s0', integer=True), Integer(-1)), Integer(16)) + 1", True),
        ("Float('1.5', precision=53)", True),
        ("__import__('os')", False),
        ("exit()", False),
        ("Symbol('s0').__class__", False),
        ("Symbol.mro", False),
        ("Max('exit()')", False),
        ("Integer(1)[0]", False),
        ("lambda: 0", False),
        ("Integer(1);Integer(2)", False),
        ('Symbol("s0")', False),
        ("Symbol('s0'\n)", False),
    ],
)
def test_a_size_is_arithmetic_or_refused(text: str, fine: bool) -> None:
    assert exported_programs._arithmetic(text) is fine


@pytest.mark.parametrize(
    ("target", "fine"),
    [
        ("torch.ops.aten.conv2d.default", True),
        ("torch.ops.aten.sym_size.int", True),
        ("_operator.getitem", True),
        ("torch.sym_max", True),
        ("torch.ops.torchvision.nms.default", True),
        ("torch.ops.aten.save", False),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.load_library", False),
        ("torch.ops.aten.__class__.x.y", False),
        ("torch.ops.aten.__init__", False),
        ("torch.ops.aten.conv2d.__class__", False),
        ("torch.ops.aten.conv2d._op", False),
        ("torch.ops.aten._softmax.default", True),
        ("torch.hub.load", False),
        ("_operator.methodcaller", False),
        ("math.__loader__", False),
        ("#x", False),
    ],
)
def test_an_operator_is_known_or_refused(target: str, fine: bool) -> None:
    assert (exported_programs._TARGET.fullmatch(target) is not None) is fine


def test_an_archive_whose_files_come_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/one", b"2")
    with pytest.raises(UserError, match="not in one folder, each once"):
        archives.entries(path)


def test_an_archive_that_grows_beyond_measure_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_SMALL", 1000)
    path = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros", bytes(1_000_000))
    with pytest.raises(UserError, match="grows to more than 8 times"):
        archives.entries(path)


def test_of_torchscript_only_code_and_values_are_loaded(tmp_path: Path) -> None:
    """An older format's index could call any file code, which nobody would have looked at."""

    def spoil(files: dict[str, bytes]) -> None:
        files["model.json"] = b"{}"
        files["libs/code"] = b"torch.save"
        files["extra/note"] = b"hello"

    path = altered(scripted(Colours(), tmp_path), spoil)
    with zipfile.ZipFile(torchscript._checked(path)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    assert {"data.pkl", "constants.pkl", "version"} < names
    assert any(name.startswith("code/") for name in names)
    assert not names & {"model.json", "libs/code", "extra/note"}
    check_names_colours(loaded("torchscript", GIVEN, path))
