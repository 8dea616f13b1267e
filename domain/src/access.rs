//! Who may do what: credentials, API keys, rights, policy, and the decision that follows from them.
//!
//! Nothing here reads a clock or a store; time, keys and policy are arguments.

mod authority;
pub mod budget;
mod credential;
mod decision;
mod key;
mod missing;
mod policy;
mod right;
mod scope;
mod shield;

pub(crate) use authority::denied;
pub use authority::{Authority, TablePlace};
pub use budget::{BucketSize, Buckets, Budget, Cost, Levels, Verdict};
pub use credential::{Credential, KeySecret, NewCredential, RANDOM_BYTES, choose, same_secret};
pub use decision::{AccessState, AuthReason, Judgement, Presented, judge};
pub use key::{ApiKey, KeyId, Keys};
pub use missing::{Missing, missing};
pub use policy::{Mode, Policy};
pub use right::{Action, Required, Right, RightSet};
pub use scope::{ColumnRule, KeyOperation, RowFilter, Scope, TablePattern};
pub use shield::{Link, Openness, RelationKey, control_tables, openness};
pub(crate) use shield::{led, shield, shielded};
