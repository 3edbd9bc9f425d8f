"""Where settings come from, which source wins, and what a wrong one is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api.settings import (
    Settings,
    SettingsError,
    env_name,
    load_settings,
    providers_table,
    setting_fields,
    settings_table,
)

PROVIDER = {"name": "Mine", "base_url": "http://localhost:8000/v1", "api_key": "sk-very-secret-value"}


def write(folder: Path, content: Any) -> Path:
    file = folder / "ragd.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def refusal(config: Path | None = None, **sources: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(config, **({"environment": {}} | sources))
    return str(refused.value)


def test_defaults_then_file_then_environment_then_flags(tmp_path: Path) -> None:
    file = write(tmp_path, {"http": {"port": 1, "host": "file"}, "log": {"level": "DEBUG"}})
    environment = {"RAGD_HTTP_PORT": "2", "RAGD_HTTP_HOST": "environment"}
    settings = load_settings(file, environment=environment, flags={"http.port": 3, "http.host": None})
    assert (settings.http.port, settings.http.host, settings.log.level) == (3, "environment", "DEBUG")
    assert settings.executor == Settings().executor


def test_the_file_is_found_by_its_place_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    write(tmp_path / "conf", {"http": {"port": 1}})
    other = write(tmp_path, {"http": {"port": 2}})
    assert load_settings(environment={}).http.port == 1
    assert load_settings(environment={"RAGD_CONFIG": str(other)}).http.port == 2
    assert (
        load_settings(tmp_path / "conf" / "ragd.yaml", environment={"RAGD_CONFIG": str(other)}).http.port == 1
    )


def test_the_shipped_file_changes_nothing_and_its_examples_are_valid(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "conf" / "ragd.yaml"
    assert load_settings(file, environment={}) == Settings()
    _head, examples = file.read_text("utf-8").split("\n\n", 1)
    uncommented = write(tmp_path, "\n".join(line.removeprefix("# ") for line in examples.splitlines()))
    assert load_settings(uncommented, environment={}) != Settings()


@pytest.mark.parametrize("path", [path for path, _ in setting_fields()])
def test_every_setting_can_be_named_in_the_environment(path: str) -> None:
    default = Settings()
    for part in path.split("."):
        default = getattr(default, part)
    provider = '[{"name": "Mine", "base_url": "http://localhost/v1"}]'
    candidates = [
        "7",
        "x",
        "http://localhost",
        "[]",
        provider,
        '["x"]',
        "1024",
        "300",
        "DEBUG",
        "json",
        "semantic",
        "s" * 32,
    ]
    for text in candidates:
        try:
            settings: Any = load_settings(environment={env_name(path): text})
        except SettingsError:
            continue
        for part in path.split("."):
            settings = getattr(settings, part)
        if settings != default:
            return
    pytest.fail(f"no value of {env_name(path)} changes {path}")


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, {"http": {"prot": 1}})).endswith(
        "unknown setting http.prot; did you mean http.port?"
    )
    assert refusal(environment={"RAGD_DATADIR": "x"}).endswith("did you mean RAGD_DATA_DIR?")
    assert "did you mean log.level?" in refusal(write(tmp_path, {"log": {"levle": "INFO"}}))
    providers = [PROVIDER | {"chat_model": ["m"]}]
    assert refusal(flags={"models.providers": providers}) == (
        "Setting models.providers.0.chat_model is unknown; did you mean chat_models?"
    )


@given(st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=12))
def test_a_name_that_is_not_known_is_never_ignored(name: str) -> None:
    path = f"RAGD_{name.upper()}"
    if path not in {env_name(known) for known, _ in setting_fields()} and path != "RAGD_CONFIG":
        with pytest.raises(SettingsError, match=path):
            load_settings(environment={path: "1"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("http: [", "is not valid YAML"),
        ("- 1", "must hold settings by name"),
        ("http: 5", "http must hold settings by name, got 5"),
        ({"http": {"port": "x"}}, "Setting http.port: Input should be a valid integer"),
        ({"http": {"port": 70000}}, "less than or equal to 65535, got 70000"),
        ({"http": {"status_codes": "x"}}, "'ragflow' or 'semantic', got 'x'"),
        ({"secret_key": "short"}, "secret_key must have 32 characters or more, got 5"),
        ({"models": {"providers": [{"name": "a"}]}}, "Setting models.providers.0.base_url: Field required"),
        ({"models": {"providers": [PROVIDER | {"base_url": "localhost"}]}}, "models.providers.0.base_url"),
        ({"models": {"providers": [PROVIDER, PROVIDER]}}, "the name Mine is taken"),
        ({"models": {"providers": [PROVIDER | {"name": "Builtin"}]}}, "the name Builtin is taken"),
        ({"models": {"providers": [PROVIDER | {"name": "a@b"}]}}, "models.providers.0.name"),
    ],
)
def test_wrong_values(tmp_path: Path, content: Any, message: str) -> None:
    assert message in refusal(write(tmp_path, content))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, {"http": {"port": -1}, "log": {"level": "LOUD"}}))
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    "sources",
    [
        {"environment": {"RAGD_MODELS_PROVIDERS": '[{"api_key": "sk-very-secret-value"}'}},
        {"flags": {"models.providers": [{"name": "a", "api_key": "sk-very-secret-value"}]}},
        {"flags": {"models.providers": [PROVIDER | {"api_kye": "sk-very-secret-value"}]}},
        {"flags": {"models.providers": [PROVIDER | {"api_key": ["sk-very-secret-value"]}]}},
        {"flags": {"models.providers": [PROVIDER, PROVIDER]}},
        {"flags": {"models.providers": "sk-very-secret-value"}},
        {"flags": {"secret_key": ["sk-very-secret-value"]}},
        {"flags": {"secret_key": "sk-very-secret-value"}},
    ],
)
def test_refusals_show_no_secret(sources: dict[str, Any]) -> None:
    assert "very-secret" not in refusal(**sources)


def test_settings_show_no_secret() -> None:
    settings = load_settings(
        environment={}, flags={"secret_key": "very-secret" * 4, "models.providers": [PROVIDER]}
    )
    assert settings.models.providers[0].api_key.get_secret_value() == PROVIDER["api_key"]
    assert "very-secret" not in f"{settings!r}{settings}{settings.model_dump_json()}"


def test_an_empty_variable_unsets_what_can_be_unset() -> None:
    assert load_settings(environment={"RAGD_EXECUTOR_WORKERS": ""}).executor.workers is None
    assert "http.port" in refusal(environment={"RAGD_HTTP_PORT": ""})


def test_the_tables_name_every_setting_with_its_meaning() -> None:
    for path, field in setting_fields():
        assert field.description
        assert f"| `{path}` | `{env_name(path)}` |" in settings_table()
    assert "| `base_url` | required |" in providers_table()
    assert "sk-" not in settings_table()
