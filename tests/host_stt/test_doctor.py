"""Every verdict of the doctor, for machines that are not here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from host_stt.config import Device, EngineConfig
from host_stt.doctor import Decode, Machine, decode_once, diagnose, examine
from host_stt.engines.configured import load_whisper
from host_stt.gpus import Gpu, gpus_of
from host_stt.resolving import resolve_model
from host_stt.service import Backend

H200 = Gpu("NVIDIA H200", "580.159.04", 9.0, 143771)
ON_CPU = Machine(
    processor="a processor",
    cores=2,
    memory_mb=24_000,
    system="Linux",
    gpus=(),
    cuda_devices=0,
    has_cublas=False,
    is_cache_writable=True,
    keeps_memory=True,
    device=Device.CPU,
    compute_type="int8",
    threads=2,
)
ON_GPU = replace(
    ON_CPU, gpus=(H200,), cuda_devices=1, has_cublas=True, device=Device.CUDA, compute_type="float16"
)
HEARD = Decode("radio check", "", 0.1, 2.0)


def verdicts(
    machine: Machine, decode: Decode | None = HEARD, must_hear: bool = True
) -> list[tuple[str, bool]]:
    return [(p.what, p.is_fatal) for p in diagnose(machine, decode, must_hear=must_hear)]


@pytest.mark.parametrize("machine", [ON_CPU, ON_GPU])
def test_a_machine_that_decodes_has_no_problem(machine: Machine) -> None:
    assert verdicts(machine) == []


def test_an_old_driver_under_a_new_gpu_is_fatal_and_under_an_old_gpu_is_not() -> None:
    old = replace(ON_GPU, gpus=(replace(H200, driver="550.54.15"),))
    ((what, is_fatal),) = verdicts(old)
    assert "550.54.15" in what and "570" in what and is_fatal
    (problem,) = diagnose(old, HEARD, must_hear=True)
    assert "570" in problem.fix
    assert verdicts(replace(ON_GPU, gpus=(Gpu("RTX 3090", "550.54.15", 8.6, 24_000),))) == []


def test_a_missing_cublas_is_fatal_on_a_gpu_and_nothing_on_a_cpu() -> None:
    (problem,) = diagnose(replace(ON_GPU, has_cublas=False), HEARD, must_hear=True)
    assert problem.is_fatal and "nvidia-cublas-cu12" in problem.fix
    assert verdicts(replace(ON_CPU, has_cublas=False)) == []


def test_a_gpu_that_ctranslate2_cannot_use_is_fatal_only_when_the_configuration_requires_it() -> None:
    unseen = replace(ON_CPU, gpus=(H200,))
    ((_, is_fatal),) = verdicts(unseen)
    assert not is_fatal
    asked_for = replace(unseen, device=Device.CUDA, has_cublas=True)
    assert verdicts(asked_for)[0][1]


def test_a_read_only_cache_is_a_note_for_gpus_that_compile_kernels() -> None:
    ((what, is_fatal),) = verdicts(replace(ON_GPU, is_cache_writable=False))
    assert "cache" in what and not is_fatal


def test_empty_text_for_a_clip_with_speech_is_fatal() -> None:
    silent = replace(HEARD, text="")
    assert [fatal for _, fatal in verdicts(ON_GPU, silent)] == [True]
    assert verdicts(ON_CPU, silent, must_hear=False) == []


def test_a_failed_decode_is_fatal_and_reported_with_its_error() -> None:
    ((what, is_fatal),) = verdicts(ON_CPU, Decode("", "Library libcublas.so.12 is not found", 0.0, 2.0))
    assert "libcublas.so.12" in what and is_fatal


def test_a_machine_slower_than_real_time_is_reported_with_a_solution() -> None:
    (problem,) = diagnose(ON_CPU, replace(HEARD, took_s=5.0), must_hear=True)
    assert not problem.is_fatal and "smaller model" in problem.fix


def test_the_most_severe_problem_comes_first() -> None:
    many = replace(ON_GPU, has_cublas=False, is_cache_writable=False)
    assert [fatal for _, fatal in verdicts(many)] == [True, False]


def test_the_output_of_nvidia_smi_is_parsed_and_unknown_lines_are_skipped() -> None:
    said = "NVIDIA H200, 580.159.04, 9.0, 143771\nnonsense\nGRID, N/A, [N/A], [N/A]\n"
    first, second = gpus_of(said)
    assert first == H200
    assert (second.driver_major, second.capability) == (0, 0.0)


@pytest.mark.model
def test_this_machine_decodes_with_the_starter() -> None:
    config = EngineConfig(model="starter", device=Device.CPU)
    machine = examine(config)
    decode = decode_once(config, resolve_model(config, None), Backend(resolve_model, load_whisper))
    assert decode.text and not decode.error and decode.took_s > 0
    assert not [p for p in diagnose(machine, decode, must_hear=True) if p.is_fatal]
