//! Contract 5.4 as a table: who is answered what, and what the logs keep of it (5.8), in every cell.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Plane, ROUTES, Route, THINGS};
use crate::harness::{ADMIN_KEY, Answer};
use crate::logs::{control, until};

/// What a request presents, and status, `message` and `error` of the refusal under enforcement.
struct Presented {
    name: &'static str,
    key: Option<String>,
    refusal: Option<(u16, &'static str, String)>,
    reason: &'static str,
}

async fn presented(plane: &Plane) -> Vec<Presented> {
    let (good, _) = plane.key(json!({"name": "good", "rights": ["*"]})).await;
    let (bound, _) = plane.key(json!({"name": "bound", "rights": ["*"], "client_name": " MAIN "})).await;
    let (other, _) = plane.key(json!({"name": "other", "rights": ["*"], "client_name": "elsewhere"})).await;
    let (inactive, id) = plane.key(json!({"name": "inactive", "rights": ["*"]})).await;
    plane.admin(Method::PATCH, &format!("/admin/api-keys/{id}"), json!({"is_active": false})).await.ok();
    let (expired, _) =
        plane.key(json!({"name": "expired", "rights": ["*"], "expires_at": "2020-01-01T00:00:00Z"})).await;
    let (archived, id) = plane.key(json!({"name": "archived", "rights": ["*"]})).await;
    plane.admin(Method::DELETE, &format!("/admin/api-keys/{id}"), json!(null)).await.ok();
    let (powerless, _) = plane.key(json!({"name": "powerless"})).await;
    let wrong = format!("{}.{}", good.split_once('.').expect("a dot").0, "0".repeat(64));
    let case = |name, key: Option<String>, refusal: Option<(u16, &'static str, &str)>, reason| Presented {
        name,
        key,
        refusal: refusal.map(|(status, message, error)| (status, message, error.to_owned())),
        reason,
    };
    let invalid = Some((401, "Invalid API key", "The API key is not valid."));
    vec![
        case(
            "none",
            None,
            Some((401, "API key required", "Missing API key. Use X-Athena-Key.")),
            "missing_api_key",
        ),
        case(
            "malformed",
            Some("not-a-key".into()),
            Some((401, "Invalid API key", "The API key format is invalid.")),
            "invalid_api_key_format",
        ),
        case(
            "the admin key",
            Some(ADMIN_KEY.into()),
            Some((401, "Invalid API key", "The API key format is invalid.")),
            "invalid_api_key_format",
        ),
        case("unknown", Some(format!("ath_0123456789abcdef.{}", "0".repeat(64))), invalid, "unknown_api_key"),
        case("wrong secret", Some(wrong), invalid, "invalid_api_key_secret"),
        case("archived", Some(archived), invalid, "unknown_api_key"),
        case(
            "inactive",
            Some(inactive),
            Some((401, "Inactive API key", "The API key has been disabled.")),
            "inactive_api_key",
        ),
        case(
            "expired",
            Some(expired),
            Some((401, "Expired API key", "The API key has expired.")),
            "expired_api_key",
        ),
        case(
            "of another client",
            Some(other),
            Some((
                403,
                "API key client mismatch",
                "The API key is scoped to client 'elsewhere', not '{client}'.",
            )),
            "api_key_client_mismatch",
        ),
        case(
            "without rights",
            Some(powerless),
            Some((403, "Insufficient API key rights", "Missing required rights: {right}")),
            "missing_api_key_rights",
        ),
        case("good", Some(good), None, "api_key_authenticated"),
        case("good, bound", Some(bound), None, "api_key_authenticated"),
    ]
}

/// The mode of the client: its own, else that for everybody.
async fn set(plane: &Plane, global: &str, exception: Option<&str>) {
    plane.policy(global).await;
    // The exception is made under one spelling and met under another.
    let path = "/admin/api-key-clients/%20mAIN";
    match exception {
        Some(mode) => drop(plane.admin(Method::PUT, path, json!({ "mode": mode })).await.ok()),
        None => drop(plane.admin(Method::DELETE, "/admin/api-key-clients/main", json!(null)).await),
    }
}

/// Checks what a caller is answered.
fn check(what: &str, route: &Route, client: &str, case: &Presented, enforced: bool, answer: &Answer) {
    match &case.refusal {
        Some((status, message, error)) if enforced => {
            let error = error.replace("{client}", client.trim()).replace("{right}", route.right);
            assert_eq!(answer.status, *status, "{what}: {}", answer.text);
            let body = answer.json();
            assert_eq!(body["status"], "error", "{what}");
            assert_eq!(body["message"], *message, "{what}");
            assert_eq!(body["error"], error, "{what}");
        }
        _ => assert!(
            answer.status == 200 || (route.method == "DELETE" && answer.status == 404),
            "{what}: {} {}",
            answer.status,
            answer.text
        ),
    }
    assert!(!answer.text.contains("ath_0123456789abcdef"), "{what}");
}

/// What the log of authentications is to hold.
fn logged(route: &Route, client: &str, case: &Presented, mode: &str, status: u16) -> Value {
    let enforced = mode == "enforce";
    let reason = match (case.reason, mode) {
        (good @ "api_key_authenticated", _) => good.to_owned(),
        (reason, "enforce") => reason.to_owned(),
        ("missing_api_key", "off") => "api_key_not_enforced".to_owned(),
        (reason, _) => format!("{reason}_unenforced"),
    };
    let authorized = case.reason == "api_key_authenticated";
    let verified = authorized || matches!(case.reason, "missing_api_key_rights" | "api_key_client_mismatch");
    let found = verified || matches!(case.reason, "inactive_api_key" | "expired_api_key");
    // Whoever is refused at the door has not said yet which table is meant.
    let at_the_door = enforced && !authorized && case.reason != "missing_api_key_rights";
    let required =
        if at_the_door && route.right != "gateway.query" { json!([]) } else { json!([route.right]) };
    let granted = if verified && case.reason != "missing_api_key_rights" { json!(["*"]) } else { json!([]) };
    let public = case.key.as_deref().and_then(|key| key.strip_prefix("ath_")?.split('.').next());
    json!({
        "failure_reason": reason, "authenticated": verified, "authorized": authorized, "enforced": enforced,
        "client_name": client.trim(), "method": route.method, "path": route.path, "status": status,
        "required_rights": required, "granted_rights": granted, "known": found, "api_key_public_id": public,
        "request_reason": reason,
    })
}

#[tokio::test]
async fn the_whole_matrix() {
    let plane = Plane::start(THINGS).await;
    let presented = presented(&plane).await;
    let mut expected: BTreeMap<String, (String, Value)> = BTreeMap::new();
    for global in ["off", "warn", "enforce"] {
        for exception in [None, Some("off"), Some("warn"), Some("enforce")] {
            set(&plane, global, exception).await;
            let mode = exception.unwrap_or(global);
            for route in &ROUTES {
                for case in &presented {
                    for client in ["Main", "MAIN", " main "] {
                        let what = format!(
                            "{} {} as {client:?}, {global}/{exception:?}, {}",
                            route.method, route.path, case.name
                        );
                        let id = format!("cell-{}", expected.len());
                        let request = plane.request(route, client, case.key.as_deref());
                        let answer = plane.gateway.send(request.header("X-Request-Id", &id)).await;
                        check(&what, route, client, case, mode == "enforce", &answer);
                        expected.insert(id, (what, logged(route, client, case, mode, answer.status)));
                    }
                }
            }
        }
    }
    let reasons: BTreeSet<_> = presented.iter().map(|case| case.reason).collect();
    assert_eq!(reasons.len(), 9);
    let both = "SELECT count(*) AS n FROM api_key_auth_log WHERE request_id LIKE 'cell-%'";
    until("every cell is logged", async || control(&plane, both).await[0]["n"] == expected.len()).await;
    let rows = control(
        &plane,
        "SELECT request_id, failure_reason, authenticated, authorized, enforced, client_name, method, path, status_code \
         AS status, required_rights, granted_rights, api_key_id IS NOT NULL AS known, api_key_public_id, \
         api_key_auth_reason AS request_reason \
         FROM (SELECT request_id, failure_reason, authenticated, authorized, enforced, client_name, method, path, \
               required_rights, granted_rights, api_key_id, api_key_public_id FROM api_key_auth_log) auth \
         JOIN (SELECT request_id, status_code, api_key_auth_reason FROM gateway_request_log) request USING (request_id) \
         WHERE request_id LIKE 'cell-%'",
    )
    .await;
    for row in rows.as_array().expect("rows") {
        let mut row = row.as_object().expect("a row").clone();
        let id = row.remove("request_id").expect("an id");
        let (what, expected) = expected.remove(id.as_str().expect("a text")).expect("one row a cell");
        assert_eq!(Value::Object(row), expected, "{what}");
    }
    assert!(expected.is_empty(), "without a row: {expected:?}");
}
