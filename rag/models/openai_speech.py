"""Speech to text and back, behind an OpenAI-compatible endpoint."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

from rag.errors import ModelBroken
from rag.models.openai_endpoint import Endpoint

VOICE = "alloy"


class OpenAISpeechToText:
    """One transcription model of an endpoint."""

    def __init__(self, endpoint: Endpoint, model: str, name: str) -> None:
        self._endpoint = endpoint
        self._model = model
        self._name = name

    @property
    def name(self) -> str:
        """`model@provider`."""
        return self._name

    async def transcribe(self, audio: bytes, file_name: str) -> str:
        """What is said."""

        async def send() -> Any:
            return await self._endpoint.client.audio.transcriptions.create(
                model=self._model,
                file=(file_name, audio),
                response_format="json",
                extra_headers=cast(Any, self._endpoint.extra_headers),
            )

        async with self._endpoint.slot(self._name):
            reply = await self._endpoint.call(self._name, send)
        text = getattr(reply, "text", None)
        if not isinstance(text, str):
            raise ModelBroken(f"{self._name} sent a transcription of an unknown shape")
        return text

    async def close(self) -> None:
        """Nothing of its own: the endpoint belongs to the catalog."""


class OpenAITextToSpeech:
    """One speaking model of an endpoint."""

    def __init__(self, endpoint: Endpoint, model: str, name: str, *, voice: str = VOICE) -> None:
        self._endpoint = endpoint
        self._model = model
        self._name = name
        self._voice = voice

    @property
    def name(self) -> str:
        """`model@provider`."""
        return self._name

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """MP3, piece by piece. Tried again only before the first piece."""
        async with self._endpoint.slot(self._name), AsyncExitStack() as stack:

            async def send() -> Any:
                opened = self._endpoint.client.audio.speech.with_streaming_response.create(
                    model=self._model,
                    voice=self._voice,
                    input=text,
                    response_format="mp3",
                    extra_headers=cast(Any, self._endpoint.extra_headers),
                )
                return await stack.enter_async_context(opened)

            response = await self._endpoint.call(self._name, send)
            with self._endpoint.errors(self._name):
                async for piece in response.iter_bytes():
                    if piece:
                        yield piece

    async def close(self) -> None:
        """Nothing of its own: the endpoint belongs to the catalog."""
