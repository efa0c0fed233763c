"""Every kind of fault, with the line, the path and the words a user sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.definitions.loader import load_definition
from oa_sync.definitions.model import BearerAuth
from oa_sync.errors import DefinitionError
from tests.definitions.written import faults, load

A = "name: x\nresources:\n  - name: a\n"
"""A good beginning of three lines."""
QUERY = """\
queries:
  - {name: q, dataset_id: d, sql: "a > :last",
     incremental: {cursor_path: a, initial_value: 1}}"""


def test_all_faults_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = A + "    endpoint: {path: a, methud: GET}\n  - endpoint: {path: b}\n"
    told = faults(tmp_path, text)
    assert told[0] == (
        '4: resources[0].endpoint.methud: unknown key; did you mean "method"? valid: path, method,'
        " params, json, data_selector, paginator, incremental, optional"
    )
    assert told[1].startswith("5: resources[1].name: required key missing; valid: name, endpoint,")
    assert len(told) == 2


def test_faults_of_types_and_faults_across_values_come_together(tmp_path: Path) -> None:
    told = faults(tmp_path, A + "    priority: high\n    references: {x: b}\n    hystory: true\n")
    assert [fault.split(":")[0] for fault in told] == ["4", "5", "6"]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        # words and types
        ("    priority: high", '4: resources[0].priority: expected a whole number ("high")'),
        ("    history: maybe", '4: resources[0].history: expected true or false ("maybe")'),
        ("    children: [b]", "4: resources[0].children: expected a mapping"),
        ("    primary_key: 3", "4: resources[0].primary_key: expected a list (3)"),
        ("    primary_key: [3]", "4: resources[0].primary_key[0]: expected text (3)"),
        (
            "    primary_key: id\n    write_disposition: upsert",
            '5: resources[0].write_disposition: unknown word ("upsert"); valid: merge, append, rep',
        ),
        (
            "    write_disposition: mrege",
            '4: resources[0].write_disposition: unknown word; did you mean "merge"? ("mrege")',
        ),
        ("    columns: {c: {data_type: int}}", "4: resources[0].columns.c.data_type: unknown word"),
        ("    columns:\n      - data_type: text", "5: resources[0].columns[0].name: required key"),
        (
            "    columns: [{name: c, data_type: text}, {name: c}]",
            "4: resources[0].columns[1].name: this column",
        ),
        ("    schema_contract: strict", "4: resources[0].schema_contract: unknown word"),
        (
            "    schema_contract: {tabels: freeze}",
            "4: resources[0].schema_contract.tabels: unknown",
        ),
        (
            "    status: {path: s, terminal: []}\n    primary_key: i",
            "4: resources[0].status.terminal: must not be emp",
        ),
        (
            "    status: {terminal: [x]}\n    primary_key: i",
            "4: resources[0].status.path: required key missing",
        ),
        ("    merge_key: id", "4: resources[0].merge_key: a word of dlt that has no place here; r"),
        ("    endpoint: {response_actions: []}", "4: resources[0].endpoint.response_actions: a wo"),
        (
            "    endpoint: {incremental: {start_param: s, cursor_path: u}}",
            "4: resources[0].endpoin",
        ),
        (
            "    endpoint: {data_selector: 'a[0]'}",
            "4: resources[0].endpoint.data_selector: not a p",
        ),
        (
            "    children: {$: {table: b}}\n    primary_key: i",
            "4: resources[0].children.$: the whole row, where a fie",
        ),
        # paginators and parameters
        (
            "    endpoint: {paginator: pagenumber}",
            '4: resources[0].endpoint.paginator: unknown type; did you mean "page_number"?',
        ),
        ("    endpoint: {paginator: {size: 3}}", "4: resources[0].endpoint.paginator.type: requi"),
        ("    endpoint: {paginator: 3}", "4: resources[0].endpoint.paginator: expected a mapping"),
        ("    endpoint: {paginator: offset}", "4: resources[0].endpoint.paginator.limit: required"),
        (
            "    endpoint:\n      paginator:\n        type: offset\n        offset: 5",
            "5: resources[0].endpoint.paginator.limit: required key missing; valid: type, limit,",
        ),
        ("    endpoint: {paginator: {type: offset, limit: 0}}", "4: resources[0].endpoint.paginat"),
        ("    endpoint: {paginator: {type: offset, limit: yes}}", "4: resources[0].endpoint.pagin"),
        ("    endpoint: {paginator: {type: offset, limit: true}}", "4: resources[0].endpoint.pagi"),
        (
            "    endpoint: {paginator: {type: cursor, size: 5}}",
            "4: resources[0].endpoint.paginator: size and size_param go together; valid: both or",
        ),
        ("    endpoint: {params: {q: {type: incremental}}}", "4: resources[0].endpoint.params.q.t"),
        ("    endpoint: {params: {q: {a: 1}}}", "4: resources[0].endpoint.params.q.type: required"),
        ("    endpoint: {params: {q: [{a: 1}]}}", "4: resources[0].endpoint.params.q: not a query"),
        ("    endpoint: {params: {q: '{now}'}}", "4: resources[0].endpoint.params.q: an expressio"),
        (
            "    endpoint: {method: POST, json: [1]}",
            "4: resources[0].endpoint.json: not a JSON bod",
        ),
        ("    endpoint: {json: {a: {b: '{x}'}}}", "4: resources[0].endpoint.json.a.b: an expressi"),
        # paths
        ("    endpoint: https://evil.example/a", "4: resources[0].endpoint: an absolute URL; the"),
        ("    endpoint: //evil.example/a", "4: resources[0].endpoint: an absolute URL"),
        ("    endpoint: a/../../b", "4: resources[0].endpoint: a path that leaves base_url"),
        ("    endpoint: a/%2e%2e/b", "4: resources[0].endpoint: a path that leaves base_url"),
        ("    endpoint: 'a?x=1'", "4: resources[0].endpoint: a query or fragment in the path"),
        (
            '    endpoint: "a\\nb"',
            "4: resources[0].endpoint: a path with a blank, backslash or con",
        ),
        ("    endpoint: 'a/{id'", "4: resources[0].endpoint: braces that are not a placeholder"),
        (
            "    endpoint: 'a/{id}/b'",
            "4: resources[0].endpoint: the placeholder {id} has no source",
        ),
        (
            "    endpoint: {path: 'a/{i}', params: {i: true}}",
            "4: resources[0].endpoint.params.i: {",
        ),
        (
            "    detail: {path: http://h/x}\n    primary_key: i",
            "4: resources[0].detail.path: an abs",
        ),
        # names and tables
        (
            "  - name: a",
            "4: resources[1].name: a second resource of this name; the first is on line",
        ),
        (
            "  - name: Posts",
            '4: resources[1].name: not usable as a table name ("Posts"); valid: sm',
        ),
        ("  - blog/posts", '4: resources[1]: not usable as a table name ("blog/posts")'),
        ("  - name: a__b", "4: resources[1].name: not usable as a table name"),
        ("  - name: 'select;'", "4: resources[1].name: not usable as a table name"),
        (f"  - name: {'b' * 64}", "4: resources[1].name: not usable as a table name"),
        ("  - name: _dlt_loads", "4: resources[1].name: a name that this program keeps for itself"),
        ("  - name: _oa_x", "4: resources[1].name: a name that this program keeps for itself"),
        ("  - name: syncs", "4: resources[1].name: a name that this program keeps for itself"),
        (
            "    primary_key: id\n    children: {b: {table: a}}",
            "5: resources[0].children.b.table: the table is already written by resources[0].name on",
        ),
        (
            "    primary_key: id\n    children: {b: {table: t, children: {c: {table: t}}}}",
            "5: resources[0].children.b.children.c.table: the table is already written by resource",
        ),
        (
            "queries:\n  - {name: q, dataset_id: d, sql: s, table: a}",
            "5: queries[0].table: the tab",
        ),
        (
            "    primary_key: i\n    children: {b: {table: t}, $.b: {table: u}}",
            "5: resources[0].ch",
        ),
        # keys
        (
            "    write_disposition: merge",
            "4: resources[0].write_disposition: merge needs a primary",
        ),
        ("    children: {b: {table: t}}", "4: resources[0].children: children needs a primary_key"),
        ("    detail: {path: 'a/{id}'}", "4: resources[0].detail: detail needs a primary_key"),
        (
            "    primary_key: id\n    children: {b: {table: t, parent_key: [x, y]}}",
            "5: resources[0].children.b.parent_key: 2 columns for a parent whose key has 1; valid:",
        ),
        # references
        (
            "    references: {d: datasets}",
            '4: resources[0].references.d: no such resource ("datase',
        ),
        (
            "    columns: {d: {references: b}}",
            "4: resources[0].columns.d.references: no such resource",
        ),
        ("    include_from_parent: [id]", "4: resources[0].include_from_parent: no parent"),
        (
            "    endpoint: {path: 'x/{i}', params: {i: {type: resolve, resource: b, field: id}}}",
            '4: resources[0].endpoint.params.i.resource: no such resource ("b"); valid: a',
        ),
        ("    endpoint: 'x/{resources.b.id}'", "4: resources[0].endpoint: no such resource"),
        ("    endpoint: 'x/{resources.a.id}'", "4: resources[0].endpoint: resources that wait for"),
        # queries and limits
        (
            "queries: [{name: q, dataset_id: d, sql: 'a > :last'}]",
            "4: queries[0].sql: a parameter :last without a",
        ),
        (
            QUERY.replace(":last", "1"),
            "6: queries[0].incremental: nothing in the SQL uses it",
        ),
        ("queries: [{name: q, dataset_id: d, sql: ''}]", "4: queries[0].sql: must not be empty"),
        ("limits: {minute: -1}", "4: limits.minute: too small (-1); valid: 0 or more"),
        ("limits: {hour: 1}", "4: limits.hour: unknown key; valid: minute, day"),
        # client
        ("client: {base_url: 'http://h.example'}", "4: client.base_url: plain HTTP would send the"),
        ("client: {base_url: 'ftp://h'}", '4: client.base_url: not an http(s) URL ("ftp://h")'),
        ("client: {base_url: 'https://h:x'}", "4: client.base_url: not a URL"),
        ("client: {base_url: 'https://h:99999'}", "4: client.base_url: not a URL"),
        ("client: {base_url: 'https://[::1'}", "4: client.base_url: not a URL"),
        (
            "client: {base_url: 'https://u:p@h'}",
            "4: client.base_url: a user or password in the URL",
        ),
        ("client: {base_url: 'https://h?a=b'}", "4: client.base_url: a query or fragment in the b"),
        (
            "client: {auth: digest}",
            "4: client.auth: unknown type; valid: bearer, api_key, http_basic",
        ),
        ("client: {headers: {'a b': c}}", "4: client.headers['a b']: not a header name"),
        ('client: {headers: {X-A: "a\\nb"}}', "4: client.headers.X-A: a line break or control cha"),
        ("client: {paginator: {type: json_links}}", "4: client.paginator.type: unknown type; did"),
        # extends and defaults
        (
            "extends: pages",
            '4: extends: no such built-in definition; did you mean "page"? ("pages")',
        ),
        ("exclude: [a]", "4: exclude: nothing to exclude from"),
        ("resource_defaults: {name: b}", "4: resource_defaults.name: a name cannot be a default"),
        ("resource_defaults: []", "4: resource_defaults: expected a mapping"),
        ("resource_defaults: {prim_key: a}", "4: resource_defaults.prim_key: unknown key; did you"),
        # secrets
        ("client: {auth: {token: abc}}", "4: client.auth.token: a secret written out in the file;"),
        ("client: {auth: {type: api_key, api_key: 5}}", "4: client.auth.api_key: a secret written"),
        (
            "client: {headers: {Authorization: Bearer x}}",
            "4: client.headers.Authorization: a secre",
        ),
        ("client: {headers: {x-api-key: abc}}", "4: client.headers.x-api-key: a secret written ou"),
        (
            "    endpoint: {params: {api_key: abc}}",
            "4: resources[0].endpoint.params.api_key: a sec",
        ),
        ("    endpoint: {json: {a: {password: s}}}", "4: resources[0].endpoint.json.a.password: a"),
        (
            "    detail: {path: oa_live_abcdef}\n    primary_key: i",
            "4: resources[0].detail.path: an",
        ),
        (
            "client: {auth: {token: '${GH}'}}",
            "4: client.auth: a key without the API that it is for",
        ),
        # environment
        (
            "client: {base_url: '${NOPE}'}",
            "4: client.base_url: the environment variable NOPE is no",
        ),
        ("    endpoint: '${}'", "4: resources[0].endpoint: ${ that names no variable"),
        ("    endpoint: '${a-b}'", "4: resources[0].endpoint: ${ that names no variable"),
        # YAML
        ("    name: b", "4: resources[0].name: this key stands here twice; first on line 3"),
        ("    endpoint: !!python/name:os.system x", "4: resources[0].endpoint: a YAML tag; valid:"),
        ("    ? [a]\n    : b", "4: resources[0]: a key that is not plain text"),
        ("    endpoint: *nowhere", "4: resources[0].endpoint: an alias of something"),
        ("    endpoint: &e {json: *e}", "4: resources[0].endpoint.json: an alias of something"),
        ("    endpoint: {path: a", "5: not valid YAML: "),
        ("   - x: y", "4: not valid YAML: "),
        ("---\nname: y", "4: a second document; valid: one document in a file"),
    ],
)
def test_a_fault_is_told_with_its_line_path_and_value(
    tmp_path: Path, lines: str, fault: str
) -> None:
    told = faults(tmp_path, A + lines + "\n")
    assert len(told) == 1, told
    assert told[0].startswith(fault)


def test_name_and_resources_are_required(tmp_path: Path) -> None:
    told = faults(tmp_path, "client: {}\n")
    assert told[0].startswith("1: name: required key missing")
    assert told[1].startswith("1: resources: required key missing")


def test_a_fault_in_the_defaults_is_told_once_and_where_it_stands(tmp_path: Path) -> None:
    text = "name: x\nresource_defaults:\n  endpoint: {methud: GET}\nresources: [a, b, c]\n"
    told = faults(tmp_path, text)
    assert len(told) == 1
    assert told[0].startswith("3: resource_defaults.endpoint.methud: unknown key")


def test_a_cycle_is_told_once_with_its_way(tmp_path: Path) -> None:
    text = "name: x\nresources:\n" + "".join(
        f"  - {{name: {name}, endpoint: 'p/{{resources.{parent}.id}}'}}\n"
        for name, parent in [("a", "c"), ("b", "a"), ("c", "b"), ("d", "a")]
    )
    told = faults(tmp_path, text)
    assert len(told) == 1
    assert "resources that wait for one another: a -> c -> b -> a" in told[0]


def test_two_parents_are_refused(tmp_path: Path) -> None:
    text = "name: x\nresources: [a, b, {name: c, endpoint: '{resources.a.i}/{resources.b.i}'}]\n"
    assert faults(tmp_path, text)[0].startswith("2: resources[2].endpoint: a second parent")


def test_an_excluded_resource_must_exist(tmp_path: Path) -> None:
    told = faults(tmp_path, "name: x\nextends: page\nexclude: [report]\n")
    advice = 'did you mean "reports"? valid: datasets, reports, dashboards, agent_runs'
    assert told == [f"3: exclude[0]: no such resource; {advice}"]


def test_files_that_cannot_be_read_are_faults_too(tmp_path: Path) -> None:
    def told(path: Path | str) -> str:
        with pytest.raises(DefinitionError) as raised:
            load_definition(str(path), dialect="page", environ={})
        return raised.value.problems[0]

    (tmp_path / "latin").write_bytes(b"name: x\nnote: caf\xe9\n")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "list").write_bytes(b"- a\n")
    (tmp_path / "control").write_bytes(b"name: x\nb: \x01\n")
    assert ":1: cannot be read: No such file" in told(tmp_path / "none.yaml")
    assert ":1: cannot be read: Is a directory" in told(tmp_path)
    assert "cannot be read: not a file name" in told("a\0b")
    assert ":2: not UTF-8 text" in told(tmp_path / "latin")
    assert ":1: larger than 1000000 bytes" in told(tmp_path / "large")
    assert ":1: the file is empty" in told(tmp_path / "empty")
    assert ":1: expected a mapping" in told(tmp_path / "list")
    assert ": not valid YAML: a character" in told(tmp_path / "control")


def test_alias_bombs_and_deep_nests_are_refused_quickly(tmp_path: Path) -> None:
    bomb = "name: x\na0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert "more than 200000 values" in faults(tmp_path, bomb)[0]
    assert "more than 50 levels deep" in faults(tmp_path, "a: " + "[" * 900 + "]" * 900)[0]


def test_a_fault_never_shows_a_value_of_the_environment(tmp_path: Path) -> None:
    secret = "s3cr3t\nvalue"
    text = """\
name: ${S}
client: {base_url: "${S}", auth: {type: "${S}", tokn: "${S}"}, headers: {X-A: "${S}"}}
limits: {day: "${S}"}
queries: [{name: "${S}", dataset_id: d, sql: ":x ${S}", table: "${S}", write_disposition: "${S}"}]
resources:
  - "${S}"
  - name: a
    primary_key: id
    endpoint: {path: "b/../${S}", data_selector: "${S}[0]", method: "${S}", paginator: "${S}"}
    children: {c: {table: "${S}", parent_key: ["${S}", "${S}"]}}
    columns: {c: {data_type: "${S}"}}
    references: {c: "${S}"}
    schema_contract: "${S}"
    include_from_parent: ["${S}"]
  - name: c
    endpoint: "x/${P}"
  - name: b
    endpoint: {path: "{x}/{y}", params: {x: {type: resolve, resource: "${S}", field: "${S}[0]"}}}
"""
    told = "\n".join(faults(tmp_path, text, environ={"S": secret, "P": "{s3cr3t}"}))
    assert told.count("\n") > 12
    assert "s3cr3t" not in told
    assert '("${S}")' in told


def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    text = "name: x\nclient: {base_url: 'https://h', auth: {token: '${T}'}}\nresources: [a]\n"
    for token in ("", "two\nlines", "naïve"):
        told = faults(tmp_path, text, environ={"T": token})
        assert len(told) == 1
        assert told[0].startswith("2: client.auth.token: empty, or a character that no key has;")
    auth = load(tmp_path, text, environ={"T": "good-token"}).client.auth
    assert auth == BearerAuth.model_validate({"token": "good-token"})


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    told = faults(tmp_path, A + '    "\\e[31mred\\n": 1\n')
    assert told[0].startswith(r"4: resources[0]['\x1b[31mred\n']: unknown key")
