"""The whole answer as events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from rag.answering.events import (
    AnswerEvent,
    Done,
    EmptyResponse,
    Failed,
    FailureCode,
    ReferenceFound,
    Text,
    ThinkingEnded,
    ThinkingStarted,
    ThinkingText,
)
from rag.answering.failures import failure_of
from rag.answering.pipeline import answer, collect
from rag.answering.request import AnswerRequest, ChatSettings, PassageQuery, PromptVariable
from rag.chunks import Chunk
from rag.errors import MissingVariable, ModelBroken, ModelError, ModelNotFound, StoreUnavailable
from rag.models.builtin_answerer import BuiltinAnswerer
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.errors import (
    ContentFiltered,
    KeyRefused,
    ModelTimedOut,
    ModelUnreachable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFailed,
)
from rag.models.protocol import ChatDelta, ChatRequest, ChatUsage, Message
from rag.retrieval.result import DocumentCount, Hit, RetrievalResult
from rag.text.tokens import count_tokens

EMBEDDING = BuiltinEmbedding()
TEXTS = [
    ("d1", "pump.txt", "The warranty of the Aurora pump lasts thirty days."),
    ("d2", "canteen.txt", "The canteen serves lunch from noon to two."),
    ("d1", "pump.txt", "Broken seals are covered by the warranty of the pump."),
]


def hit(document_id: str, name: str, content: str, similarity: float = 0.7) -> Hit:
    vector = np.zeros(0, dtype=np.float32)
    chunk = Chunk(content[:8], "k1", document_id, name, content, "", "", vector, 0, 0.0, 9)
    chunk.positions = [(1, 2, 3, 4, 5)]
    return Hit(chunk, similarity, 0.6, 0.75)


@dataclass
class Search:
    """Finds the same passages for every question, and remembers what it was asked."""

    texts: Sequence[tuple[str, str, str]] = tuple(TEXTS)
    error: Exception | None = None
    queries: list[PassageQuery] = field(default_factory=list)

    async def __call__(self, query: PassageQuery) -> RetrievalResult:
        self.queries.append(query)
        if self.error is not None:
            raise self.error
        hits = [hit(*text) for text in self.texts]
        counts = [DocumentCount("d1", "pump.txt", 5), DocumentCount("d2", "canteen.txt", 1)]
        return RetrievalResult(40 if hits else 0, hits, counts if hits else [])


@dataclass
class Script:
    """A chat model that says what it is given; raises what is an error in it."""

    pieces: Sequence[ChatDelta | str | Exception] = ("Hello ", "world.")
    context_tokens: int = 8_192
    requests: list[ChatRequest] = field(default_factory=list)
    is_closed: bool = False
    name: str = "script@Test"

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        self.requests.append(request)
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield ChatDelta(text=piece) if isinstance(piece, str) else piece
        finally:
            self.is_closed = True

    async def close(self) -> None:
        pass


PLAIN = ChatSettings(system_prompt="Use this: {knowledge}")


def ask(
    settings: ChatSettings = PLAIN, question: str = "How long is the warranty?", **options: Any
) -> AnswerRequest:
    return AnswerRequest(settings, [Message("user", question)], **options)


async def run(
    request: AnswerRequest, model: Any = None, search: Search | None = None, embedding: Any = EMBEDDING
) -> list[AnswerEvent]:
    events = answer(request, retrieve=search or Search(), chat_model=model or Script(), embedding=embedding)
    return [event async for event in events]


async def done(request: AnswerRequest, model: Any = None, search: Search | None = None) -> Done:
    last = (await run(request, model, search))[-1]
    assert isinstance(last, Done)
    return last


async def test_events_in_order() -> None:
    events = await run(ask(), Script(["It lasts ", "thirty days [ID:0]."]))
    assert [type(event) for event in events] == [ReferenceFound, Text, Text, Done]
    last = events[-1]
    assert isinstance(last, Done)
    assert last.answer == last.cited_answer == "It lasts thirty days [ID:0]."
    assert last.failure is None


async def test_the_reference_keeps_all_chunks_and_the_cited_documents() -> None:
    reference = (await done(ask(), Script(["Thirty days [ID:2]."]))).reference
    assert reference is not None
    assert reference.total == 40
    assert [chunk.content for chunk in reference.chunks] == [text for _, _, text in TEXTS]
    assert reference.chunks[0].positions == ((1, 2, 3, 4, 5),)
    assert reference.documents == [DocumentCount("d1", "pump.txt", 5)]


async def test_without_citations_all_documents_stay() -> None:
    reference = (await done(ask(), Script(["No idea, sorry."]))).reference
    assert reference is not None
    assert [document.document_id for document in reference.documents] == ["d1", "d2"]


async def test_citations_are_inserted_beside_the_streamed_text() -> None:
    last = await done(ask(), Script(["The warranty of the Aurora pump ", "lasts thirty days."]))
    assert last.answer == "The warranty of the Aurora pump lasts thirty days."
    assert last.cited_answer == "The warranty of the Aurora pump lasts thirty days [ID:0]."
    assert last.reference is not None
    assert [document.document_id for document in last.reference.documents] == ["d1"]


@pytest.mark.parametrize(
    "request_", [ask(quote=False), ask(replace(PLAIN, show_quote=False))], ids=["request", "settings"]
)
async def test_citations_off(request_: AnswerRequest) -> None:
    model = Script(["The warranty of the Aurora pump lasts thirty days."])
    last = await done(request_, model)
    assert last.reference is None
    assert last.cited_answer == last.answer
    assert "[ID:n]" not in model.requests[0].messages[0].content


async def test_the_prompt_that_the_model_sees() -> None:
    model, search = Script(), Search()
    settings = ChatSettings(
        "You are {who}. {unknown} {knowledge}",
        variables=[PromptVariable("knowledge", False), PromptVariable("who"), PromptVariable("tone")],
        top_n=3,
        top_k=99,
        similarity_threshold=0.4,
        vector_similarity_weight=0.6,
        llm={"temperature": 0.1},
    )
    request = ask(settings, variables={"who": "Ann {knowledge}", "other": "x"}, document_ids=["d1"])
    await run(request, model, search)
    assert search.queries == [PassageQuery("How long is the warranty?", 3, 99, 0.4, 0.6, ["d1"])]
    (sent,) = model.requests
    system = sent.messages[0].content
    assert system.startswith("You are Ann {knowledge}. {unknown} Between the two lines")
    assert TEXTS[1][2] in system
    assert "[ID:n]" in system
    assert sent.messages[-1] == Message("user", "How long is the warranty?")
    assert sent.settings == {"temperature": 0.1}
    assert [passage.content for passage in sent.passages] == [text for _, _, text in TEXTS]


async def test_the_prompt_of_the_reply_leaves_the_knowledge_out() -> None:
    prompt = (await done(ask())).prompt
    assert prompt.startswith("Use this: \n\n### Query:\nHow long is the warranty?")
    assert "## Time elapsed:\n" in prompt
    assert "find_passages" in prompt
    assert "## Token usage:\n" in prompt
    assert "thirty days" not in prompt


async def test_a_prompt_without_a_place_for_knowledge_gets_it_at_the_end() -> None:
    model = Script()
    await run(ask(ChatSettings("Be kind.")), model)
    assert model.requests[0].messages[0].content.startswith("Be kind.\n\nBetween the two lines")


async def test_missing_variable() -> None:
    settings = replace(PLAIN, variables=[PromptVariable("knowledge"), PromptVariable("city", False)])
    with pytest.raises(MissingVariable, match=r"^Miss parameter: city$"):
        await run(ask(settings))


async def test_no_knowledge_variable_no_search() -> None:
    search = Search()
    events = await run(ask(ChatSettings("Hi", variables=[])), search=search)
    assert search.queries == []
    assert [type(event) for event in events] == [Text, Text, Done]


async def test_empty_response() -> None:
    model = Script()
    events = await run(ask(replace(PLAIN, empty_response="Nothing!")), model, Search(texts=[]))
    assert [type(event) for event in events] == [EmptyResponse, Done]
    last = events[-1]
    assert isinstance(last, Done)
    assert (last.answer, last.is_empty_response, model.requests) == ("Nothing!", True, [])
    assert last.reference is not None
    assert (last.reference.total, last.reference.chunks, last.reference.documents) == (0, [], [])


@pytest.mark.parametrize("empty_response", [None, ""])
async def test_without_empty_response_the_model_answers(empty_response: str | None) -> None:
    last = await done(ask(replace(PLAIN, empty_response=empty_response)), search=Search(texts=[]))
    assert last.answer == "Hello world."
    assert last.reference is None


async def test_a_chat_without_datasets() -> None:
    model, search = Script(), Search()
    settings = ChatSettings("Be kind. {knowledge}{who}", empty_response="Nothing!", variables=[
        PromptVariable("knowledge"), PromptVariable("who", False)
    ])  # fmt: skip
    events = await run(ask(settings, has_datasets=False), model, search)
    assert [type(event) for event in events] == [Text, Text, Done]
    assert search.queries == []
    assert model.requests[0].messages[0].content.strip() == "Be kind."
    assert events[-1].reference is None  # type: ignore[union-attr]


async def test_reasoning_is_told_apart() -> None:
    model = Script([ChatDelta(reasoning="Hm."), "<thi", "nk>More.</think>\n", "Yes."])
    events = await run(ask(), model)
    assert events[1:-1] == [
        ThinkingStarted(),
        ThinkingText("Hm."),
        ThinkingText("More."),
        ThinkingEnded(),
        Text("Yes."),
    ]
    last = events[-1]
    assert isinstance(last, Done)
    assert (last.answer, last.reasoning) == ("Yes.", "Hm.More.")


async def test_usage_of_the_provider() -> None:
    usage = (await done(ask(), Script(["a", ChatDelta(finish_reason="stop", usage=ChatUsage(70, 9))]))).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.is_counted_here) == (70, 9, False)


async def test_usage_counted_here() -> None:
    usage = (await done(ask(), Script([ChatDelta(reasoning="one two"), " three"]))).usage
    assert usage.completion_tokens == 3
    assert usage.prompt_tokens > 50
    assert usage.is_counted_here


@pytest.mark.parametrize(
    ("question", "notice"),
    [("How long?", "answer is truncated by your chosen LLM"), ("保修期多长？", "回答已经被大模型截断")],
)
async def test_length_stop(question: str, notice: str) -> None:
    last = await done(ask(question=question), Script(["Half an", ChatDelta(finish_reason="length")]))
    assert last.answer.startswith("Half an.") or last.answer.startswith("Half an·")
    assert notice in last.answer


@pytest.mark.parametrize("before", [[], ["Half "], [ChatDelta(reasoning="Hm.")]])
async def test_a_model_that_fails_ends_the_answer_in_order(before: list[Any]) -> None:
    model = Script([*before, RateLimited("m@P is over its rate limit", 7.0)])
    events = await run(ask(), model)
    failed, last = events[-2:]
    assert failed == Failed(FailureCode.RATE_LIMIT_EXCEEDED, "m@P is over its rate limit", 7.0)
    assert isinstance(last, Done)
    assert last.failure == failed
    assert last.answer.endswith("**ERROR**: RATE_LIMIT_EXCEEDED - m@P is over its rate limit")
    starts = sum(isinstance(event, ThinkingStarted) for event in events)
    assert starts == sum(isinstance(event, ThinkingEnded) for event in events)


async def test_content_filter() -> None:
    events = await run(ask(), Script(["Ha", ChatDelta(finish_reason="content_filter")]))
    assert isinstance(events[-2], Failed)
    assert events[-2].code == "CONTENT_FILTERED"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RateLimited("x"), "RATE_LIMIT_EXCEEDED"),
        (KeyRefused("x"), "AUTH_ERROR"),
        (RequestRefused("x"), "INVALID_REQUEST"),
        (ServerFailed("x"), "SERVER_ERROR"),
        (ModelTimedOut("x"), "TIMEOUT"),
        (ModelUnreachable("x"), "CONNECTION_ERROR"),
        (ModelBroken("x"), "MODEL_ERROR"),
        (ModelNotFound("x"), "MODEL_ERROR"),
        (ContentFiltered("x"), "CONTENT_FILTERED"),
        (QuotaExhausted("x"), "QUOTA_EXCEEDED"),
        (ModelError("x"), "GENERIC_ERROR"),
    ],
)
def test_failure_codes(error: ModelError, code: str) -> None:
    assert failure_of(error).code == code


async def test_what_fails_before_the_model_is_raised() -> None:
    with pytest.raises(StoreUnavailable):
        await run(ask(), search=Search(error=StoreUnavailable("down")))


class BrokenEmbedding(BuiltinEmbedding):
    async def embed(self, texts: Sequence[str]) -> Any:
        raise ServerFailed("down")


async def test_citations_that_cannot_be_placed_do_not_spoil_the_answer() -> None:
    events = await run(ask(), Script(["The warranty lasts thirty days."]), embedding=BrokenEmbedding())
    assert isinstance(events[-1], Done)
    assert events[-1].cited_answer == "The warranty lasts thirty days."


async def test_leaving_closes_the_models_stream() -> None:
    model = Script(["x"] * 100)
    events = answer(ask(), retrieve=Search(), chat_model=model)
    async for event in events:
        if isinstance(event, Text):
            break
    await events.aclose()  # type: ignore[attr-defined]
    assert model.is_closed


async def test_cancelling_closes_the_models_stream() -> None:
    class Silent(Script):
        async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
            try:
                yield ChatDelta(text="a")
                await asyncio.sleep(60)
            finally:
                self.is_closed = True

    model = Silent()
    task = asyncio.create_task(run(ask(), model))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.is_closed


async def test_history_larger_than_the_context() -> None:
    model = Script(context_tokens=1_500)
    turns = [Message("user", "old question " * 200), Message("assistant", "old answer " * 200)] * 5
    request = AnswerRequest(PLAIN, [*turns, Message("user", "And now?")])
    await run(request, model)
    (sent,) = model.requests
    assert [message.role for message in sent.messages] == ["system", "user"]
    assert TEXTS[0][2] in sent.messages[0].content


async def test_knowledge_larger_than_the_context() -> None:
    texts = [("d1", "a.txt", f"passage {n} " + "word " * 400) for n in range(10)]
    model = Script(context_tokens=2_000)
    await run(ask(replace(PLAIN, llm={"max_tokens": 512})), model, Search(texts=texts))
    (sent,) = model.requests
    used = sum(count_tokens(message.content) for message in sent.messages)
    assert used <= 1_900
    assert len(sent.passages) == 3
    assert sent.settings["max_tokens"] <= 2_000 - used
    assert sent.messages[0].content.count("=====") == 4  # the fence is whole


@pytest.mark.parametrize("question", ["", "   ", "\n"])
async def test_a_blank_question_searches_nothing(question: str) -> None:
    search = Search()
    await run(ask(replace(PLAIN, empty_response="Nothing!"), question), search=search)
    assert search.queries == []


async def test_built_in_from_end_to_end() -> None:
    model = BuiltinAnswerer(EMBEDDING)
    last = await done(ask(question="How long does the warranty of the Aurora pump last?"), model)
    assert last.answer.startswith("The warranty of the Aurora pump lasts thirty days [ID:0].")
    assert last.reference is not None
    assert last.reference.documents[0].document_name == "pump.txt"
    assert list(last.timings_ms) == [
        "read_question", "read_variables", "find_passages", "build_prompt", "first_piece", "generate", "cite",
    ]  # fmt: skip
    await model.close()


async def test_in_one_piece() -> None:
    events = answer(ask(), retrieve=Search(), chat_model=Script())
    assert (await collect(events)).answer == "Hello world."


async def test_the_default_prompt_follows_the_questions_language() -> None:
    for question, text in (("How long?", "You answer questions"), ("保修期多长？", "你根据知识库")):
        model = Script()
        await run(ask(ChatSettings(), question), model)
        assert model.requests[0].messages[0].content.startswith(text)
