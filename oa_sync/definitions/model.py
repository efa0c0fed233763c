"""The vocabulary of a definition, typed: dlt `rest_api`'s words with its meaning, and ours beside them.

Everything here is a frozen value as the loader leaves it: shorthands are written out, defaults of
`resource_defaults` are merged in, `${NAME}` holds the environment's value. The reference with an
example for every word is docs/definitions.md. Paths are dotted (see `oa_sync.definitions.paths`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from oa_sync.definitions.paths import parse_path
from oa_sync.definitions.scalars import (
    BaseUrl,
    FieldPath,
    HeaderName,
    HeaderSecret,
    HeaderValue,
    JsonBody,
    KeyColumns,
    NaturalNumber,
    PathText,
    PlainParam,
    PositiveNumber,
    RelativePath,
    Scalar,
    Secret,
    SourceName,
    TableName,
    wrong,
)

WriteDisposition = Literal["merge", "append", "replace"]
DataType = Literal[
    "text", "double", "bool", "timestamp", "bigint", "binary", "json", "decimal", "date", "time"
]
ContractEntity = Literal["tables", "columns", "data_type"]
ContractMode = Literal["evolve", "freeze", "discard_row", "discard_value"]


class Word(BaseModel):
    """Base of every part of a definition: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- paginators -------------------------------------------------------------------------------


class _Sized(Word):
    """A page size that is asked for: `size` rows in the query parameter `size_param`."""

    size_param: str | None = None
    size: PositiveNumber | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> _Sized:
        if (self.size_param is None) != (self.size is None):
            raise wrong("size and size_param go together", "both or neither")
        return self


class PageNumberPaginator(_Sized):
    """`page_number`: counts pages in a query parameter.

    As in dlt, pages start at `base_page` 0, and `total_path` is the number of *pages*; a response
    without it is no error. `total_rows_path`, `size_param` and `size` are ours.
    """

    type: Literal["page_number"] = "page_number"
    base_page: NaturalNumber = 0
    page: NaturalNumber | None = None
    page_param: str = "page"
    total_path: PathText | None = "total"
    maximum_page: NaturalNumber | None = None
    stop_after_empty_page: bool = True
    has_more_path: PathText | None = None
    total_rows_path: PathText | None = None

    @property
    def first_page(self) -> int:
        """The page number of the first request: `page`, else `base_page`."""
        return self.base_page if self.page is None else self.page


class OffsetPaginator(Word):
    """`offset`: counts rows in a query parameter; `total_path` is the number of rows."""

    type: Literal["offset"] = "offset"
    limit: PositiveNumber
    offset: NaturalNumber = 0
    offset_param: str = "offset"
    limit_param: str = "limit"
    total_path: PathText | None = "total"
    maximum_offset: NaturalNumber | None = None
    stop_after_empty_page: bool = True
    has_more_path: PathText | None = None


class CursorPaginator(_Sized):
    """`cursor`: sends back the cursor that the last response held at `cursor_path`.

    `total_path` (the number of rows), `size_param` and `size` are ours.
    """

    type: Literal["cursor"] = "cursor"
    cursor_path: PathText = "cursors.next"
    cursor_param: str = "cursor"
    stop_after_empty_page: bool = False
    has_more_path: PathText | None = None
    total_path: PathText | None = None


class JsonLinkPaginator(Word):
    """`json_link`: the URL of the next page stands in the body at `next_url_path`, or in a list of links there
    (objects with `rel` and `href`)."""

    type: Literal["json_link"] = "json_link"
    next_url_path: PathText = "next"


class HeaderLinkPaginator(Word):
    """`header_link`: the URL of the next page stands in the `Link` header (RFC 8288).

    `header`, the name of another header that holds the URL, is ours.
    """

    type: Literal["header_link"] = "header_link"
    links_next_key: str = "next"
    header: HeaderName = "Link"


class SinglePagePaginator(Word):
    """`single_page`: one request is the whole list."""

    type: Literal["single_page"] = "single_page"


class AutoPaginator(Word):
    """`auto`: the client finds out from the first response."""

    type: Literal["auto"] = "auto"


Paginator = Annotated[
    PageNumberPaginator
    | OffsetPaginator
    | CursorPaginator
    | JsonLinkPaginator
    | HeaderLinkPaginator
    | SinglePagePaginator
    | AutoPaginator,
    Field(discriminator="type"),
]


# --- client -----------------------------------------------------------------------------------


class BearerAuth(Word):
    """`bearer`: `Authorization: Bearer <token>`. No token means the key of the settings."""

    type: Literal["bearer"] = "bearer"
    token: HeaderSecret | None = None


class ApiKeyAuth(Word):
    """`api_key`: the key in the header or query parameter `name`."""

    type: Literal["api_key"] = "api_key"
    name: HeaderName = "Authorization"
    api_key: HeaderSecret
    location: Literal["header", "query", "param"] = "header"


class HttpBasicAuth(Word):
    """`http_basic`: RFC 7617."""

    type: Literal["http_basic"] = "http_basic"
    username: str
    password: Secret


class NoAuth(Word):
    """No `auth` at all: nothing is sent."""

    type: Literal["none"] = "none"


Auth = Annotated[
    BearerAuth | ApiKeyAuth | HttpBasicAuth | NoAuth,
    Field(discriminator="type"),
]


class ClientConfig(Word):
    """How the API is talked to. No `base_url` means the one of the settings."""

    base_url: BaseUrl | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    auth: Auth = NoAuth()
    paginator: Paginator | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_no_auth(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("auth", "") is None:
            return {key: value for key, value in data.items() if key != "auth"}
        return data


class Limits(Word):
    """Requests that may be sent per minute and per day; 0 is unlimited, None is the plan's."""

    minute: NaturalNumber | None = None
    day: NaturalNumber | None = None


# --- resources --------------------------------------------------------------------------------


class ResolveParam(Word):
    """A parameter that takes the value at `field` of every row of the resource `resource`."""

    type: Literal["resolve"] = "resolve"
    resource: str
    field: FieldPath


def _param_kind(value: Any) -> str:
    """The tag of a value of `params`: objects are told apart by their `type`."""
    if isinstance(value, ResolveParam):
        return "resolve"
    if isinstance(value, Mapping):
        return str(value.get("type"))
    return "plain"


Param = Annotated[
    Annotated[ResolveParam, Tag("resolve")] | Annotated[PlainParam, Tag("plain")],
    Discriminator(_param_kind),
]


class Incremental(Word):
    """`cursor_path`: the field of a row that moves when the row changes."""

    cursor_path: FieldPath


class Endpoint(Word):
    """Where the list is. A POST sends `json_body` (in the file: `json`).

    `path` is relative to `base_url`; its `{placeholders}` are names of `params` of type resolve.
    A resolve parameter without a placeholder goes into the query string. `data_selector` None: the
    response itself where it is a list, else the one list of objects in it. `optional`: a 404 means
    that this API has no such list.
    """

    path: RelativePath
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, Param] = Field(default_factory=dict)
    json_body: JsonBody | None = Field(default=None, alias="json")
    data_selector: PathText | None = None
    paginator: Paginator | None = None
    incremental: Incremental | None = None
    optional: bool = False

    @property
    def resolved(self) -> dict[str, ResolveParam]:
        """The parameters that take their values from the rows of another resource."""
        return {k: v for k, v in self.params.items() if isinstance(v, ResolveParam)}

    @property
    def plain(self) -> dict[str, Any]:
        """The parameters that are sent as they stand."""
        return {k: v for k, v in self.params.items() if not isinstance(v, ResolveParam)}


class Detail(Word):
    """A second request for each new or changed row: `path` with `{fields}` of the row.

    `data_selector` None: the bare object, or the object inside `data`. `fields`: top-level keys
    that come from here; a row that has them all already is not asked for again. Empty: the
    top-level keys of `children`; with no children either, every new or changed row is asked for.
    """

    path: RelativePath
    data_selector: PathText | None = None
    fields: tuple[str, ...] = ()


class Child(Word):
    """A list inside the row that becomes a table keyed by `parent_key` and `position`.

    `parent_key` names the columns that hold the parent's key, in its order; those that it leaves out
    are called `<parent in singular>_<column>`. `children`: lists inside the items of this one, by
    their paths relative to the item.
    """

    table: TableName
    parent_key: KeyColumns = ()
    children: dict[FieldPath, Child] = Field(default_factory=dict)


class Status(Word):
    """The status of a row: `path` is where it stands; a row in a `terminal` one never changes again."""

    path: FieldPath
    terminal: tuple[str, ...] = Field(min_length=1)


class Column(Word):
    """What is known of a column before any row was seen: its type, in dlt's words."""

    data_type: DataType


def _whole_contract(value: Any) -> Any:
    """dlt's short form: one mode means all three."""
    if isinstance(value, str):
        return dict.fromkeys(("tables", "columns", "data_type"), value)
    return value


SchemaContract = Annotated[
    dict[ContractEntity, ContractMode],
    BeforeValidator(
        _whole_contract,
        json_schema_input_type=ContractMode | dict[ContractEntity, ContractMode],
    ),
]


class Resource(Word):
    """One list of the API and the tables it becomes.

    Without `write_disposition`, a resource with a `primary_key` merges by it and one without is
    replaced whole: dlt's default, append, would load every row again on every sync.
    """

    name: TableName
    endpoint: Endpoint
    primary_key: KeyColumns = ()
    write_disposition: WriteDisposition = "merge"
    columns: dict[FieldPath, Column] = Field(default_factory=dict)
    include_from_parent: tuple[str, ...] = ()
    detail: Detail | None = None
    children: dict[FieldPath, Child] = Field(default_factory=dict)
    status: Status | None = None
    references: dict[FieldPath, str] = Field(default_factory=dict)
    history: bool = False
    priority: int = 0
    schema_contract: SchemaContract | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_disposition(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "write_disposition" not in data:
            return {**data, "write_disposition": "merge" if data.get("primary_key") else "replace"}
        return data

    @property
    def parent(self) -> str | None:
        """The resource whose rows this one is asked for, if it is asked for by parent."""
        return next((p.resource for p in self.endpoint.resolved.values()), None)

    @property
    def cursor_path(self) -> str | None:
        """The field that moves when a row changes, where one is declared."""
        return self.endpoint.incremental.cursor_path if self.endpoint.incremental else None

    @property
    def detail_fields(self) -> tuple[str, ...]:
        """The top-level keys of a row that only the detail has in full; see `Detail`."""
        if self.detail is None:
            return ()
        keys = (parse_path(path)[0] for path in self.children)
        return self.detail.fields or tuple(dict.fromkeys(keys))

    def tables(self) -> Iterator[str]:
        """The names of all declared tables, the resource's own first."""
        yield self.name
        stack = list(self.children.values())
        while stack:
            child = stack.pop(0)
            yield child.table
            stack.extend(child.children.values())


# --- queries ----------------------------------------------------------------------------------


class QueryIncremental(Word):
    """The cursor of a query: every `:name` in its SQL is the largest value seen so far.

    `initial_value` stands for it in the first sync.
    """

    cursor_path: FieldPath
    initial_value: Scalar


class Query(Word):
    """A SQL statement that the API runs; its result becomes the table `query_<name>` or `table`."""

    name: TableName
    dataset_id: str
    sql: str = Field(min_length=1)
    table: TableName
    primary_key: KeyColumns = ()
    write_disposition: WriteDisposition = "replace"
    incremental: QueryIncremental | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_table(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "table" not in data and isinstance(data.get("name"), str):
            return {**data, "table": f"query_{data['name']}"}
        return data


# --- the whole --------------------------------------------------------------------------------


class Definition(Word):
    """A source: what to read. `resources` stand parents first, otherwise in the file's order."""

    name: SourceName
    client: ClientConfig = ClientConfig()
    resources: tuple[Resource, ...] = Field(min_length=1)
    limits: Limits | None = None
    queries: tuple[Query, ...] = ()

    def resource(self, name: str) -> Resource:
        """The resource called `name`; KeyError if there is none."""
        for resource in self.resources:
            if resource.name == name:
                return resource
        raise KeyError(name)

    def paginator_for(self, resource: Resource) -> Paginator:
        """The endpoint's paginator, else the client's, else `auto`.

        dlt skips the client's (dlt-hub/dlt#2586) and takes one page for the whole list.
        """
        return resource.endpoint.paginator or self.client.paginator or AutoPaginator()
