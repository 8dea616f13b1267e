//! What every log store and its statistics must do alike.

use super::super::ports::{
    BatchId, ClientStatistics, LogBatch, LogEntry, LogStore, LoggedAuth, LoggedOperation, StatisticsStore,
    TableStatistics,
};

/// 2026-01-01, in microseconds since 1970.
const NEW_YEAR: i64 = 1_767_225_600_000_000;

/// An entry of `client` that read the table `items`; the number is its place in time and in its name.
pub fn log_entry(client: &str, number: u32, status: u16, cached: bool) -> LogEntry<'static> {
    LogEntry {
        at: NEW_YEAR + i64::from(number) * 1_000_001,
        request_id: format!("request-{number}").into(),
        client: Some(client.to_owned().into()),
        client_sent: Some(client.to_uppercase().into()),
        method: "POST".into(),
        path: "/gateway/fetch".into(),
        query: None,
        status,
        address: Some("192.0.2.7".into()),
        host: Some("athena.example".into()),
        origin: Some("https://athena.example".into()),
        user_agent: Some("a \"quoted\" agent, \\ and ü".into()),
        headers: r#"{"accept":"*/*","x-athena-client":"ü\\\""}"#.into(),
        user: Some("u-1".into()),
        company: None,
        organization: None,
        cached,
        auth: Some(LoggedAuth {
            key: None,
            presented_public_id: Some("0123456789abcdef".into()),
            authenticated: false,
            authorized: false,
            enforced: false,
            reason: "unknown_api_key_unenforced".into(),
            required: r#"["items.read"]"#.into(),
            granted: "[]".into(),
            logged: true,
        }),
        operation: (!cached).then(|| LoggedOperation {
            name: "fetch".into(),
            table: Some("items".into()),
            duration_ms: 3,
        }),
        message: (status >= 400).then(|| "no".into()),
        details: (status >= 400).then(|| r#"{"error_code":"x","message":"no"}"#.into()),
    }
}

/// Counts without what depends on the clock.
fn plain(of: &ClientStatistics) -> (i64, i64, i64, i64, i64) {
    (
        of.total_requests,
        of.successful_requests,
        of.failed_requests,
        of.total_cached_requests,
        of.total_operations,
    )
}

fn seconds(at: Option<time::OffsetDateTime>) -> Option<i128> {
    at.map(|at| at.unix_timestamp_nanos() / 1_000)
}

/// A batch is written whole, once, and parts of it have names of their own.
pub async fn batches_are_written_once(store: &dyn LogStore, statistics: &dyn StatisticsStore) {
    let entries: Vec<_> = (0..7).map(|number| log_entry("once", number, 200, false)).collect();
    let id = BatchId(0x1234_5678_9abc_4def_8000_0000_0000_0010);
    for _ in 0..3 {
        store.write(&LogBatch { id, entries: &entries }).await.expect("a batch is written");
    }
    let (of, _) = statistics.of_client(" ONCE ").await.expect("statistics").expect("of the client");
    assert_eq!(plain(&of), (7, 7, 0, 0, 7), "a repeated batch is written once");
    store.write(&LogBatch { id: id.part(2), entries: &entries[..3] }).await.expect("a part is written");
    let (of, _) = statistics.of_client("once").await.expect("statistics").expect("of the client");
    assert_eq!(of.total_requests, 10, "a part is not the whole");
    store.write(&LogBatch { id: BatchId(99), entries: &[] }).await.expect("an empty batch is written");
    assert!(statistics.of_client("nobody").await.expect("statistics").is_none());
}

/// A store has a name of its own, and keeps it.
pub async fn stores_have_names_of_their_own(store: &dyn LogStore, other: &dyn LogStore) {
    let name = store.identity().await.expect("an answer").expect("a name");
    assert_eq!(store.identity().await.expect("an answer"), Some(name), "the name stays");
    assert_ne!(other.identity().await.expect("an answer"), Some(name), "another store has another name");
}

/// N good, M failed and K cached requests are N, M and K, before and after a refresh.
pub async fn statistics_follow_the_batches(store: &dyn LogStore, statistics: &dyn StatisticsStore) {
    let (good, failed, cached) = (11_u32, 5_u32, 4_u32);
    let mut entries: Vec<_> = (0..good).map(|number| log_entry("busy", number, 200, false)).collect();
    entries.extend((0..failed).map(|number| log_entry("busy", 100 + number, 422, false)));
    entries.extend((0..cached).map(|number| log_entry("busy", 200 + number, 200, true)));
    entries.extend((0..2).map(|number| log_entry("calm", 300 + number, 304, false)));
    let mut nobody = log_entry("", 400, 400, false);
    nobody.client = None;
    entries.push(nobody);
    for (batch, entries) in entries.chunks(6).enumerate() {
        let id = BatchId((batch as u128 + 1) << 64);
        store.write(&LogBatch { id, entries }).await.expect("a batch is written");
    }
    let read = || async {
        let list = statistics.list().await.expect("statistics");
        let mut found = Vec::new();
        for name in ["busy", "calm"] {
            let (of, tables) = statistics.of_client(name).await.expect("statistics").expect("of a client");
            assert!(list.iter().any(|listed| listed == &of), "{name} is listed");
            let tables: Vec<_> = tables
                .iter()
                .map(
                    |TableStatistics {
                         table_name,
                         operation,
                         total_operations,
                         error_operations,
                         last_operation_at,
                         ..
                     }| {
                        (
                            table_name.clone(),
                            operation.clone(),
                            *total_operations,
                            *error_operations,
                            seconds(*last_operation_at),
                        )
                    },
                )
                .collect();
            found.push((plain(&of), seconds(of.last_request_at), seconds(of.last_operation_at), tables));
        }
        let place = |name| list.iter().position(|of| of.client_name == name);
        assert!(place("busy") < place("calm"), "the busiest comes first");
        found
    };
    let before = read().await;
    let at = |number: u32| Some(i128::from(NEW_YEAR + i64::from(number) * 1_000_001));
    assert_eq!(
        before[0],
        (
            (
                i64::from(good + failed + cached),
                i64::from(good + cached),
                i64::from(failed),
                i64::from(cached),
                i64::from(good + failed)
            ),
            at(203),
            at(104),
            vec![(
                "items".to_owned(),
                "fetch".to_owned(),
                i64::from(good + failed),
                i64::from(failed),
                at(104)
            )]
        )
    );
    assert_eq!(before[1].0, (2, 2, 0, 0, 2));
    statistics.refresh().await.expect("a refresh");
    assert_eq!(read().await, before, "a refresh comes to the same numbers");
}
