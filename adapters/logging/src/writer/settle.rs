//! Writing a batch of which the store may refuse a part for good.

use athena_application::ports::{BatchId, LogBatch, LogEntry, LogStore, PortError, Reason};

use crate::counters::Counted;

/// Writes the entries under the batch's name. When the store refuses what they hold, the halves are
/// tried, down to the single entry, which is dropped and counted. Parts have names of their own that are
/// the same in every attempt, so that none is written twice when the whole has to be repeated.
///
/// # Errors
/// What may pass; the batch is to be repeated.
pub(super) async fn settle(
    store: &dyn LogStore,
    counted: &Counted,
    id: BatchId,
    entries: &[LogEntry<'_>],
) -> Result<(), PortError> {
    let (mut written, mut refused) = (0, 0);
    let mut parts = vec![(1_u32, entries)];
    while let Some((node, part)) = parts.pop() {
        match store.write(&LogBatch { id: id.part(node), entries: part }).await {
            Ok(()) => written += part.len() as u64,
            Err(error) if !is_of_content(&error) => return Err(error),
            Err(error) => {
                counted.failures.add(1);
                match part {
                    [] => {}
                    [single] => {
                        refused += 1;
                        tracing::error!(
                            %error, request_id = &*single.request_id,
                            "the log store refuses an entry; it is dropped"
                        );
                    }
                    both => {
                        let (first, second) = both.split_at(both.len() / 2);
                        parts.push((node.saturating_mul(2) | 1, second));
                        parts.push((node.saturating_mul(2), first));
                    }
                }
            }
        }
    }
    counted.written.add(written);
    counted.dropped_rejected.add(refused);
    Ok(())
}

/// Whether the store refuses the values themselves. What it says of tables, rights or its own state may
/// change without us, so those are waited for.
fn is_of_content(error: &PortError) -> bool {
    match error.reason() {
        Some(
            Reason::Unique
            | Reason::Exclusion
            | Reason::ForeignKey
            | Reason::NotNull
            | Reason::Check
            | Reason::Encoding
            | Reason::BadValue
            | Reason::Raised
            | Reason::LimitExceeded,
        ) => true,
        Some(
            Reason::UndefinedColumn
            | Reason::UndefinedTable
            | Reason::UndefinedFunction
            | Reason::Syntax
            | Reason::Privilege
            | Reason::TypeMismatch
            | Reason::TextUuid
            | Reason::Statement
            | Reason::ReadOnly
            | Reason::Unsupported
            | Reason::InUse
            | Reason::TooManyRows
            | Reason::Stale
            | Reason::RowOutOfScope
            | Reason::Cursor
            | Reason::Upstream(_)
            | Reason::OpenTransaction,
        )
        | None => false,
    }
}
