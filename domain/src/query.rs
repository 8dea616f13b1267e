//! Requests, decoded: past this door there are no raw strings where a rule applies.

pub mod body;
pub mod call;
pub mod columns;
pub mod condition;
pub mod delete;
pub mod fetch;
pub mod grammar;
pub mod identifier;
pub mod insert;
pub mod page;
pub mod raw;
pub mod sort;
pub mod sql;
pub mod stamp;
pub mod tuning;
pub mod update;
pub mod value;

pub use body::{Decoding, Field, JsonText, Object};
pub use call::CallRequest;
pub use columns::{MAX_COLUMNS, SelectItem, Selection};
pub use condition::{CompareOp, Condition, IsTest};
pub use delete::DeleteRequest;
pub use fetch::FetchRequest;
pub use identifier::{Identifier, RelationName};
pub use insert::{Assignment, Cell, ConflictTarget, InsertRequest, Place, Row, Upsert};
pub use page::Window;
pub use raw::RawRequest;
pub use sort::{Nulls, SortKey};
pub use sql::{DatabaseKind, Driver, SqlRequest};
pub use stamp::Stamp;
pub use tuning::Tuning;
pub use update::UpdateRequest;
pub use value::Value;
