import os
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from backend.llm.catalog import Catalog, CatalogError, UnknownModel, api_key, catalog, load

MODEL = '[[provider.model]]\nname = "m"\ncontext_window = 1000\n'
PROVIDER = '[[provider]]\nname = "p"\nkind = "openai-chat"\n'


def loaded(folder: Path, text: str) -> Catalog:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_the_file_that_is_shipped_offers_the_offline_model_first(settings: Settings) -> None:
    shipped = load(Path(settings.BASE_DIR) / "models.toml")

    model = shipped.default_chat()
    assert (model.id, model.available, model.context_window) == ("offline", True, 128000)
    assert (model.input_price, model.output_price) == (Decimal("0.40"), Decimal("1.60"))
    assert {provider.kind for provider in shipped.providers} >= {"openai-responses", "anthropic"}
    assert all(model.priced for model in shipped.models)


@pytest.mark.parametrize("written", ["0.1", '"0.1"', "0.10000000000000000000001", "3", '"0"'])
def test_a_price_is_exactly_what_is_written(tmp_path: Path, written: str) -> None:
    offered = loaded(tmp_path, f"{PROVIDER}{MODEL}input_price = {written}\noutput_price = {written}\n")

    model = offered.get("m")
    assert model.input_price == model.output_price == model.cached_input_price == Decimal(written.strip('"'))


def test_a_model_without_prices_is_unpriced_and_a_free_one_is_not(tmp_path: Path) -> None:
    free = MODEL.replace('"m"', '"free"') + "input_price = 0\noutput_price = 0\n"
    offered = loaded(tmp_path, PROVIDER + MODEL + free)

    assert offered.get("m").input_price is None
    assert not offered.get("m").priced
    assert offered.get("free").priced


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x = \ny = 1", ["not valid TOML", "line 1"]),
        ("", ["provider"]),
        ("[[provider]]\nkind = 'offline'\n" + MODEL, ["provider", "number 1", "`name`"]),
        (PROVIDER.replace("openai-chat", "openai") + MODEL, ['provider "p"', "kind", "openai"]),
        (PROVIDER, ['provider "p"', "`model`"]),
        (PROVIDER + "api_key = 'sk-secret'\n" + MODEL, ['provider "p"', "`api_key`"]),
        (PROVIDER + "base_url = 'ftp://x'\n" + MODEL, ['provider "p"', "base_url"]),
        (PROVIDER + "read_timeout = 0\n" + MODEL, ['provider "p"', "read_timeout"]),
        (PROVIDER + MODEL.replace("context_window = 1000", ""), ['provider "p"', 'model "m"', "`context_window`"]),
        (PROVIDER + MODEL + "input_price = -1\noutput_price = 1\n", ['model "m"', "input_price", "-1"]),
        (PROVIDER + MODEL + "input_price = nan\noutput_price = 1\n", ['model "m"', "input_price", "NaN"]),
        (PROVIDER + MODEL + "input_price = 1\noutput_price = inf\n", ['model "m"', "output_price"]),
        (PROVIDER + MODEL + "input_price = 'much'\noutput_price = 1\n", ['model "m"', "input_price"]),
        (PROVIDER + MODEL + "input_price = true\noutput_price = 1\n", ['model "m"', "input_price"]),
        (PROVIDER + MODEL + "input_price = 1\n", ['model "m"', "output_price"]),
        (PROVIDER + MODEL + "input_prise = 1\n", ['model "m"', "input_prise"]),
        (PROVIDER + MODEL + "kind = 'embedding'\n", ['model "m"', "dimensions"]),
        (PROVIDER + MODEL + "max_output_tokens = 2000\n", ['model "m"', "max_output_tokens"]),
        (PROVIDER + MODEL + MODEL, ['provider "p"', 'two models have the name "m"']),
        (PROVIDER + MODEL + PROVIDER + MODEL, ['two providers have the name "p"']),
        ("default = 'other'\n" + PROVIDER + MODEL, ["default", "other"]),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(CatalogError) as refused:
        loaded(tmp_path, text)

    for word in [str(tmp_path / "models.toml"), *named]:
        assert word in str(refused.value)
    assert "sk-secret" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")


def test_a_model_of_two_providers_is_called_by_both_names(tmp_path: Path) -> None:
    offered = loaded(tmp_path, PROVIDER + MODEL + PROVIDER.replace('"p"', '"q"') + MODEL)

    assert [model.id for model in offered.models] == ["p/m", "q/m"]
    assert offered.get("q/m").provider == "q"
    assert offered.get("m").provider == "p"  # A name that was stored before there were two goes on meaning one.


def test_one_provider_s_model_has_its_plain_name_and_is_found_by_both(tmp_path: Path) -> None:
    offered = loaded(tmp_path, PROVIDER + MODEL)

    assert offered.models[0].id == "m"
    assert offered.get("m") is offered.get("p/m")
    with pytest.raises(UnknownModel):
        offered.get("other")


def test_a_provider_without_its_key_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PROVIDER + 'api_key_env = "SOME_KEY"\n' + MODEL
    monkeypatch.delenv("SOME_KEY", raising=False)

    model = loaded(tmp_path, text).get("m")
    assert (model.available, model.unavailable_reason) == (False, "SOME_KEY is not set.")
    with pytest.raises(UnknownModel):
        loaded(tmp_path, text).default_chat()

    monkeypatch.setenv("SOME_KEY", " sk-1 ")
    offered = loaded(tmp_path, text)
    assert offered.get("m").available
    assert api_key(offered.providers[0]) == "sk-1"


def test_a_key_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PROVIDER + 'api_key_env = "SOME_KEY"\n' + MODEL
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))

    assert "SOME_KEY_FILE" in str(loaded(tmp_path, text).get("m").unavailable_reason)

    (tmp_path / "key").write_text("sk-2\n")
    assert api_key(loaded(tmp_path, text).providers[0]) == "sk-2"


def test_the_default_is_what_the_file_says_if_it_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    keyed = PROVIDER.replace('"p"', '"q"') + 'api_key_env = "SOME_KEY"\n' + MODEL.replace('"m"', '"keyed"')
    text = 'default = "keyed"\n' + PROVIDER + MODEL + keyed

    assert loaded(tmp_path, text).default_chat().id == "m"

    monkeypatch.setenv("SOME_KEY", "sk-1")
    assert loaded(tmp_path, text).default_chat().id == "keyed"


def test_an_edit_is_seen_and_a_bad_edit_leaves_the_models_of_before(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "models.toml"
    settings.MODELS_FILE = path
    path.write_text(PROVIDER + MODEL)
    assert catalog() is catalog()

    path.write_text(PROVIDER + MODEL + MODEL.replace('"m"', '"n"'))
    os.utime(path, ns=(1, 1))
    assert [model.id for model in catalog().models] == ["m", "n"]

    path.write_text("nonsense")
    os.utime(path, ns=(2, 2))
    assert [model.id for model in catalog().models] == ["m", "n"]
    assert "not valid TOML" in run_checks()[0].msg


def test_a_bad_file_with_nothing_before_it_is_an_error(tmp_path: Path, settings: Settings) -> None:
    settings.MODELS_FILE = tmp_path / "other.toml"
    settings.MODELS_FILE.write_text("nonsense")

    with pytest.raises(CatalogError):
        catalog()


@pytest.mark.parametrize(
    ("entry", "sent"),
    [
        ("base_url = 'https://api.deepseek.com/v1'\n", True),
        ("base_url = 'https://API.Moonshot.ai/v1'\n", True),
        ("base_url = 'https://deepseek.com.example/v1'\n", False),
        ("base_url = 'https://notz.ai/v1'\n", False),
        ("base_url = 'https://api.z.ai/v1'\nsend_reasoning = false\n", False),
        ("base_url = 'http://127.0.0.1:8000/v1'\nsend_reasoning = true\n", True),
        ("", False),
    ],
)
def test_reasoning_is_sent_back_where_the_documentation_of_the_api_requires_it(
    tmp_path: Path, entry: str, sent: bool
) -> None:
    assert loaded(tmp_path, PROVIDER + entry + MODEL).providers[0].send_reasoning is sent
