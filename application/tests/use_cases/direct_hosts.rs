//! What is remembered of hosts that requests name.

use std::sync::Arc;
use std::time::Duration;

use athena_application::bulkhead::BulkheadSettings;
use athena_application::direct_hosts::{DirectHosts, MOST_HOSTS};
use athena_application::ports::{DirectTarget, DirectTargets, PortErrorKind};
use athena_application::stopwatch::Stopwatch;
use athena_domain::breaker::BreakerSettings;
use athena_memory::MemoryDatabase;
use tokio::time::Instant;

use super::bulkhead::{NoRows, plan};
use super::guarded::Moody;

/// Every URL is a host, and each of them an empty database.
struct Anything;

impl DirectTargets for Anything {
    fn open(&self, url: &str, _: &str) -> Result<DirectTarget, String> {
        let database = Arc::new(MemoryDatabase::new([]));
        Ok(DirectTarget { backend: database.clone(), schema: database, place: url.to_owned() })
    }
}

fn hosts() -> DirectHosts {
    let bulkhead =
        BulkheadSettings { max_concurrent: 1, queue_length: 0, queue_wait: Duration::ZERO, slow_readers: 1 };
    DirectHosts::new(Arc::new(Anything), BreakerSettings::default(), bulkhead)
}

#[tokio::test(start_paused = true)]
async fn hosts_are_remembered_while_they_are_used_and_never_too_many() {
    let hosts = hosts();
    let open = |host: usize| hosts.open(&format!("https://{host}"), "key").unwrap();
    for _ in 0..3 {
        drop(open(1));
    }
    assert_eq!(hosts.remembered(), 1, "one host, whoever asks");
    for host in 0..3 * MOST_HOSTS {
        drop(open(host));
    }
    assert_eq!(hosts.remembered(), MOST_HOSTS);
    // Those that are asked right now stay; whoever comes then is served without being remembered.
    let busy: Vec<_> = (0..MOST_HOSTS).map(open).collect();
    drop(open(9_999));
    assert_eq!((hosts.remembered(), busy.len()), (MOST_HOSTS, MOST_HOSTS));
    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(open(0));
    assert_eq!(hosts.remembered(), MOST_HOSTS, "they are still asked");
    drop(busy);
    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(open(1));
    assert_eq!(hosts.remembered(), 1, "who is not asked for long is forgotten");
}

/// Every URL is a host that is away.
struct Nowhere;

impl DirectTargets for Nowhere {
    fn open(&self, url: &str, _: &str) -> Result<DirectTarget, String> {
        let database = Arc::new(Moody::default());
        database.requests(Some(PortErrorKind::Unavailable));
        Ok(DirectTarget { backend: database.clone(), schema: database, place: url.to_owned() })
    }
}

/// Asks a host once.
async fn ask(hosts: &DirectHosts, host: usize) -> PortErrorKind {
    let opened = hosts.open(&format!("https://{host}"), "key").unwrap();
    let deadline = Instant::now() + Duration::from_secs(1);
    opened.backend.execute(&plan(), &mut NoRows, deadline, &Stopwatch::default()).await.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn made_up_hosts_keep_no_other_out() {
    let bulkhead =
        BulkheadSettings { max_concurrent: 1, queue_length: 0, queue_wait: Duration::ZERO, slow_readers: 1 };
    let settings = BreakerSettings { threshold: 1, ..BreakerSettings::default() };
    let hosts = DirectHosts::new(Arc::new(Nowhere), settings, bulkhead);
    for host in 0..MOST_HOSTS {
        assert_eq!(ask(&hosts, host).await, PortErrorKind::Unavailable);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let is_refused = |kind| matches!(kind, PortErrorKind::CircuitOpen { .. });
    assert!(is_refused(ask(&hosts, 0).await), "it is remembered to be away");
    // One that is asked for the first time has a breaker of its own, in the place of that which was asked longest ago.
    assert_eq!(ask(&hosts, 9_999).await, PortErrorKind::Unavailable);
    assert!(is_refused(ask(&hosts, 9_999).await));
    assert!(is_refused(ask(&hosts, 0).await), "it was asked just now");
    assert_eq!(ask(&hosts, 1).await, PortErrorKind::Unavailable, "it was forgotten");
    assert_eq!(hosts.remembered(), MOST_HOSTS);
    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(ask(&hosts, 0).await);
    assert_eq!(hosts.remembered(), 1, "nobody has asked for the others");
}
