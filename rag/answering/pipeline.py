"""An answer, from question to citations: stages over one state, then the model's stream as events."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

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
from rag.answering.history import clean_history
from rag.answering.prompt import (
    KNOWLEDGE,
    Knowledge,
    build_knowledge,
    cap_max_tokens,
    fill_variables,
    fit_messages,
    knowledge_budget,
)
from rag.answering.prompts import PromptLanguage, load_prompt
from rag.answering.reference import Reference, build_reference
from rag.answering.request import AnswerRequest, PassageQuery, Retrieve
from rag.answering.thinking import ThinkingSplitter
from rag.errors import MissingVariable, ModelError
from rag.models.protocol import ChatDelta, ChatModel, ChatPassage, ChatRequest, EmbeddingModel, Message
from rag.text.languages import is_chinese
from rag.text.tokens import count_tokens


@dataclass(slots=True)
class AnswerState:
    """What the stages have found so far."""

    request: AnswerRequest
    retrieve: Retrieve
    chat_model: ChatModel
    embedding: EmbeddingModel | None
    history: list[Message] = field(default_factory=list)
    question: str = ""
    language: PromptLanguage = "en"
    values: dict[str, str] = field(default_factory=dict)
    reference: Reference | None = None
    knowledge: Knowledge = field(default_factory=lambda: Knowledge("", 0))
    plain_system: str = ""  # the system prompt without the knowledge, for the reply's `prompt`
    messages: list[Message] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_citing(self) -> bool:
        """Whether this answer cites."""
        return self.request.quote and self.request.settings.show_quote and self.knowledge.entry_count > 0


Stage = Callable[[AnswerState], Awaitable[None]]


async def answer(
    request: AnswerRequest,
    *,
    retrieve: Retrieve,
    chat_model: ChatModel,
    embedding: EmbeddingModel | None = None,
) -> AsyncIterator[AnswerEvent]:
    """The events of one answer; `Done` is the last one, whatever happens to the chat model.

    embedding: places citations where the model wrote none; None: they are not placed.
    Closing the iterator closes the model's stream. Raises MissingVariable, and RagError of `retrieve`,
    before the first event; failures of the chat model are a `Failed` event.
    """
    state = AnswerState(request, retrieve, chat_model, embedding)
    for stage in STAGES:
        started = time.perf_counter()
        await stage(state)
        _note_time(state, stage.__name__, started)

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


async def read_question(state: AnswerState) -> None:
    """History, the question and its language."""
    state.history = clean_history(state.request.messages)
    if state.history and state.history[-1].role == "user":
        state.question = state.history[-1].content.strip()
    state.language = "zh" if is_chinese(state.question) else "en"


async def read_variables(state: AnswerState) -> None:
    """Values of the system prompt's variables; an optional one that is not given is a space."""
    for variable in state.request.settings.variables:
        if variable.key == KNOWLEDGE:
            continue
        value = state.request.variables.get(variable.key)
        if value is None and not variable.is_optional and state.request.has_datasets:
            raise MissingVariable(variable.key)
        state.values[variable.key] = " " if value is None else value


async def find_passages(state: AnswerState) -> None:
    """Search, if the chat has datasets and its prompt wants knowledge."""
    settings = state.request.settings
    wants_knowledge = any(variable.key == KNOWLEDGE for variable in settings.variables)
    if not (state.request.has_datasets and wants_knowledge and state.question):
        return
    query = PassageQuery(
        question=state.question,
        top_n=settings.top_n,
        top_k=settings.top_k,
        similarity_threshold=settings.similarity_threshold,
        vector_similarity_weight=settings.vector_similarity_weight,
        document_ids=state.request.document_ids,
    )
    found = await state.retrieve(query)
    if found.hits:
        state.reference = build_reference(found)


async def build_prompt(state: AnswerState) -> None:
    """System prompt with knowledge and citation rules, and as much history as fits."""
    settings = state.request.settings
    context_tokens = state.chat_model.context_tokens
    template = settings.system_prompt or load_prompt("system", state.language)
    state.plain_system = fill_variables(template, {**state.values, KNOWLEDGE: ""})
    citation_rules = "\n\n" + load_prompt("citation", state.language)
    question_tokens = count_tokens(state.history[-1].content) if state.history else 0
    if state.reference is not None:
        rules_tokens = count_tokens(citation_rules) if settings.show_quote and state.request.quote else 0
        others = count_tokens(state.plain_system) + question_tokens + rules_tokens
        state.knowledge = build_knowledge(
            state.reference.chunks,
            knowledge_budget(context_tokens, others),
            language=state.language,
            metadata=state.request.document_metadata,
        )
    system = fill_variables(template, {**state.values, KNOWLEDGE: state.knowledge.text})
    if state.knowledge.text and f"{{{KNOWLEDGE}}}" not in template:
        system = f"{system}\n\n{state.knowledge.text}"
    state.messages = fit_messages([Message("system", system), *state.history], context_tokens)
    if state.is_citing:
        first = state.messages[0]
        state.messages[0] = Message("system", first.content + citation_rules)


STAGES: Sequence[Stage] = (read_question, read_variables, find_passages, build_prompt)


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
    yield _done(state, text, cited, reasoning="".join(reasonings), usage=usage, failure=failure)


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
    times = "\n".join(f"  - {name}: {elapsed:.1f}ms" for name, elapsed in state.timings_ms.items())
    return (
        f"{state.plain_system}\n\n### Query:\n{state.question}\n\n## Time elapsed:\n{times}\n\n"
        f"## Token usage:\n  - prompt: {usage.prompt_tokens}\n  - completion: {usage.completion_tokens}"
    )


def _passages(state: AnswerState) -> list[ChatPassage]:
    if state.reference is None:
        return []
    shown = state.reference.chunks[: state.knowledge.entry_count]
    return [ChatPassage(chunk.content, chunk.document_name, chunk.similarity) for chunk in shown]


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
