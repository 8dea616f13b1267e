//! What answers that are kept whole and bodies that are received take of the memory: the ones and the others together
//! have a bound, from their first byte until nobody has any of them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers up to this are not counted: there are no more of them than statements.
const FREE_BYTES: u64 = 64 << 10;

/// What a growing answer takes at once, so that it does not ask for every row.
const STEP_BYTES: u64 = 256 << 10;

/// The unit in which memory is counted.
const UNIT_BYTES: u64 = 1 << 10;

/// The memory that whole answers, or received bodies, may take together.
#[derive(Debug, Clone)]
pub struct SharedMemory {
    free: Arc<Semaphore>,
    /// Bytes of each that are not counted.
    free_of_each: u64,
    /// Bytes that are taken at once, at least.
    step: u64,
}

impl SharedMemory {
    /// So many bytes for answers. Small ones are not counted.
    pub fn of_answers(bytes: u64) -> Self {
        Self { free: units(bytes), free_of_each: FREE_BYTES, step: STEP_BYTES }
    }

    /// So many bytes for bodies. Each counts from its first byte: nothing bounds how many a caller begins.
    pub fn of_bodies(bytes: u64) -> Self {
        Self { free: units(bytes), free_of_each: 0, step: UNIT_BYTES }
    }

    /// Nothing of it yet, for one answer or body.
    pub fn nothing(&self) -> Held {
        Held { memory: self.clone(), permit: None, bytes: self.free_of_each }
    }
}

fn units(bytes: u64) -> Arc<Semaphore> {
    let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)))
}

impl Default for SharedMemory {
    /// 256 MiB for answers.
    fn default() -> Self {
        Self::of_answers(256 << 20)
    }
}

/// What one answer or body holds of the memory; dropped, it is given back.
#[derive(Debug)]
pub struct Held {
    memory: SharedMemory,
    permit: Option<OwnedSemaphorePermit>,
    /// What may be taken without asking again.
    bytes: u64,
}

impl Held {
    /// Makes sure of so many bytes in all; false when there are not so many.
    pub fn reach(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let step = (bytes - self.bytes).max(self.memory.step).div_ceil(UNIT_BYTES);
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
        let memory = SharedMemory::of_answers(1 << 20);
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

    #[test]
    fn bodies_count_from_their_first_byte() {
        let memory = SharedMemory::of_bodies(3 << 10);
        let mut small: Vec<Held> = (0..3).map(|_| memory.nothing()).collect();
        assert!(small.iter_mut().all(|body| body.reach(1)));
        assert!(!memory.nothing().reach(1), "three begun bodies have taken all");
        assert!(small[0].reach(1 << 10) && !small[0].reach((1 << 10) + 1));
    }
}
