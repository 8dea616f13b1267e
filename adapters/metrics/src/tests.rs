#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::time::{Duration, SystemTime};

use athena_application::ports::{AuthObservation, CallerAddress, OperationObservation, Stages};
use athena_domain::ClientName;
use athena_domain::access::{AuthReason, Mode};

use super::*;

fn observation(client: &str, known: bool, status: u16) -> Arc<Observation> {
    Arc::new(Observation {
        request_id: "r".into(),
        began: SystemTime::now(),
        duration: Duration::from_millis(3),
        stages: Stages::default(),
        method: "POST".into(),
        route: "/gateway/fetch",
        path: "/gateway/fetch".into(),
        query: None,
        status,
        code: None,
        message: None,
        broken: false,
        bytes: 100,
        client: ClientName::parse(client),
        client_known: known,
        caller: CallerAddress::default(),
        audit: Default::default(),
        headers: "{}".into(),
        auth: Some(AuthObservation {
            key: None,
            presented_public_id: None,
            authenticated: false,
            authorized: false,
            mode: if status == 401 { Mode::Enforce } else { Mode::Warn },
            reason: AuthReason::MissingKey,
            required: None,
        }),
        operation: (status == 200).then(|| OperationObservation {
            name: "fetch",
            system: Some("postgresql"),
            table: Some("secret-table".into()),
            rows: 5,
            affected: 0,
            duration: Duration::from_millis(2),
            offset: Duration::ZERO,
        }),
        cached: false,
        trace: None,
    })
}

fn clients(names: &[&str]) -> impl Iterator<Item = Arc<athena_application::Client>> {
    let client = |name: &&str| {
        let name = ClientName::parse(name).unwrap();
        Arc::new(athena_application::Client::new(name, ClientState::Frozen))
    };
    names.iter().map(client).collect::<Vec<_>>().into_iter()
}

fn metrics() -> Metrics {
    let reading = |name, value| Reading { name, help: "Something.", labels: Vec::new(), value };
    let readings = move || vec![reading("athena_log_queued", 7), reading("athena_log_written_total", 9)];
    let registry = ClientRegistry::default();
    registry.replace(clients(&["Demo", "Other"]));
    Metrics::new("1.2.3", Arc::new(registry), Box::new(readings))
}

#[test]
fn requests_are_counted_by_route_client_and_status() {
    let metrics = metrics();
    (0..7).for_each(|_| metrics.begins());
    for _ in 0..3 {
        metrics.observe(&observation("Demo", true, 200));
    }
    metrics.observe(&observation("made-up-1", false, 401));
    metrics.observe(&observation("made-up-2", false, 401));
    let text = metrics.render().text;
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    has(r#"athena_http_requests_total{client="demo",method="POST",route="/gateway/fetch",status="200"} 3"#);
    has(r#"athena_http_requests_total{client="",method="POST",route="/gateway/fetch",status="401"} 2"#);
    has(r#"athena_http_request_seconds_count{client="demo",route="/gateway/fetch",status="2xx"} 3"#);
    has(
        r#"athena_http_request_seconds_bucket{client="demo",route="/gateway/fetch",status="2xx",le="0.005"} 3"#,
    );
    has(r#"athena_http_request_seconds_count{client="",route="/gateway/fetch",status="4xx"} 2"#);
    has(r#"athena_rows_total{client="demo",operation="fetch"} 15"#);
    has(r#"athena_auth_refusals_total{client="",reason="missing_api_key"} 2"#);
    has(r#"athena_auth_would_refuse_total{client="demo",reason="missing_api_key"} 3"#);
    has(r#"athena_build_info{version="1.2.3"} 1"#);
    has("# TYPE athena_log_queued gauge");
    has("athena_log_queued 7");
    has("# TYPE athena_log_written_total counter");
    has("athena_log_written_total 9");
    has("athena_http_requests_in_flight 2");
    // However many codes there are, a route of a client is timed in five classes.
    (0..5000).for_each(|n| metrics.observe(&observation("Demo", true, 100 + n % 500)));
    let text = metrics.render().text;
    let series = r#"athena_http_request_seconds_count{client="demo","#;
    let timed = text.lines().filter(|line| line.starts_with(series));
    assert_eq!(timed.count(), 5, "{text}");
    assert!(!text.contains("made-up") && !text.contains("secret-table"), "{text}");
}

#[test]
fn clients_that_are_gone_take_their_numbers_with_them() {
    let metrics = metrics();
    for client in ["Demo", "Other", "custom_supabase"] {
        metrics.begins();
        metrics.observe(&observation(client, true, 200));
    }
    metrics.observe(&observation("nobody", false, 401));
    let series = |client: &str| {
        let text = metrics.render().text;
        text.lines().filter(|line| line.contains(&format!("client=\"{client}\""))).count()
    };
    let (demo, other) = (series("demo"), series("other"));
    assert_eq!((demo, series("custom_supabase")), (other, other));
    let text = metrics.render().text;
    assert!(text.contains(r#"athena_pool_wait_seconds_count{client="demo"} 1"#), "{text}");
    metrics.clients.replace(clients(&["Demo"]));
    assert_eq!((series("demo"), series("other"), series("custom_supabase")), (demo, 0, demo));
    assert!(series("") > 0);
    // A request that was still under way is counted, and forgotten at the next look.
    metrics.observe(&observation("Other", true, 200));
    assert_eq!(series("other"), 0);
}
