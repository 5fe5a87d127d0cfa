"""Public ids."""

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from backend.errors import NotFound
from backend.http.ids import PublicIdField, decode, encode, new_id


@given(st.uuids())
def test_an_id_survives_encoding_and_decoding(value: UUID) -> None:
    text = encode("run", value)
    assert len(text) == 30
    assert decode("run", text) == value


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
@example("run_")
@example("_")
@example("")
@example("run_8zzzzzzzzzzzzzzzzzzzzzzzzz")
@example("run_01h455vb4pex5vsknk084sn02\0")
@example("run_01H455VB4PEX5VSKNK084SN02Q")
@example(" run_01h455vb4pex5vsknk084sn02q")
@example("run_01h455vb4pex5vsknk084sn02q\n")
@example("run_run_01h455vb4pex5vsknk084sn02q")
@example("01h455vb4pex5vsknk084sn02q")
@example("doc_01h455vb4pex5vsknk084sn02q")
@example("run_٠١h455vb4pex5vsknk084sn02q")
def test_a_malformed_id_is_not_found(text: object) -> None:
    with pytest.raises(NotFound):
        decode("run", text)


def test_ids_sort_by_creation() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert {value.version for value in made} == {7}


@given(st.text() | st.integers() | st.none() | st.dictionaries(st.text(), st.text()))
def test_a_field_refuses_a_malformed_id(data: object) -> None:
    with pytest.raises(ValidationError, match="not a valid id"):
        PublicIdField("doc").to_internal_value(data)  # type: ignore[arg-type]  # JSON can bring anything.
