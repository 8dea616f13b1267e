//! What planning may cost. Alternatives multiply, and so do the lists they are held against: the steps are counted
//! before they are taken, since nothing else runs while one caller's filter is taken apart.

use std::cell::Cell;

use super::refuse;
use crate::error::RequestError;

/// Most steps for one request; a step looks at one value.
pub(super) const MOST_STEPS: u64 = 1_000_000;

/// The steps taken for one request.
#[derive(Debug, Default)]
pub(super) struct Work(Cell<u64>);

impl Work {
    /// Takes so many steps more.
    ///
    /// # Errors
    /// When they are too many.
    pub(super) fn spend(&self, steps: u64) -> Result<(), RequestError> {
        let spent = self.0.get().saturating_add(steps);
        if spent > MOST_STEPS {
            return Err(refuse(
                "conditions",
                format!(
                    "it takes more than {MOST_STEPS} comparisons of values to find out what the conditions ask for"
                ),
                "give shorter lists, fewer alternatives of `or` and `not`, or one list for each column"
                    .to_owned(),
            ));
        }
        self.0.set(spent);
        Ok(())
    }
}
