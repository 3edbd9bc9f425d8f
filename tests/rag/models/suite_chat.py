"""What every chat model must do; a subclass supplies the `model` and `request_` fixtures."""

import asyncio

from rag.models.protocol import ChatDelta, ChatModel, ChatPassage, ChatRequest, Message

PASSAGES = [
    ChatPassage("The museum opens at nine. Tickets cost five euros.", "museum.txt", 0.9),
    ChatPassage("The library closes at six in the evening.", "library.txt", 0.5),
]


def ask(question: str = "When does the museum open?", **settings: object) -> ChatRequest:
    system = Message("system", "Answer from: " + " ".join(passage.content for passage in PASSAGES))
    return ChatRequest([system, Message("user", question)], settings, PASSAGES)


async def read(model: ChatModel, request: ChatRequest) -> list[ChatDelta]:
    return [delta async for delta in model.stream(request)]


class ChatModelSuite:
    async def test_pieces_make_a_reply_and_the_last_one_ends_it(self, model: ChatModel) -> None:
        deltas = await read(model, ask())
        assert "nine" in "".join(delta.text for delta in deltas)
        assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert deltas[-1].finish_reason == "stop"
        assert deltas[-1].text == ""

    async def test_usage_is_told_once_at_the_end(self, model: ChatModel) -> None:
        deltas = await read(model, ask())
        assert [delta.usage for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert deltas[-1].usage is not None
        assert deltas[-1].usage.prompt_tokens > 0
        assert deltas[-1].usage.completion_tokens > 0

    async def test_max_tokens_cuts(self, model: ChatModel) -> None:
        deltas = await read(model, ask(max_tokens=2))
        assert deltas[-1].finish_reason == "length"
        whole = "".join(delta.text for delta in await read(model, ask()))
        assert len("".join(delta.text for delta in deltas)) < len(whole)

    async def test_many_at_once_do_not_mix(self, model: ChatModel) -> None:
        replies = await asyncio.gather(*(read(model, ask()) for _ in range(20)))
        texts = {"".join(delta.text for delta in reply) for reply in replies}
        assert len(texts) == 1

    async def test_a_reader_may_leave(self, model: ChatModel) -> None:
        stream = model.stream(ask())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert (await read(model, ask()))[-1].finish_reason == "stop"

    async def test_unknown_settings_are_not_sent(self, model: ChatModel) -> None:
        deltas = await read(model, ask(model_type="chat", temperature=0.1, top_p=None))
        assert deltas[-1].finish_reason == "stop"

    async def test_the_name_has_a_provider(self, model: ChatModel) -> None:
        assert all(model.name.rpartition("@"))
        assert model.context_tokens > 0

    async def test_close_twice(self, model: ChatModel) -> None:
        await model.close()
        await model.close()
