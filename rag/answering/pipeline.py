"""An answer, from question to citations: stages over one state, then the model's stream as events."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from rag.answering.citations import CitedText, cite
from rag.answering.events import (
    AnswerEvent,
    Done,
    EmptyResponse,
    Failed,
    FailureCode,
    ReferenceFound,
    Text,
    ThinkingText,
    Usage,
)
from rag.answering.failures import failure_of
from rag.answering.helpers import Helpers
from rag.answering.prompt import cap_max_tokens
from rag.answering.prompts import PromptLanguage
from rag.answering.reference import Reference, ReferenceChunk
from rag.answering.request import AnswerRequest, Retrieve
from rag.answering.stages.conditions import filter_by_metadata, wants_conditions
from rag.answering.stages.keywords import find_keywords, wants_keywords
from rag.answering.stages.passages import find_passages
from rag.answering.stages.prompting import build_prompt
from rag.answering.stages.question import read_question, read_variables
from rag.answering.stages.refine import refine_question, wants_refining
from rag.answering.stages.research import research, wants_research
from rag.answering.stages.translate import translate_question, wants_translation
from rag.answering.state import AnswerState, Stage
from rag.answering.thinking import ThinkingSplitter
from rag.answering.together import together
from rag.errors import ModelError
from rag.models.protocol import ChatDelta, ChatModel, ChatPassage, ChatRequest, EmbeddingModel
from rag.retrieval.result import DEFAULT_VECTOR_WEIGHT
from rag.text.tokens import count_tokens


async def answer(
    request: AnswerRequest,
    *,
    retrieve: Retrieve,
    chat_model: ChatModel,
    embedding: EmbeddingModel | None = None,
    helpers: Helpers | None = None,
) -> AsyncIterator[AnswerEvent]:
    """The events of one answer; `Done` is the last one, whatever happens to the chat model.

    embedding: places citations where the model wrote none; None: they are not placed.
    Closing the iterator closes the model's stream. Raises MissingVariable, and RagError of `retrieve`,
    before the first event, or after the progress of deep research; failures of the chat model are a
    `Failed` event.
    """
    state = AnswerState(request, retrieve, chat_model, embedding, helpers or Helpers())
    await _prepare(state)
    if wants_research(state):
        with state.timed("research"):
            async with aclosing(research(state)) as progress:
                async for step in progress:
                    yield step
    else:
        await _run(state, find_passages)
    await _run(state, build_prompt)

    if state.reference is not None:
        yield ReferenceFound(state.reference)
    empty_response = request.settings.empty_response
    if request.has_datasets and empty_response and not state.knowledge.text:
        yield EmptyResponse(empty_response)
        yield _done(state, empty_response, CitedText(empty_response, []), is_empty_response=True)
        return
    async with aclosing(_generate(state)) as events:
        async for event in events:
            yield event


async def collect(events: AsyncIterator[AnswerEvent]) -> Done:
    """Run to the end: for replies in one piece."""
    done: Done | None = None
    async for event in events:
        if isinstance(event, Done):
            done = event
    if done is None:
        raise AssertionError("an answer without its end")
    return done


async def _prepare(state: AnswerState) -> None:
    """What comes before the search: only the stages that are switched on, those that can side by side."""
    await _run(state, read_question)
    await _run(state, read_variables)
    if wants_refining(state):
        await _run(state, refine_question)
    wanted = [stage for is_wanted, stage in _INDEPENDENT if is_wanted(state)]
    if wanted:
        await together([_run(state, stage) for stage in wanted])


_INDEPENDENT: Sequence[tuple[Callable[[AnswerState], bool], Stage]] = (
    (wants_translation, translate_question),
    (wants_keywords, find_keywords),
    (wants_conditions, filter_by_metadata),
)
"""Each needs the question alone, and none what another one finds."""


async def _run(state: AnswerState, stage: Stage) -> None:
    with state.timed(stage.__name__):
        await stage(state)


async def _generate(state: AnswerState) -> AsyncGenerator[AnswerEvent, None]:
    started = time.perf_counter()
    prompt_tokens = sum(count_tokens(message.content) for message in state.messages)
    settings = cap_max_tokens(state.request.settings.llm, state.chat_model.context_tokens, prompt_tokens)
    splitter = ThinkingSplitter()
    texts: list[str] = []
    reasonings: list[str] = []
    usage: Usage | None = None
    failure: Failed | None = None
    finish_reason: str | None = None

    def note(event: AnswerEvent) -> AnswerEvent:
        if isinstance(event, Text):
            texts.append(event.text)
        elif isinstance(event, ThinkingText):
            reasonings.append(event.text)
        return event

    model_request = ChatRequest(state.messages, settings, _passages(state), is_citing=state.is_citing)
    try:
        deltas = state.chat_model.stream(model_request)
        async with _closing(deltas):
            async for delta in deltas:
                if "first_piece" not in state.timings_ms:
                    _note_time(state, "first_piece", started)
                for event in splitter.reasoning(delta.reasoning):
                    yield note(event)
                for event in splitter.text(delta.text):
                    yield note(event)
                finish_reason = delta.finish_reason or finish_reason
                if delta.usage is not None:
                    usage = Usage(delta.usage.prompt_tokens, delta.usage.completion_tokens, False)
    except ModelError as error:
        failure = failure_of(error)
    for event in splitter.end():
        yield note(event)
    if finish_reason == "length":
        yield note(Text(_truncation_notice(state.language)))
    elif finish_reason == "content_filter":
        failure = Failed(
            FailureCode.CONTENT_FILTERED, f"{state.chat_model.name} stopped at its content filter"
        )
    if failure is not None:
        yield failure
        texts.append(failure.answer_text)
    _note_time(state, "generate", started)

    text = "".join(texts)
    if usage is None:
        usage = Usage(prompt_tokens, count_tokens(text) + count_tokens("".join(reasonings)))
    started = time.perf_counter()
    cited = await _cite(state, text, has_failed=failure is not None)
    _note_time(state, "cite", started)
    done = _done(state, text, cited, reasoning="".join(reasonings), usage=usage, failure=failure)
    yield replace(done, finish_reason="length") if finish_reason == "length" else done


async def _cite(state: AnswerState, text: str, *, has_failed: bool) -> CitedText:
    if not state.is_citing or state.reference is None:
        return CitedText(text, [])
    try:
        return await cite(
            text,
            [chunk.content for chunk in state.reference.chunks],
            embedding=None if has_failed else state.embedding,
            vector_weight=state.request.settings.vector_similarity_weight,
        )
    except ModelError:
        # The answer stands, and its reader has it: citations that cannot be placed are left out.
        return await cite(text, [chunk.content for chunk in state.reference.chunks], embedding=None)


def _done(
    state: AnswerState,
    text: str,
    cited: CitedText,
    *,
    reasoning: str = "",
    usage: Usage | None = None,
    failure: Failed | None = None,
    is_empty_response: bool = False,
) -> Done:
    usage = usage or Usage()
    reference = state.reference.cited(cited.indexes) if state.is_citing and state.reference else None
    return Done(
        answer=text,
        cited_answer=cited.text,
        reasoning=reasoning,
        reference=Reference() if is_empty_response else reference,
        usage=usage,
        prompt=_describe(state, usage),
        timings_ms=state.timings_ms,
        failure=failure,
        is_empty_response=is_empty_response,
    )


def _describe(state: AnswerState, usage: Usage) -> str:
    query = "\n".join(state.search_texts)
    times = "\n".join(f"  - {name}: {elapsed:.1f}ms" for name, elapsed in state.timings_ms.items())
    return (
        f"{state.plain_system}\n\n### Query:\n{query}\n\n## Time elapsed:\n{times}\n\n"
        f"## Token usage:\n  - prompt: {usage.prompt_tokens}\n  - completion: {usage.completion_tokens}"
    )


def _passages(state: AnswerState) -> list[ChatPassage]:
    if state.reference is None:
        return []
    shown = state.reference.chunks[: state.knowledge.entry_count]
    return [ChatPassage(chunk.content, chunk.document_name, _plain_similarity(chunk)) for chunk in shown]


def _plain_similarity(chunk: ReferenceChunk) -> float:
    """The similarity by the default weights and without pagerank: the scale that the built-in answerer knows."""
    return (
        DEFAULT_VECTOR_WEIGHT * chunk.vector_similarity + (1 - DEFAULT_VECTOR_WEIGHT) * chunk.term_similarity
    )


def _truncation_notice(language: PromptLanguage) -> str:
    if language == "zh":
        return "······\n由于大模型的上下文窗口大小限制，回答已经被大模型截断。"
    return "...\nThe answer is truncated by your chosen LLM due to its limitation on context length."


@asynccontextmanager
async def _closing(deltas: AsyncIterator[ChatDelta]) -> AsyncIterator[None]:
    """Close the model's call when its reader leaves; an iterator that is no generator has nothing to close."""
    try:
        yield
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()


def _note_time(state: AnswerState, name: str, started: float) -> None:
    state.timings_ms[name] = (time.perf_counter() - started) * 1000
