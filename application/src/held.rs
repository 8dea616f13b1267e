//! What answers that are kept whole take of the memory: together they have a bound, from their first row until their
//! last byte has left.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers up to this are not counted: there are no more of them than requests.
const FREE_BYTES: u64 = 64 << 10;

/// What is taken at once, so that a growing answer does not ask for every row.
const STEP_BYTES: u64 = 256 << 10;

/// The unit in which memory is counted.
const UNIT_BYTES: u64 = 1 << 10;

/// The memory that whole answers may take together.
#[derive(Debug, Clone)]
pub struct AnswerMemory {
    free: Arc<Semaphore>,
}

impl AnswerMemory {
    /// So many bytes.
    pub fn of(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX);
        Self { free: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))) }
    }

    /// Nothing of it yet, for one answer.
    pub fn nothing(&self) -> Held {
        Held { memory: self.clone(), permit: None, bytes: FREE_BYTES }
    }
}

impl Default for AnswerMemory {
    /// 256 MiB.
    fn default() -> Self {
        Self::of(256 << 20)
    }
}

/// What one answer holds of the memory; dropped, it is given back.
#[derive(Debug)]
pub struct Held {
    memory: AnswerMemory,
    permit: Option<OwnedSemaphorePermit>,
    /// What the answer may take without asking again.
    bytes: u64,
}

impl Held {
    /// Makes sure of so many bytes in all; false when there are not so many.
    pub fn reach(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let step = (bytes - self.bytes).max(STEP_BYTES).div_ceil(UNIT_BYTES);
        let Ok(units) = u32::try_from(step) else { return false };
        let Ok(more) = self.memory.free.clone().try_acquire_many_owned(units) else { return false };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.bytes += u64::from(units) * UNIT_BYTES;
        true
    }

    /// Whether it takes anything of the memory that it shares with others.
    pub fn counts(&self) -> bool {
        self.permit.is_some()
    }

    /// The same bytes, for which this is held until nobody has them any more.
    pub fn with(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _held: self.clone() })
    }
}

struct Kept {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_the_memory_until_they_are_gone() {
        let memory = AnswerMemory::of(1 << 20);
        let mut first = memory.nothing();
        assert!(first.reach(FREE_BYTES) && !first.counts(), "a small one takes nothing");
        assert!(first.reach(700 << 10));
        let mut second = memory.nothing();
        assert!(second.reach(300 << 10) && !second.reach(900 << 10), "the rest is taken");
        let kept = Arc::new(first).with(vec![1; 700 << 10].into());
        let piece = kept.slice(..10);
        drop(kept);
        assert!(!second.reach(900 << 10), "somebody still has a piece of it");
        drop(piece);
        assert!(second.reach(900 << 10));
        drop(second);
        assert_eq!(memory.free.available_permits(), 1 << 10);
    }
}
