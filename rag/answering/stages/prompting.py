"""The messages that the model gets."""

from rag.answering.prompt import KNOWLEDGE, build_knowledge, fill_variables, fit_messages, knowledge_budget
from rag.answering.state import AnswerState
from rag.models.protocol import Message
from rag.text.tokens import count_tokens


async def build_prompt(state: AnswerState) -> None:
    """System prompt with knowledge and citation rules, and as much history as fits."""
    settings, prompts = state.request.settings, state.helpers.prompts
    context_tokens = state.chat_model.context_tokens
    template = settings.system_prompt or prompts.load("system", state.language)
    state.plain_system = fill_variables(template, {**state.values, KNOWLEDGE: ""})
    citation_rules = "\n\n" + prompts.load("citation", state.language)
    question_tokens = count_tokens(state.history[-1].content) if state.history else 0
    if state.reference is not None:
        rules_tokens = count_tokens(citation_rules) if settings.show_quote and state.request.quote else 0
        others = count_tokens(state.plain_system) + question_tokens + rules_tokens
        state.knowledge = build_knowledge(
            state.reference.chunks,
            knowledge_budget(context_tokens, others),
            language=state.language,
            metadata=state.request.document_metadata,
            prompts=prompts,
        )
    system = fill_variables(template, {**state.values, KNOWLEDGE: state.knowledge.text})
    if state.knowledge.text and f"{{{KNOWLEDGE}}}" not in template:
        system = f"{system}\n\n{state.knowledge.text}"
    state.messages = fit_messages([Message("system", system), *state.history], context_tokens)
    if state.is_citing:
        first = state.messages[0]
        state.messages[0] = Message("system", first.content + citation_rules)
