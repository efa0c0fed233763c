from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.definitions.loader import load_definition
from oa_sync.definitions.schema import definition_json_schema
from oa_sync.errors import DefinitionError
from tests.support.properties import examples

SCHEMA = definition_json_schema()
WORDS = [
    *SCHEMA["properties"],
    *(word for part in SCHEMA["$defs"].values() for word in part["properties"]),
    *("page", "cursor", "offset", "page_number", "json_link", "bearer", "http_basic", "resolve"),
    *(
        "a",
        "b",
        "{a}",
        "{resources.b.id}",
        "${X}",
        "$",
        "datasets",
        "reports",
        "id",
        "merge",
        "GET",
    ),
]
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
RESOURCES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "datasets"])},
        optional={
            "endpoint": st.fixed_dictionaries(
                {},
                optional=dict.fromkeys(("path", "params", "json", "paginator"), VALUES)
                | {"path": st.sampled_from(["a", "x/{a}", "{resources.a.id}", "{{a}}", "{"])},
            ),
        }
        | dict.fromkeys(
            ("children", "columns", "detail", "primary_key", "references", "incremental"), VALUES
        ),
    )
    | VALUES,
    max_size=3,
)
DOCUMENTS = st.fixed_dictionaries(
    {"name": SCALARS, "resources": RESOURCES | VALUES},
    optional={
        "extends": st.sampled_from(["page", "cursor", "openanalyst"]) | VALUES,
        **dict.fromkeys(
            ("client", "resource_defaults", "exclude", "queries", "limits", "z"), VALUES
        ),
    },
)


def _read(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.yaml")
        path.write_bytes(text)
        try:
            load_definition(str(path), dialect="page", environ={"X": "\n{}: [*a"})
        except DefinitionError as error:
            assert error.problems
            files = (f"{path}:", "page.yaml:", "cursor.yaml:")
            assert all(p.startswith(files) and p.isprintable() for p in error.problems)


@examples(300)
@given(DOCUMENTS | st.dictionaries(st.text(max_size=5), VALUES, max_size=5))
def test_any_mapping_is_a_definition_or_a_definition_error(document: dict[str, Any]) -> None:
    _read(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@examples(150)
@given(st.text(max_size=60) | st.text("a:-[]{}&*!|>'\"#%@` \n\t?,0", max_size=60))
def test_any_text_is_a_definition_or_a_definition_error(text: str) -> None:
    _read(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_definition_or_a_definition_error(data: bytes) -> None:
    _read(data)
