"""`serve`: what keeps the server from starting is said in words, with an exit code."""

import json
import socket
from pathlib import Path

import httpx
import pytest

from api import exit_codes
from tests.conftest import StartServer
from tests.live import ServerDidNotStart, start_process


def refused(start_server: StartServer, data_dir: Path, **flags: object) -> ServerDidNotStart:
    with pytest.raises(ServerDidNotStart) as caught:
        start_server(data_dir, executor__workers=0, **flags)
    assert "Traceback" not in caught.value.log
    return caught.value


def test_the_port_is_taken(start_server: StartServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failure = refused(start_server, tmp_path / "a", http__port=port)
    assert failure.code == exit_codes.ADDRESS
    assert f"Port {port} on 127.0.0.1 is taken" in failure.log
    assert "--port" in failure.log


def test_the_host_is_not_ours(start_server: StartServer, tmp_path: Path) -> None:
    for host in ("203.0.113.7", "no such host"):
        failure = refused(start_server, tmp_path / "a", http__host=host)
        assert failure.code == exit_codes.ADDRESS
        assert host in failure.log


def test_the_data_folder_is_in_use_until_its_server_ends(start_server: StartServer, tmp_path: Path) -> None:
    first = start_server(tmp_path / "a", executor__workers=0)
    failure = refused(start_server, tmp_path / "a")
    assert failure.code == exit_codes.DATA_FOLDER
    assert f"in use by another server (process {first.process.pid})" in failure.log
    first.process.kill()
    first.process.wait(10)
    again = start_server(tmp_path / "a", executor__workers=0)
    reply = httpx.get(again.url + "/api/v1/datasets", headers=again.headers)
    assert reply.json()["code"] == 0


def test_the_data_folder_is_damaged(start_server: StartServer, tmp_path: Path) -> None:
    start_server(tmp_path / "a", executor__workers=0).stop()
    (tmp_path / "a" / "ragd.sqlite").write_bytes(b"no database" * 1000)
    for rest in ("-wal", "-shm"):
        (tmp_path / "a" / f"ragd.sqlite{rest}").unlink(missing_ok=True)
    failure = refused(start_server, tmp_path / "a")
    assert failure.code == exit_codes.DATA_FOLDER
    assert str(tmp_path / "a") in failure.log


def test_the_data_folder_cannot_be_made(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    flags = {"data_dir": str(tmp_path / "file" / "data"), "http.port": 0}
    with pytest.raises(ServerDidNotStart) as caught:
        start_process("tests.serve", tmp_path / "b", flags)
    assert caught.value.code == exit_codes.DATA_FOLDER
    assert "Cannot write to the data folder" in caught.value.log
    assert "Traceback" not in caught.value.log


def test_json_logs(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(executor__workers=0, log__format="json")
    httpx.get(server.url + "/v1/system/ping", headers={"X-Request-ID": "json-1"})
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line for line in lines if line.get("request_id") == "json-1" and line["status"] == 200]


def test_the_real_server_ends_in_time(start_server: StartServer) -> None:
    """Workers, an idle connection, a half-sent upload."""
    server = start_server(executor__workers=1)
    made = httpx.post(server.url + "/api/v1/datasets", json={"name": "d"}, headers=server.headers).json()
    head = (
        f"POST /api/v1/datasets/{made['data']['id']}/documents HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {server.key}\r\nContent-Length: 5000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    )
    with (
        socket.create_connection(("127.0.0.1", server.port)) as sock,
        httpx.Client(base_url=server.url) as idle,
    ):
        idle.get("/v1/system/ping")
        sock.sendall(head.encode() + b"x" * 3_000_000)
        assert server.stop(timeout_s=5) == 0
    assert [path for path in (server.data_dir / "files").rglob("*") if path.is_file()] == []
