//! Neon's URLs: PostgreSQL over TLS, with options of Neon's own.

use std::borrow::Cow;

use super::uri::InvalidUri;

/// Turns `neon://…` into the URI of a PostgreSQL; any other is given back as it is.
///
/// - TLS is required. Channel binding is a proof that nobody stands in between; where the URL demands it, the server's
///   certificate has to give that proof.
/// - The endpoint is part of the host, which TLS names to Neon; an option that repeats it is taken out.
/// - A host of Neon's pooler lends a session for one transaction.
pub(super) fn translate(uri: &str) -> Result<Cow<'_, str>, InvalidUri> {
    let Some((scheme, rest)) = uri.split_once("://") else { return Ok(Cow::Borrowed(uri)) };
    if !scheme.eq_ignore_ascii_case("neon") {
        return Ok(Cow::Borrowed(uri));
    }
    let (main, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = main.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let label = host.split(['.', ':']).next().unwrap_or_default();
    let endpoint = label.strip_suffix("-pooler").unwrap_or(label);
    let mut kept: Vec<&str> = Vec::new();
    let (mut mode, mut bound, mut has_pooler) = ("require", false, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", word @ ("require" | "verify-ca" | "verify-full")) => mode = word,
            ("sslmode", _) => {
                return Err(InvalidUri::option(
                    "sslmode",
                    "`require`, `verify-ca` or `verify-full` for Neon",
                ));
            }
            ("channel_binding", word) => bound |= word == "require",
            ("options", value) if is_endpoint(value).is_some() => {
                if is_endpoint(value) != Some(endpoint) {
                    return Err(InvalidUri::option("options", "the endpoint that the host names, or absent"));
                }
            }
            (name, _) => {
                has_pooler |= name == "pooler";
                kept.push(pair);
            }
        }
    }
    let mode = format!("sslmode={}", if bound { "verify-full" } else { mode });
    kept.push(&mode);
    if label.ends_with("-pooler") && !has_pooler {
        kept.push("pooler=transaction");
    }
    Ok(Cow::Owned(format!("postgres://{main}?{}", kept.join("&"))))
}

/// The endpoint in `endpoint=<id>` or, as it was once called, `project=<id>`, encoded or not.
fn is_endpoint(value: &str) -> Option<&str> {
    ["endpoint%3D", "endpoint%3d", "endpoint=", "project%3D", "project%3d", "project="]
        .iter()
        .find_map(|prefix| value.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neon_is_postgresql_over_tls() {
        let check = |neon: &str, expected: &str| {
            assert_eq!(translate(neon).as_deref().ok(), Some(expected), "{neon}");
        };
        check("postgres://h/d?sslmode=disable", "postgres://h/d?sslmode=disable");
        check(
            "neon://u:p@ep-a-1.eu.aws.neon.tech/db",
            "postgres://u:p@ep-a-1.eu.aws.neon.tech/db?sslmode=require",
        );
        check("NEON://h/d?sslmode=verify-full", "postgres://h/d?sslmode=verify-full");
        check("neon://h/d?sslmode=require&channel_binding=require", "postgres://h/d?sslmode=verify-full");
        check("neon://h/d?channel_binding=prefer", "postgres://h/d?sslmode=require");
        check(
            "neon://u@ep-a-1.neon.tech/d?options=endpoint%3Dep-a-1&application_name=x",
            "postgres://u@ep-a-1.neon.tech/d?application_name=x&sslmode=require",
        );
        check(
            "neon://u@ep-a-1-pooler.neon.tech:5432/d?options=project=ep-a-1",
            "postgres://u@ep-a-1-pooler.neon.tech:5432/d?sslmode=require&pooler=transaction",
        );
        check(
            "neon://ep-a-1-pooler.neon.tech/d?pooler=session",
            "postgres://ep-a-1-pooler.neon.tech/d?pooler=session&sslmode=require",
        );
        for bad in [
            "neon://h/d?sslmode=disable",
            "neon://h/d?sslmode=prefer",
            "neon://ep-a.neon.tech/d?options=endpoint%3Dep-b",
        ] {
            assert!(translate(bad).is_err(), "{bad}");
        }
    }
}
