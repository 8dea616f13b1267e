//! Answers that are bytes and keep a documented schema.

use std::marker::PhantomData;

use athena_domain::rows::RowFormat;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;

use super::docs::ErrorEnvelope;
use crate::headers::accept::media_type;

/// What the specification says of an operation's answers.
pub trait Described: Send {
    /// Body of a success, where it is JSON.
    type Body: Type;
    /// What a success is.
    const SUCCESS: &'static str;
    /// An example of the bare array that `X-Strip-Nulls` asks for, where there is one.
    const ARRAY: Option<&'static str> = None;
    /// Forms of rows besides JSON.
    const STREAMS: &'static [RowFormat] = &[];
    /// Status of a success.
    const STATUS: u16 = 200;
    /// Statuses of failures.
    const FAILURES: &'static [u16];
}

/// An answer of an operation, already written.
pub struct Answer<D>(pub Response, PhantomData<fn() -> D>);

impl<D> Answer<D> {
    /// Wraps a response.
    pub fn new(response: Response) -> Self {
        Self(response, PhantomData)
    }
}

impl<D: Send> IntoResponse for Answer<D> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<D: Described> ApiResponse for Answer<D> {
    fn meta() -> MetaResponses {
        let mut content = vec![MetaMediaType { content_type: "application/json", schema: success::<D>() }];
        content.extend(D::STREAMS.iter().map(|format| MetaMediaType {
            content_type: media_type(*format),
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        }));
        let mut responses = vec![response(D::STATUS, D::SUCCESS, content)];
        responses.extend(D::FAILURES.iter().map(|status| {
            let content =
                vec![MetaMediaType { content_type: "application/json", schema: ErrorEnvelope::schema_ref() }];
            response(*status, meaning(*status), content)
        }));
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        D::Body::register(registry);
        ErrorEnvelope::register(registry);
    }
}

/// The envelope, or the envelope and the bare array.
fn success<D: Described>() -> MetaSchemaRef {
    let envelope = D::Body::schema_ref();
    let Some(example) = D::ARRAY else { return envelope };
    let array = MetaSchema {
        title: Some("Array".to_owned()),
        description: Some("The rows alone, when `X-Strip-Nulls` is there."),
        items: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::new("object"))))),
        example: serde_json::from_str(example).ok(),
        ..MetaSchema::new("array")
    };
    let one_of = vec![envelope, MetaSchemaRef::Inline(Box::new(array))];
    MetaSchemaRef::Inline(Box::new(MetaSchema { one_of, ..MetaSchema::ANY }))
}

/// A documented answer without headers.
pub(super) fn response(status: u16, description: &'static str, content: Vec<MetaMediaType>) -> MetaResponse {
    MetaResponse { description, status: Some(status), status_range: None, content, headers: Vec::new() }
}

/// What a failure with this status means here.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => {
            "The request cannot be carried out: a header or field is missing, unknown or malformed, the client \
             is unknown, a table or column does not exist, or a value does not fit."
        }
        401 => "The key is missing or not valid.",
        403 => "The key does not reach that far, or the database's own rights forbid it.",
        404 => "There is nothing of that id or name.",
        406 => "The Accept header excludes every form this answer has.",
        408 => "The body did not arrive in time.",
        409 => "A unique constraint, or another transaction, stands against it.",
        413 => "The body is larger than `limits.max_body_bytes`, or than `limits.max_decompressed_bytes`.",
        415 => "The content encoding is none of gzip, br, zstd and identity.",
        422 => "A foreign key stands against it.",
        500 => "A fault of the gateway; the log names it under the trace id.",
        503 => {
            "The database cannot be reached or has no free connection; `Retry-After` says when to come back."
        }
        504 => "The statement took longer than allowed and was cancelled.",
        _ => "Failure.",
    }
}
