//! The task that closes idle connections: there is one while connections are open, and none otherwise.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Sessions;

impl Sessions {
    /// Sees to it that somebody closes the connections once nobody uses them.
    pub(super) fn keep_in_bounds(self: &Arc<Self>) {
        if self.keeping.load(Ordering::SeqCst) || self.keeping.swap(true, Ordering::SeqCst) {
            return;
        }
        let sessions = Arc::downgrade(self);
        let period = (self.settings.idle_timeout / 4).max(Duration::from_millis(250));
        let task = tokio::spawn(async move {
            loop {
                let Some(this) = sessions.upgrade() else { return };
                this.close_idle();
                this.fill().await;
                if this.has_rested() {
                    return;
                }
                drop(this);
                tokio::time::sleep(period).await;
            }
        });
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// Closes connections that nobody used for a while, but for as many as are to be kept.
    fn close_idle(&self) {
        let (idle, least, mut kept) = (self.settings.idle_timeout, self.min_connections(), 0);
        self.built().pool.retain(|session, _| {
            let keep = session.last_used.elapsed() < idle || kept < least;
            kept += usize::from(keep);
            keep
        });
    }

    /// Opens connections up to the number that is to be kept.
    async fn fill(&self) {
        let (built, least) = (self.built(), self.min_connections());
        if built.pool.status().size >= least {
            return;
        }
        // All are held until the last is open: one that is given back would be handed out again.
        let mut held = Vec::with_capacity(least);
        for _ in 0..least {
            match built.pool.timeout_get(&built.timeouts).await {
                Ok(object) => held.push(object),
                // The next round tries again.
                Err(_) => return,
            }
        }
    }

    /// Whether no connection is left, so that nobody has to look after them.
    fn has_rested(&self) -> bool {
        let pool = &self.built().pool;
        if pool.status().size > 0 {
            return false;
        }
        self.keeping.store(false, Ordering::SeqCst);
        // A connection that was opened in between found a keeper that was about to leave.
        pool.status().size == 0 || self.keeping.swap(true, Ordering::SeqCst)
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        if let Some(task) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}
