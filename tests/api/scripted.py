"""A remote chat model that tells the steps of an answer by their instructions, and replies to each as told."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.api.chatting import ask, in_thread, make_chat
from tests.api.client import Api
from tests.live import LiveServer
from tests.rag.models.stub_openai import Fault, StubOpenAI, chunk

STEPS = {
    "refine": ("You rewrite the last question", "请改写对话中的最后一个问题"),
    "translate": ("You translate questions",),
    "keywords": ("You choose search terms", "请挑选检索词"),
    "conditions": ("You turn a question into conditions",),
    "sufficiency": ("You judge whether passages",),
    "follow_ups": ("You plan the next searches",),
    "related": ("You propose what somebody", "请为提问者推荐"),
}


@dataclass
class ScriptedStub(StubOpenAI):
    """replies: by step (`answer` is none of the others); a list is used up from its front. Else `reply`."""

    replies: dict[str, str | Fault | list[str]] = field(default_factory=dict)

    def asked(self, step: str) -> list[dict[str, Any]]:
        """The requests of a step, in order."""
        return [body for body in self.requests if step_of(body) == step]

    def steps(self) -> list[str]:
        """The steps that were asked for, in order of arrival."""
        return [step_of(body) for body in self.requests]

    def reset(self) -> None:
        """As new."""
        fresh = StubOpenAI()
        self.reply, self.reasoning, self.piece_delay_s = fresh.reply, [], 0.0
        self.replies.clear()
        self.faults.clear()
        self.requests.clear()
        self.arrivals.clear()

    async def _reply(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        told = self.replies.get(step_of(body))
        if isinstance(told, Fault):
            self.faults.appendleft(told)
        await super()._reply(path, body, writer)

    def _chunks(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        told = self.replies.get(step_of(body))
        if isinstance(told, list):
            told = told.pop(0) if told else None
        if not isinstance(told, str):
            return super()._chunks(body)
        return [chunk({"role": "assistant", "content": ""}), chunk({"content": told}), chunk({}, "stop")]


def step_of(body: dict[str, Any]) -> str:
    """Which step of an answer a request is."""
    system = body["messages"][0]["content"]
    return next((step for step, starts in STEPS.items() if system.startswith(starts)), "answer")


def warm_up(server: LiveServer) -> None:
    """Ask once: the first call of a remote model imports its client, which takes a second and more under load."""
    api = Api(server.url, server.key, "")
    chat_id = make_chat(api, name="warm-up", llm={"model_name": "talker@Stub"})
    ask(api, chat_id, question="Hello")
    api.delete("/chats", json={"ids": [chat_id]})
    api.close()


@contextmanager
def running_scripted_stub() -> Iterator[ScriptedStub]:
    """A scripted model in a thread of its own; leaving it fails if a request was not as it should be."""
    with in_thread() as run:
        stub = ScriptedStub()
        server = run(asyncio.start_server(stub.serve, "127.0.0.1", 0))
        stub.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield stub
        server.get_loop().call_soon_threadsafe(server.close)
    assert stub.problems == []
