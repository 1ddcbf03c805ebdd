"""Resumable uploads by the tus protocol, with the client `tuspy` as it is, and what the protocol refuses."""

from __future__ import annotations

import asyncio
import io
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tusclient.client import TusClient

from tests.support.desk import Desk
from tests.support.polling import until
from tests.webrtc_host.jobs.helpers import a_server, job_of, left_over, talk, wav
from webrtc_host.errors import RequestError
from webrtc_host.jobs import tus, uploads
from webrtc_host.jobs.upload_files import Upload, UploadFiles

SHORT = wav(talk("alpha one")[:16_000])
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": tus.CONTENT_TYPE}


def described(**fields: str) -> str:
    return ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in fields.items())


async def call(
    desk: Desk, method: str, path: str, headers: dict[str, str] | None = None, data: bytes | None = None
) -> aiohttp.ClientResponse:
    url = path if path.startswith("http") else desk.url + path
    response = await desk.client.request(method, url, headers=TUS if headers is None else headers, data=data)
    await response.read()
    return response


async def begun(desk: Desk, size: int = len(SHORT), **fields: str) -> str:
    """The path of a new upload."""
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": described(filename="a.wav", **fields)}
    response = await call(desk, "POST", "/api/uploads", headers)
    assert response.status == 201, await response.text()
    return response.headers["Location"]


def code_of(body: str) -> str:
    return str(json.loads(body)["error"]["code"])


async def test_tuspy_continues_after_a_restart_and_the_upload_becomes_a_job(tmp_path: Path) -> None:
    def uploader(desk: Desk, **more: Any) -> Any:
        client = TusClient(f"{desk.url}/api/uploads")
        metadata = {"filename": "밤.wav", "language": "ko", "title": "Night shift"}
        return client.uploader(
            file_stream=io.BytesIO(SHORT),
            chunk_size=9000,
            metadata=metadata,
            metadata_encoding="utf-8",
            **more,
        )

    def first_part(desk: Desk) -> str:
        sender = uploader(desk)
        sender.upload_chunk()
        sender.upload_chunk()
        return str(sender.url)

    def rest(desk: Desk, url: str) -> int:
        sender = uploader(desk, url=desk.url + url)
        began_at = int(sender.get_offset())
        sender.upload()
        return began_at

    # What a process leaves that was killed between the last byte and the job.
    left = UploadFiles(tmp_path / "uploads")
    left.create(
        Upload(
            "j_0123456789ab",
            len(SHORT),
            "left.wav",
            "",
            {"language": "auto", "glossary": True, "channels": "auto"},
        )
    )
    left.data_path("j_0123456789ab").write_bytes(SHORT)

    async with a_server(tmp_path) as desk:
        path = "/api" + (await asyncio.to_thread(first_part, desk)).rpartition("/api")[2]
    async with a_server(tmp_path) as desk:
        assert (await desk.get("/api/jobs"))[1]["jobs"][-1]["job"] == "j_0123456789ab"
        assert await asyncio.to_thread(rest, desk, path) == 18_000
        job = await job_of(desk, path.rpartition("/")[2])
        assert (job["file_name"], job["language"], job["title"]) == ("밤.wav", "ko", "Night shift")
        assert job["bytes"] == len(SHORT)
        assert f"{job['job']}.recording" in left_over(tmp_path)
        response = await call(desk, "HEAD", path)
        assert response.headers["Upload-Offset"] == str(len(SHORT))
        assert response.headers["Location"] == f"/api/jobs/{job['job']}"
        assert not list((tmp_path / "uploads").glob("*.upload")), "the bytes are the job's now"


async def test_a_cut_connection_keeps_what_arrived_and_a_newer_request_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "WRITE_BYTES", 1)  # what arrives is written at once
    async with a_server(tmp_path) as desk:
        path = await begun(desk)
        host, port = desk.url.removeprefix("http://").split(":")

        async def cut(offset: int, data: bytes) -> asyncio.StreamWriter:
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"PATCH {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(SHORT)}\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in PIECE.items())
            writer.write(f"{head}{lines}Upload-Offset: {offset}\r\n\r\n".encode() + data)
            await writer.drain()
            return writer

        async def offset() -> int:
            return int((await call(desk, "HEAD", path)).headers["Upload-Offset"])

        first = await cut(0, SHORT[:5000])
        file = tmp_path / "uploads" / f"{path.rpartition('/')[2]}.upload"
        await until(lambda: file.stat().st_size == 5000)
        first.close()
        assert await offset() == 5000
        stalled = await cut(5000, SHORT[5000:6000])  # a dead connection, as the server sees it
        await until(lambda: file.stat().st_size == 6000)
        held = await offset()
        assert held == 6000
        response = await call(desk, "PATCH", path, {**PIECE, "Upload-Offset": str(held)}, SHORT[held:])
        assert response.status == 204, await response.text()
        assert (await job_of(desk, path.rpartition("/")[2]))["bytes"] == len(SHORT)
        stalled.close()


async def test_what_the_protocol_refuses(tmp_path: Path) -> None:
    jobs = {"uploads": 3, "file_bytes": 100_000}
    async with a_server(tmp_path, jobs=jobs) as desk:
        new = {**TUS, "Upload-Length": "1000"}
        bad_name = {**new, "Upload-Metadata": "filename %%"}
        unknown = {**new, "Upload-Metadata": described(language="klingon")}
        template = {**new, "Upload-Metadata": described(summary="no-such-one")}
        for headers, status, code in (
            ({"Upload-Length": "1000"}, 412, "tus_version"),
            (TUS, 400, "bad_header"),
            ({**TUS, "Upload-Length": "-1"}, 400, "bad_header"),
            ({**TUS, "Upload-Length": "100001"}, 413, "too_large"),
            ({**TUS, "Upload-Length": "0"}, 422, "empty_audio"),
            (bad_name, 400, "bad_header"),
            (unknown, 422, "unknown_language"),
            (template, 422, "unknown_template"),
        ):
            response = await call(desk, "POST", "/api/uploads", headers)
            assert (response.status, code_of(await response.text())) == (status, code)
            assert response.headers["Tus-Resumable"] == "1.0.0"
            assert ("Tus-Version" in response.headers) == (status == 412)
        response = await call(desk, "OPTIONS", "/api/uploads", {})
        assert (response.status, response.headers["Tus-Max-Size"]) == (204, "100000")
        assert response.headers["Tus-Extension"] == "creation,expiration,termination"

        path = await begun(desk, 1000)
        for path_of, headers, data, status, code in (
            (path, {**PIECE, "Upload-Offset": "7"}, b"x", 409, "wrong_offset"),
            (path, {**TUS, "Content-Type": "audio/wav", "Upload-Offset": "0"}, b"x", 415, "wrong_type"),
            (path, {**PIECE, "Upload-Offset": "0"}, bytes(1001), 413, "too_large"),
            ("/api/uploads/j_00000000000f", {**PIECE, "Upload-Offset": "0"}, b"x", 404, "unknown_upload"),
            ("/api/uploads/..%2Fjobs", {**PIECE, "Upload-Offset": "0"}, b"x", 404, "unknown_upload"),
        ):
            response = await call(desk, "PATCH", path_of, headers, data)
            assert (response.status, code_of(await response.text())) == (status, code)
        response = await call(
            desk,
            "POST",
            path,
            {**PIECE, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"},
            b"no recording" * 9,
        )
        assert (response.status, response.headers["Upload-Offset"]) == (204, "108")
        assert "Upload-Expires" in response.headers
        response = await call(desk, "PATCH", path, {**PIECE, "Upload-Offset": "108"}, bytes(892))
        assert (response.status, code_of(await response.text())) == (415, "wrong_type"), "no recording"
        assert (await call(desk, "HEAD", path)).status == 404, "nothing of a refused file stays"

        paths = [await begun(desk, 1000) for _ in range(3)]
        response = await call(desk, "POST", "/api/uploads", new)
        assert (response.status, code_of(await response.text())) == (429, "too_many_uploads")
        assert (await call(desk, "DELETE", paths[0])).status == 204
        assert (await call(desk, "HEAD", paths[0])).status == 404
        assert (await desk.get("/api/jobs"))[1]["jobs"] == []
        assert len(os.listdir(tmp_path / "uploads")) == 4, "two uploads, each with its description"


def test_uploads_without_new_data_are_removed(tmp_path: Path) -> None:
    files = UploadFiles(tmp_path)
    for name in ("j_00000000000a", "j_00000000000b"):
        files.create(Upload(name, 100, "a.wav", ""))
    for path in (files.data_path("j_00000000000a"), tmp_path / "j_00000000000a.json"):
        os.utime(path, (1, 1))
    (tmp_path / "stray.upload").touch()
    os.utime(tmp_path / "stray.upload", (1, 1))
    assert files.clean(3600) == ["j_00000000000a"]
    assert sorted(os.listdir(tmp_path)) == ["j_00000000000b.json", "j_00000000000b.upload"]


@pytest.mark.parametrize("given", ["a b,a b", "a !", ",", "x " + "A" * 9000, "name /w=="])
def test_metadata_that_is_not_by_the_protocol_is_refused(given: str) -> None:
    with pytest.raises(RequestError):
        tus.metadata_of(given)


def test_metadata_is_read() -> None:
    assert tus.metadata_of("filename YS53YXY=,is_confidential") == {
        "filename": "a.wav",
        "is_confidential": "",
    }
    assert tus.metadata_of(None) == {} and tus.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
