"""Retrieved text made harmless: it is data, whoever wrote it."""

import re

_CITATION_LIKE = re.compile(
    r"[\[(【（]\s*(?:ID)\s*[:：\s]\s*(\d+)([^\])】）\n]{0,40})[\])】）]|(?<!\w)(ref)(?=\d)", re.IGNORECASE
)
_LINE_BREAK = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_LEGACY_MARKER = re.compile(r"##(\d+)\$\$")
_ENTRY_LINE = re.compile(r"^([^\S\n]*(?:ID|Title|URL|Content)\s*[:：])", re.IGNORECASE | re.MULTILINE)
# What models are trained to read as the border between roles, or between reasoning and answer.
_CONTROL = re.compile(
    r"<(?=\||/?(?:think|s|system|user|assistant|im_start|im_end|start_of_turn|end_of_turn)\s*>|<\s*/?SYS)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)


def neutralise(text: str) -> str:
    """Retrieved text without what could pass for citations, entry lines, roles or reasoning tags."""
    text = _CITATION_LIKE.sub(_defuse, _LINE_BREAK.sub("\n", text))
    text = _LEGACY_MARKER.sub(r"##\1", text)
    text = _ENTRY_LINE.sub(r"> \1", text)
    return _CONTROL.sub(lambda match: match.group() + " ", text)


def _defuse(match: re.Match[str]) -> str:
    if match.group(3):
        return match.group(3) + "-"
    return f"(id-{match.group(1)}{match.group(2)})"
