"""A small application with the routes that a server finds hard; `python -m tests.api.server.tiny SETTINGS`."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from quart import Quart, Response, request

from api.app import as_app_error
from api.connection import install
from api.http import error_response, json_response
from api.logs import configure_logging
from api.server import Application, run
from api.settings import Settings, load_settings
from api.storage.local import LocalStorage
from api.streams import sse
from api.uploads import Field, read_multipart


def create_tiny_app(settings: Settings, storage: LocalStorage, closing: asyncio.Event) -> Quart:
    app = Quart("tiny")
    app.extensions["ragd"] = SimpleNamespace(closing=closing)
    install(app, settings.http)
    ended: list[str] = []

    async def reply(error: Exception) -> Response:
        return error_response(as_app_error(error), request.path, is_semantic=False)

    app.register_error_handler(Exception, reply)

    @app.get("/ping")
    async def ping() -> Response:
        return Response("pong")

    @app.get("/ended")
    async def tell_ended() -> Response:
        return json_response(ended)

    async def ticks(name: str, wait_s: float, count: int) -> AsyncIterator[Any]:
        try:
            for number in range(count):
                yield {"n": number, "text": "a\u2028b\u2029c\u0085d"}
                await asyncio.sleep(wait_s)
            yield b"[DONE]" if request.args.get("end") != "session" else {"code": 0, "data": True}
            await asyncio.sleep(float(request.args.get("linger", 0)))
        finally:
            ended.append(name)
            (settings.data_dir / f"ended-{name}").touch()

    @app.get("/stream/<name>")
    async def stream(name: str) -> Response:
        args = request.args
        events = ticks(name, float(args.get("wait", 0.1)), int(args.get("count", 1_000_000)))
        return sse(events, on_error=lambda error: [], heartbeat_s=float(args.get("heartbeat", 15)))

    @app.get("/broken-stream")
    async def broken_stream() -> Response:
        async def events() -> AsyncIterator[Any]:
            yield {"n": 0}
            raise RuntimeError("ragflow-secret-secret-secret broke")

        return sse(events(), on_error=lambda error: [{"code": 100, "message": type(error).__name__}])

    @app.get("/flood")
    async def flood() -> Response:
        made = 0

        async def events() -> AsyncIterator[Any]:
            nonlocal made
            try:
                for _ in range(200_000):
                    made += 1
                    yield "x" * 1000
            finally:
                ended.append(f"flood {made}")

        return sse(events(), on_error=lambda error: [])

    @app.get("/sleep/<name>")
    async def sleep(name: str) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)
            (settings.data_dir / f"ended-{name}").touch()
        return Response("slept")

    @app.get("/block")
    async def block() -> Response:
        time.sleep(60)
        return Response("blocked")

    @app.post("/echo")
    async def echo() -> Response:
        return Response(await request.get_data())

    @app.post("/ignore")
    async def ignore() -> Response:
        return Response("not read")

    @app.post("/count")
    async def count() -> Response:
        size = 0
        wait_s = float(request.args.get("wait", 0))
        async for piece in request.body:
            size += len(piece)
            if wait_s:
                await asyncio.sleep(wait_s)
        return json_response({"size": size})

    @app.post("/upload")
    async def upload() -> Response:
        parts = []
        async for part in read_multipart():
            if isinstance(part, Field):
                parts.append({"name": part.name, "value": part.value})
            else:
                key = f"t/{len(parts)}"
                stored = await storage.put(key, part.pieces)
                parts.append(
                    {"name": part.name, "filename": part.filename, "type": part.content_type, "size": stored.size,
                     "hash": stored.content_hash}
                )  # fmt: skip
        return json_response(parts)

    @app.get("/fail")
    async def fail() -> Response:
        raise RuntimeError("secret detail")

    return app


def main() -> int:
    settings = load_settings(flags=json.loads(sys.argv[1]), environment={})
    configure_logging(settings.log)

    @asynccontextmanager
    async def open_application() -> AsyncIterator[Application]:
        storage = LocalStorage(Path(settings.data_dir) / "files")
        closing = asyncio.Event()
        yield Application(create_tiny_app(settings, storage, closing), closing)
        await storage.close()

    return run(open_application, settings.http, on_ready=lambda url: print(url, flush=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
