"""The prompts, and a folder that replaces some of them."""

from pathlib import Path

import pytest

from rag.answering.prompts import BadPrompt, Prompts, load_prompt, open_prompts, prompt_files


def test_every_prompt_is_found_in_both_languages() -> None:
    names = {file.split(".")[0] for file in prompt_files()}
    assert {"system", "refine", "translate", "keywords", "conditions", "sufficiency", "summary"} <= names
    for name in names:
        assert load_prompt(name, "en")
        assert load_prompt(name, "zh")


def test_a_folder_replaces_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "keywords.en.md").write_text("Terms: {count}\n")
    (tmp_path / "notes.txt").write_text("not a prompt")
    prompts = open_prompts(tmp_path)
    assert prompts.load("keywords") == "Terms: {count}"
    assert prompts.load("keywords", "zh") == load_prompt("keywords", "zh")
    assert prompts.load("refine") == Prompts().load("refine") == load_prompt("refine")


def test_what_cannot_replace_anything(tmp_path: Path) -> None:
    with pytest.raises(BadPrompt, match="is not a folder"):
        open_prompts(tmp_path / "gone")
    (tmp_path / "system.de.md").write_text("{knowledge}")
    with pytest.raises(BadPrompt, match="replaces no prompt"):
        open_prompts(tmp_path)
    (tmp_path / "system.de.md").unlink()
    (tmp_path / "system.en.md").write_bytes(b"\xff\xfe{knowledge}")
    with pytest.raises(BadPrompt, match="cannot be read as UTF-8"):
        open_prompts(tmp_path)
    (tmp_path / "system.en.md").write_text("Answer.")
    with pytest.raises(BadPrompt, match=r"lacks \{knowledge\}"):
        open_prompts(tmp_path)
