"""Body and reply of the OpenAI-compatible route, and how the body is read.

The checks have an order of their own (contract 04 §5), so the schema describes and `read_question` checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import BadArgument, Refused
from api.http import Reply, shown
from rag.models.protocol import Message

# `refusal`: what an assistant said in place of an answer.
_TEXT_PARTS = ("text", "refusal")


class OpenAIMessage(BaseModel):
    """A turn. Of list content the text parts count; parts of other types are refused."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[dict[str, Any]] | None = None


class ReferenceMetadata(BaseModel):
    """Which metadata of the cited documents to send along."""

    include: bool = False
    fields: list[str] | None = Field(None, description="only these; unset: all")


class ExtraBody(BaseModel):
    """What OpenAI's API has no name for; may also stand at the top level."""

    reference: bool = Field(False, description="cite, and send the passages along")
    reference_metadata: ReferenceMetadata | None = None
    metadata_condition: dict[str, Any] | None = None
    timings: bool = Field(False, description="send `timings`, the milliseconds of each stage")


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = Field(
        False, description="true: usage in a chunk of its own, without choices, as OpenAI sends it"
    )


class OpenAICompletionBody(BaseModel):
    """Body of POST …/chat/completions. Sampling fields are ignored: the chat has its own. Tools are refused."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="sent back; the chat decides which model answers")
    messages: list[OpenAIMessage]
    stream: bool = Field(
        True, description="unset, it is false for a client that accepts `application/json` alone"
    )
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    extra_body: ExtraBody | None = None
    reference: bool = False
    reference_metadata: ReferenceMetadata | None = None
    metadata_condition: dict[str, Any] | None = None
    timings: bool = False


class OpenAICompletionReply(BaseModel):
    """A whole answer, as OpenAI's API has it."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


class OpenAIModel(Reply):
    """A model, in OpenAI's terms."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(BaseModel):
    """What a client may choose from: the one model of the chat."""

    object: Literal["list"]
    data: list[OpenAIModel]


@dataclass(frozen=True, slots=True)
class OpenAIQuestion:
    """A body that passed its checks. condition: unchecked.

    metadata_fields: of the documents behind the answer; None: none are sent, []: all of them.
    """

    model: str
    messages: list[Message]
    stream: bool | None
    reference: bool
    metadata_fields: Sequence[str] | None
    condition: Any
    has_usage_chunk: bool = False
    has_timings: bool = False

    @property
    def text(self) -> str:
        """The question."""
        return self.messages[-1].content


def check_presence(body: Mapping[str, Any]) -> None:
    """The two that must be there; asked before the credentials, as on RAGFlow's wire. Raises BadArgument."""
    missing = [name for name in ("model", "messages") if name not in body]
    if missing:
        raise BadArgument(f"required argument are missing: {','.join(missing)}; ")


def read_question(body: Mapping[str, Any]) -> OpenAIQuestion:
    """Check and read. Raises Refused, BadArgument."""
    extra = body.get("extra_body")
    if extra and not isinstance(extra, dict):
        raise Refused("extra_body must be an object.")
    # The official client merges its `extra_body` into the top level; others send it as it is called.
    options = {**body, **(extra or {})}
    metadata = options.get("reference_metadata")
    if metadata and not isinstance(metadata, dict):
        raise Refused("reference_metadata must be an object.")
    wanted = (metadata or {}).get("fields")
    if wanted is not None and not isinstance(wanted, list):
        raise Refused("reference_metadata.fields must be an array.")
    sent = body["messages"]
    if not isinstance(sent, list):
        raise BadArgument(f"`messages` must be an array, got {shown(sent)}")
    if not sent:
        raise Refused("You have to provide messages.")
    for place, one in enumerate(sent):
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise BadArgument(f"messages[{place}] must be an object with `role` and `content`")
    if sent[-1]["role"] != "user":
        raise Refused("The last content of this conversation is not from user.")
    model = body["model"]
    if not isinstance(model, str):
        raise BadArgument(f"`model` must be a string, got {shown(model)}")
    stream_options = body.get("stream_options")
    if stream_options and not isinstance(stream_options, dict):
        raise Refused("stream_options must be an object.")
    _refuse_what_is_not_there(body)
    fields: list[str] | None = None
    if (metadata or {}).get("include"):
        fields = [] if wanted is None else [name for name in wanted if isinstance(name, str)] or None
    return OpenAIQuestion(
        model=model,
        messages=_conversation(sent),
        stream=None if body.get("stream") is None else bool(body["stream"]),
        reference=bool(options.get("reference")),
        metadata_fields=fields,
        condition=options.get("metadata_condition"),
        has_timings=bool(options.get("timings")),
        has_usage_chunk=bool((stream_options or {}).get("include_usage")),
    )


def _refuse_what_is_not_there(body: Mapping[str, Any]) -> None:
    """What would be answered wrongly if it were ignored. Raises Refused."""
    for name, choice in (("tools", "tool_choice"), ("functions", "function_call")):
        if body.get(name) and body.get(choice) != "none":
            raise Refused(f"`{name}` are not supported: a chat answers from its datasets; leave them out")
    n = body.get("n")
    if n is not None and (n != 1 or isinstance(n, bool)):
        raise Refused(f"`n` must be 1, got {shown(n)}: there is one answer to a question")


def _conversation(sent: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Turns of user and assistant from the first question on; the chat has its own system prompt."""
    messages: list[Message] = []
    for place, one in enumerate(sent):
        if one["role"] == "user":
            messages.append(Message("user", _text(one.get("content"), place)))
        elif one["role"] == "assistant" and messages:
            messages.append(Message("assistant", _text(one.get("content"), place)))
    return messages


def _text(content: Any, place: int) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadArgument(
            f"messages[{place}].content must be a string or an array of parts, got {shown(content)}"
        )
    texts = [_part_text(part, f"messages[{place}].content[{number}]") for number, part in enumerate(content)]
    return "\n".join(text for text in texts if text)


def _part_text(part: Any, name: str) -> str:
    """The text of a part. Raises Refused for images, audio and files: leaving them out would answer something else."""
    if not isinstance(part, dict):
        raise BadArgument(f"{name} must be an object with `type` and `text`, got {shown(part)}")
    kind = part.get("type", "text")
    if kind not in _TEXT_PARTS:
        raise Refused(f"{name} is of type {shown(kind)}, and only parts of type text can be read")
    text = part.get(kind if kind == "refusal" else "text")
    return text if isinstance(text, str) else ""
