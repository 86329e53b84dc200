"""Settings from the environment, and errors that an operator can act on."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.settings import BadSettings, Settings, load_settings

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ASSENT_{name.upper()}", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def refused(**overrides: object) -> str:
    with pytest.raises(BadSettings) as raised:
        load_settings(**overrides)
    assert raised.value.__suppress_context__
    return str(raised.value)


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "REDIS_URL": ("redis_url", "redis://h", "redis://h"),
        "ASSENT_SECRET": ("secret", SECRET, SECRET),
        "ASSENT_HOST": ("host", "::1", "::1"),
        "ASSENT_PORT": ("port", "9000", 9000),
        "ASSENT_ALLOWED_ORIGINS": (
            "allowed_origins",
            "https://a.example, http://b:81",
            ("https://a.example", "http://b:81"),
        ),
        "ASSENT_ANSWER_WINDOW": ("answer_window", "7200", timedelta(hours=2)),
        "ASSENT_SLOW_AFTER": ("slow_after", "0.5", timedelta(milliseconds=500)),
        "ASSENT_DRAIN": ("drain", "PT1M", timedelta(minutes=1)),
        "ASSENT_COMMANDS_PER_SECOND": ("commands_per_second", "2.5", 2.5),
        "ASSENT_KEEP_ENTRIES": ("keep_entries", "500", 500),
        "ASSENT_REPLICAS": ("replicas", "2", 2),
    }
    for variable, (_, text, _) in said.items():
        monkeypatch.setenv(variable, text)
    settings = load_settings()
    assert {field: getattr(settings, field) for field, _, _ in said.values()} == {
        field: value for field, _, value in said.values()
    }


@pytest.mark.parametrize(
    "field", [f for f, info in Settings.model_fields.items() if isinstance(info.default, timedelta)]
)
def test_every_duration_is_seconds(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv(f"ASSENT_{field.upper()}", "90")
    assert getattr(load_settings(secret=SECRET), field) == timedelta(seconds=90)
    for bad in ("0", "-1", "soon", "nan", "inf", "1e+300", "400000000"):
        monkeypatch.setenv(f"ASSENT_{field.upper()}", bad)
        assert f"ASSENT_{field.upper()}={bad}: should be a number of seconds above 0" in refused(secret=SECRET)


def test_origins_are_a_list_in_either_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (
        "https://a.example,https://b.example",
        '["https://a.example", "https://b.example"]',
        " https://a.example ,https://b.example,",
    ):
        monkeypatch.setenv("ASSENT_ALLOWED_ORIGINS", text)
        assert load_settings(secret=SECRET).allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example/",
        "a.example",
        "https://",
        "https://A.example",
        "*",
        "null",
        "https://a.example/x",
        "//a",
        "http://[",
        "[1",
        "[1]",
    ],
)
def test_what_no_browser_sends_is_no_origin(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """Such an entry would never match; its writer meant something else."""
    monkeypatch.setenv("ASSENT_ALLOWED_ORIGINS", origin)
    assert "ASSENT_ALLOWED_ORIGINS" in refused(secret=SECRET)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "ALLOWED_ORIGINS", "ANSWER_WINDOW", "SECRET"):
        monkeypatch.setenv(f"ASSENT_{name}", "")
    assert load_settings(secret=SECRET).port == 8080
    assert "ASSENT_SECRET is not set" in refused()


def test_what_is_given_counts_more_than_the_environment_unless_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENT_PORT", "9000")
    monkeypatch.setenv("REDIS_URL", "redis://environment")
    settings = load_settings(secret=SECRET, port=None, host=None, redis_url="redis://given")
    assert (settings.port, settings.host, settings.redis_url) == (9000, "127.0.0.1", "redis://given")
    assert load_settings(secret=SECRET, port=0).port == 0


def test_each_problem_names_its_variable_what_is_wrong_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENT_PORT", "80a")
    monkeypatch.setenv("ASSENT_KEEP_ENTRIES", "7")
    monkeypatch.setenv("ASSENT_FRAME_BYTES", "999999999")
    said = refused().splitlines()
    assert len(said) == 5
    assert "ASSENT_SECRET is not set" in said[1]
    assert "32 characters or more" in said[1]
    assert "ASSENT_PORT=80a: should be a valid integer" in said[2]
    assert said[2].endswith("remove it for the default (8080).")
    assert "ASSENT_FRAME_BYTES=999999999: should be less than or equal to 262144" in said[3]
    assert "ASSENT_KEEP_ENTRIES=7: should be greater than or equal to 100" in said[4]


def test_a_setting_that_does_not_exist_is_said() -> None:
    assert "prot: there is no such setting" in refused(secret=SECRET, prot=1)


def test_secrets_are_not_said() -> None:
    assert "tooshort" not in refused(secret="tooshort")
    assert "ASSENT_SECRET is too short" in refused(secret="tooshort")
    assert "hunter2" not in refused(secret=SECRET, redis_url=["redis://:hunter2@h"])
    settings = load_settings(secret=SECRET, redis_url="redis://:hunter2@h")
    assert SECRET not in repr(settings)
    assert "hunter2" not in f"{settings!r} {settings}"


def test_settings_do_not_change_under_way() -> None:
    with pytest.raises(ValidationError):
        load_settings(secret=SECRET).port = 1


def test_every_field_has_a_value_or_is_the_secret() -> None:
    assert [name for name, field in Settings.model_fields.items() if field.is_required()] == ["secret"]


def test_no_dotenv_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings come from the environment only; a stray file in a folder changes nothing."""
    (tmp_path / ".env").write_text("ASSENT_PORT=1\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings(secret=SECRET).port == 8080
