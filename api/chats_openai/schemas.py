"""Body and reply of the OpenAI-compatible route, and how the body is read.

The checks have an order of their own (contract 04 §5), so the schema describes and `read_question` checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import BadArgument, Refused
from api.http import shown
from rag.models.protocol import Message


class OpenAIMessage(BaseModel):
    """A turn. Of list content the text parts count."""

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


class OpenAICompletionBody(BaseModel):
    """Body of POST …/chat/completions; sampling fields, tools and the rest of OpenAI's are ignored."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="sent back; the chat decides which model answers")
    messages: list[OpenAIMessage]
    stream: bool = Field(
        True, description="unset, it is false for a client that accepts `application/json` alone"
    )
    extra_body: ExtraBody | None = None
    reference: bool = False
    reference_metadata: ReferenceMetadata | None = None
    metadata_condition: dict[str, Any] | None = None


class OpenAICompletionReply(BaseModel):
    """A whole answer, as OpenAI's API has it."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


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
    )


def _conversation(sent: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Turns of user and assistant from the first question on; the chat has its own system prompt."""
    messages: list[Message] = []
    for place, one in enumerate(sent):
        text = _text(one.get("content"), place)
        if one["role"] == "user":
            messages.append(Message("user", text))
        elif one["role"] == "assistant" and messages:
            messages.append(Message("assistant", text))
    return messages


def _text(content: Any, place: int) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        parts = [part.get("text") for part in content]
        return "\n".join(text for text in parts if isinstance(text, str))
    raise BadArgument(
        f"messages[{place}].content must be a string or an array of parts, got {shown(content)}"
    )
