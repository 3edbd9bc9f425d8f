"""What was asked, and with which variables."""

from rag.answering.history import clean_history
from rag.answering.prompt import KNOWLEDGE
from rag.answering.state import AnswerState
from rag.errors import MissingVariable
from rag.text.languages import is_chinese


async def read_question(state: AnswerState) -> None:
    """History, the question and its language."""
    state.history = clean_history(state.request.messages)
    if state.history and state.history[-1].role == "user":
        state.question = state.history[-1].content.strip()
    state.language = "zh" if is_chinese(state.question) else "en"
    state.document_ids = state.request.document_ids


async def read_variables(state: AnswerState) -> None:
    """Values of the system prompt's variables; an optional one that is not given is a space."""
    for variable in state.request.settings.variables:
        if variable.key == KNOWLEDGE:
            continue
        value = state.request.variables.get(variable.key)
        if value is None and not variable.is_optional and state.request.has_datasets:
            raise MissingVariable(variable.key)
        state.values[variable.key] = " " if value is None else value
