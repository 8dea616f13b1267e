//! What the specification says of headers.

use poem_openapi::registry::{MetaHeader, MetaOperationParam, MetaParamIn, MetaSchema, MetaSchemaRef};
use serde_json::Value;

/// A documented request header.
struct Described {
    name: &'static str,
    required: bool,
    text: &'static str,
    example: &'static str,
    choices: &'static [&'static str],
    routes: &'static [&'static str],
}

const FETCH: &[&str] = &["/gateway/fetch", "/gateway/data"];
const ROWS: &[&str] =
    &["/gateway/fetch", "/gateway/data", "/gateway/update", "/gateway/insert", "/gateway/delete"];
const WRITES: &[&str] = &["/gateway/insert", "/gateway/delete"];
const ALL: &[&str] = &[
    "/gateway/fetch",
    "/gateway/data",
    "/gateway/update",
    "/gateway/insert",
    "/gateway/delete",
    "/gateway/query",
    "/gateway/rpc",
    "/query/sql",
];
const BY_HEADER: &[&str] = &[
    "/gateway/fetch",
    "/gateway/data",
    "/gateway/update",
    "/gateway/insert",
    "/gateway/delete",
    "/gateway/query",
    "/gateway/rpc",
];
const SQL: &[&str] = &["/query/sql"];

const REQUEST: [Described; 14] = [
    Described {
        name: "X-Athena-Timing",
        required: false,
        text: "`true` asks for the header `Server-Timing` with the milliseconds of decode, auth, plan, pool, db and shape.",
        example: "true",
        choices: &["true", "false"],
        routes: ALL,
    },
    Described {
        name: "X-Athena-Client",
        required: true,
        text: "The client: which of the configured databases is meant. Letter case and blanks around it do \
               not count. Two headers with different names are refused.",
        example: "postgres_main",
        choices: &[],
        routes: BY_HEADER,
    },
    Described {
        name: "X-Athena-Client",
        required: false,
        text: "The client: which of the configured databases is meant. Wins over `db_name`, which names it where \
               the header is absent.",
        example: "postgres_main",
        choices: &[],
        routes: SQL,
    },
    Described {
        name: "X-Strip-Nulls",
        required: false,
        text: "`true` leaves keys with null values out, nested objects included; any other value keeps them. \
               Wins over `strip_nulls` in the body. When the header is there at all, the answer is a bare \
               array of rows, unless `group_by` is given.",
        example: "true",
        choices: &["true", "false"],
        routes: ROWS,
    },
    Described {
        name: "X-User-Id",
        required: false,
        text: "Who acts, for audit. Never used for a decision.",
        example: "user-1",
        choices: &[],
        routes: ALL,
    },
    Described {
        name: "X-Company-Id",
        required: true,
        text: "Company on whose behalf the request is made, for audit. Not required where the server is \
               configured with `gateway.require_audit_headers: lenient`.",
        example: "company-1",
        choices: &[],
        routes: WRITES,
    },
    Described {
        name: "X-Organization-Id",
        required: true,
        text: "Organization on whose behalf the request is made, for audit. Required like `X-Company-Id`.",
        example: "organization-1",
        choices: &[],
        routes: WRITES,
    },
    Described {
        name: "X-Publish-Event",
        required: false,
        text: "Reserved for an event after success. This server publishes no events: the header is taken and \
               has no effect.",
        example: "false",
        choices: &["true", "false"],
        routes: WRITES,
    },
    Described {
        name: "X-Athena-Big-Numbers",
        required: false,
        text: "`string` writes integers beyond 2^53 and all exact decimals as strings, for callers whose JSON \
               reader rounds.",
        example: "string",
        choices: &["string"],
        routes: ALL,
    },
    Described {
        name: "x-supabase-url",
        required: false,
        text: "With the client `custom_supabase`, and required there: address of the Supabase project, on a host that \
               `gateway.supabase_allowed_hosts` allows.",
        example: "https://project.supabase.co",
        choices: &[],
        routes: ROWS,
    },
    Described {
        name: "x-supabase-key",
        required: false,
        text: "With the client `custom_supabase`, and required there: key of the project. It is neither kept nor \
               logged.",
        example: "sb_publishable_key",
        choices: &[],
        routes: ROWS,
    },
    Described {
        name: "Accept",
        required: false,
        text: "Form of the rows: one JSON document (default), one JSON object a line, or CSV with a header \
               line. The last two have no row limit and, without `limit`, return every row. A failure after \
               the first byte ends NDJSON with a line `{\"status\":\"error\",…}` and breaks the connection \
               for the others.",
        example: "application/json",
        choices: &["application/json", "application/x-ndjson", "text/csv"],
        routes: FETCH,
    },
    Described {
        name: "Content-Encoding",
        required: false,
        text: "Compression of the body.",
        example: "gzip",
        choices: &["gzip", "br", "zstd", "identity"],
        routes: ALL,
    },
    Described {
        name: "X-Request-Id",
        required: false,
        text: "The caller's name for this request, 1 to 128 of `A-Za-z0-9._-`; one is made when it is absent \
               or malformed. Answered, logged, and the `trace_id` of errors.",
        example: "order-page-42",
        choices: &[],
        routes: ALL,
    },
];

/// Request headers of a path.
pub fn request_headers(path: &str) -> impl Iterator<Item = MetaOperationParam> {
    REQUEST.iter().filter(move |header| header.routes.contains(&path)).map(|header| MetaOperationParam {
        name: header.name.to_owned(),
        schema: text_schema(header.example, header.choices),
        in_type: MetaParamIn::Header,
        description: Some(header.text.to_owned()),
        required: header.required,
        deprecated: false,
        explode: true,
        style: None,
    })
}

/// Response headers of a path with a status.
pub fn response_headers(path: &str, status: Option<u16>) -> Vec<MetaHeader> {
    let success = status == Some(200);
    let described = [
        (true, "X-Request-Id", "Name of the request, as in the log and in `trace_id`.", "order-page-42"),
        (status == Some(503), "Retry-After", "Seconds after which another attempt makes sense.", "5"),
        (
            success && ROWS.contains(&path),
            "X-Athena-Count",
            "Number of matching or changed rows, when `count` was asked for and the body is an array, NDJSON \
             or CSV.",
            "128",
        ),
        (
            success && FETCH.contains(&path),
            "X-Athena-Next-Cursor",
            "The cursor to the next page, when `cursor` was given, there is one and the body is an array.",
            "AXl0…",
        ),
        (
            success && path != "/gateway/update" && ROWS.contains(&path),
            "X-Athena-Filtered",
            "`true` when the database looked at rows that are not in the answer: a CQL client whose connection \
             URI says `allow_filtering=true`, and a filter that neither key nor index answers.",
            "true",
        ),
        (
            success && !FETCH.contains(&path) && ROWS.contains(&path),
            "X-Athena-Applied",
            "Whether the write was carried out, when `if` or `if_not_exists` was given and the body is an array.",
            "false",
        ),
        (
            success && path == "/gateway/insert",
            "X-Athena-Resource-Id",
            "Id of the inserted row, when the body is an array with one row.",
            "42",
        ),
        (status == Some(308), "Location", "Address of the documentation.", "https://xylex.group/docs/athena"),
    ];
    let wanted = described.into_iter().filter(|(applies, ..)| *applies);
    wanted
        .map(|(_, name, text, example)| MetaHeader {
            name: name.to_owned(),
            description: Some(text.to_owned()),
            required: false,
            deprecated: false,
            schema: text_schema(example, &[]),
        })
        .collect()
}

fn text_schema(example: &'static str, choices: &[&'static str]) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        example: Some(Value::from(example)),
        enum_items: choices.iter().map(|choice| Value::from(*choice)).collect(),
        ..MetaSchema::new("string")
    }))
}
