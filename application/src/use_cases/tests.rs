#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_domain::access::{ApiKey, Judgement, Mode, RightSet, Scope};

use super::*;
use crate::ports::BackendStatus;
use crate::stopwatch::Stopwatch;

/// A database that is never asked.
struct Unasked(Arc<Schema>);

#[async_trait::async_trait]
impl Backend for Unasked {
    async fn execute(
        &self,
        _: &Plan,
        _: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        panic!("a plan is not run here")
    }

    async fn ping(&self, _: Instant) -> Result<(), PortError> {
        Ok(())
    }

    fn status(&self) -> BackendStatus {
        BackendStatus::default()
    }
}

#[async_trait::async_trait]
impl SchemaReader for Unasked {
    fn loaded(&self) -> Option<Arc<Schema>> {
        Some(self.0.clone())
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, _: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        Ok(self.0.clone())
    }

    fn invalidate(&self) {}
}

/// How often a request with this key is planned, and whether something is noted against the key.
async fn planned(mode: Mode, key: ApiKey) -> (usize, bool) {
    let gateway = Gateway {
        registry: Arc::default(),
        limits: Limits::default(),
        options: PlanOptions::default(),
        decoding: Decoding::default(),
        authenticator: Arc::default(),
        budgets: Arc::default(),
        cursors: Arc::new(Cursors::new(None, Duration::from_secs(1))),
        direct: None,
        caches: Default::default(),
        memory: Default::default(),
    };
    let database = Arc::new(Unasked(Arc::new(Schema::default())));
    let target = Target { backend: database.clone(), schema: database };
    let judgement = Judgement { mode, reason: AuthReason::Authenticated, key: Some(Arc::new(key)) };
    let context = Context { caller: Caller::new(&judgement), ..gateway.context(false) };
    let count = AtomicUsize::new(0);
    let plan = |planner: Planner<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
        planner.authority.map_or(Ok(()), |authority| authority.permit_sql())
    };
    let outcome = gateway.plan(&target, &context, None, plan).await;
    assert_eq!(outcome.is_ok(), !mode.enforces() || context.trail.denial().is_none());
    (count.load(Ordering::Relaxed), context.trail.denial().is_some())
}

#[tokio::test]
async fn a_request_with_a_good_key_is_planned_once() {
    let good = || ApiKey { rights: RightSet::new(["*"]).into(), ..ApiKey::new(1, "") };
    for mode in [Mode::Off, Mode::Warn, Mode::Enforce] {
        assert_eq!(planned(mode, good()).await, (1, false), "{mode:?}");
    }
    // A plan under the limits of a key is not the one that is run where keys are not demanded.
    let scope =
        Scope::from_parts(Some(&["query".to_owned()]), None, Some(r#"{"things": ["id"]}"#), None).unwrap();
    assert_eq!(planned(Mode::Off, ApiKey { scope: scope.into(), ..good() }).await, (2, false));
    // What would be refused is noted, and planned without the key.
    assert_eq!(planned(Mode::Off, ApiKey::new(1, "")).await, (2, true));
    assert_eq!(planned(Mode::Enforce, ApiKey::new(1, "")).await, (1, true));
}
