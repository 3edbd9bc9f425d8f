"""A follow-up question made self-contained."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from rag.answering.ask import ask_model
from rag.answering.prompt import fill_variables
from rag.answering.state import AnswerState
from rag.errors import ModelError
from rag.models.protocol import Message

_TURNS = 6
_TURN_CHARACTERS = 2000
_LONGEST_QUESTION = 2000


def wants_refining(state: AnswerState) -> bool:
    """Whether the question may lean on earlier ones."""
    is_on = state.request.settings.refine_multiturn and state.helpers.instructed is not None
    return is_on and state.wants_passages and sum(turn.role == "user" for turn in state.history) > 1


async def refine_question(state: AnswerState) -> None:
    """Rewrite the question from the conversation; it stays as it is when the model fails."""
    model = state.helpers.instructed
    assert model is not None
    template = state.helpers.prompts.load("refine", state.language)
    try:
        reply = await ask_model(
            model,
            fill_variables(template, days(datetime.now(UTC).date())),
            _conversation(state.history),
            timeout_s=state.helpers.step_timeout_s,
        )
    except ModelError:
        return
    refined = reply.strip().strip('"“”').strip()
    # A reply that is no question: a model that answered instead, at length, or said nothing.
    if refined and len(refined) <= max(_LONGEST_QUESTION, 2 * len(state.question)):
        state.question = refined


def days(today: date) -> dict[str, str]:
    """Today and its neighbours, for prompts."""
    day = timedelta(days=1)
    return {"today": str(today), "yesterday": str(today - day), "tomorrow": str(today + day)}


def _conversation(history: Sequence[Message]) -> str:
    lines = [f"{turn.role.upper()}: {turn.content[:_TURN_CHARACTERS]}" for turn in history[-_TURNS:]]
    return "\n".join(lines)
