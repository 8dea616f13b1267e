//! Bodies as the specification shows them. Nothing is decoded into these types: requests go to the domain's
//! own decoders, answers are written around row bytes.

mod admin;
mod answers;
mod requests;

pub use admin::{
    AdminAnswer, ClientBody, ClientNames, FreezeBody, KeyBody, OfflineBody, PolicyBody, ProvisionBody,
    RightBody, RotateBody,
};
pub use answers::{
    CallAnswer, DeleteAnswer, ErrorEnvelope, FetchAnswer, InsertAnswer, Probe, QueryAnswer, Root, SqlAnswer,
    UpdateAnswer,
};
pub use requests::{CallBody, DeleteBody, FetchBody, InsertBody, QueryBody, SqlBody, UpdateBody};

use poem_openapi::types::ParseFromJSON;
use serde_json::Value;

/// Any JSON value in a documented body.
type Json = Option<Value>;

/// An example, written as the JSON a caller would see.
fn example<T: ParseFromJSON>(json: Value) -> T {
    match T::parse_from_json(Some(json)) {
        Ok(example) => example,
        Err(error) => panic!("an example does not have the documented form: {}", error.into_message()),
    }
}
