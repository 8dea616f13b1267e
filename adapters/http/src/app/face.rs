//! Which routes a listener shows.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The routes that one listener shows. What a listener does not show is not found there, whatever key a
/// request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Face {
    /// Everything: there is one listener.
    #[default]
    Both,
    /// Everything but operating the server.
    Data,
    /// Operating the server (`/admin/…`, `/metrics`) and its probes, nothing else.
    Admin,
}

/// Paths of probes, which every face has.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/health", "/ready"];

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Data,
    Operating,
    Probe,
}

impl Face {
    /// Whether this face has `path`, as it stands in the request.
    pub(crate) fn serves(self, path: &str) -> bool {
        match self {
            Self::Both => true,
            Self::Data => purpose(path) != Purpose::Operating,
            Self::Admin => purpose(path) != Purpose::Data,
        }
    }
}

/// Whether a path is one of the probes'.
pub(super) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

fn purpose(path: &str) -> Purpose {
    let path = plain(path);
    let first = path.split('/').nth(1).unwrap_or_default();
    if first == "admin" || first == "metrics" {
        Purpose::Operating
    } else if PROBES.contains(&&*path) {
        Purpose::Probe
    } else {
        Purpose::Data
    }
}

/// The path that any reader of `path` could take it for: decoded, without empty and dotted segments, in small
/// letters. The router reads paths literally today; a wall must not depend on that.
fn plain(path: &str) -> Cow<'_, str> {
    let odd = |byte: u8| byte.is_ascii_uppercase() || b"%.\\;".contains(&byte) || !byte.is_ascii_graphic();
    if !path.bytes().any(odd) && !path.contains("//") && (path.len() == 1 || !path.ends_with('/')) {
        return Cow::Borrowed(path);
    }
    let mut text = path.to_owned();
    // Something behind us may decode once more than we do, so nothing encoded is left.
    while let Cow::Owned(decoded) = percent_decode_str(&text).decode_utf8_lossy() {
        text = decoded;
    }
    let text = text.to_ascii_lowercase().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        // What follows a semicolon is a parameter of the segment to some servers.
        match segment.split(';').next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    Cow::Owned(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_face_has_its_own_routes_and_the_probes() {
        for (path, data, admin) in [
            ("/", true, false),
            ("/gateway/fetch", true, false),
            ("/openapi.yaml", true, false),
            ("/administration", true, false),
            ("/gateway/admin", true, false),
            ("/metrics2", true, false),
            ("/ping", true, false),
            ("/admin", false, true),
            ("/admin/api-keys", false, true),
            ("/admin/clients/x/freeze", false, true),
            ("/metrics", false, true),
            ("/metrics/", false, true),
            ("/livez", true, true),
            ("/readyz", true, true),
            ("/health", true, true),
            ("/ready", true, true),
            ("/health/cluster", true, false),
        ] {
            assert_eq!((Face::Data.serves(path), Face::Admin.serves(path)), (data, admin), "{path}");
            assert!(Face::Both.serves(path));
        }
    }

    #[test]
    fn there_is_no_way_around() {
        for path in [
            "//admin/api-keys",
            "/./admin/api-keys",
            "/gateway/../admin/api-keys",
            "/../../admin/api-keys",
            "/%61dmin/api-keys",
            "/%2561dmin/api-keys",
            "/%25252561dmin",
            "/%2fadmin/api-keys",
            "/gateway%2f..%2fadmin",
            "/%2e/admin",
            "/ADMIN/api-keys",
            "/Admin",
            "/admin;x=1/api-keys",
            "/admin%3bx",
            "/admin%20",
            "/\\admin",
            "/gateway\\..\\admin",
            "/METRICS",
            "/metrics;",
            "/met%72ics",
            "///metrics//",
        ] {
            assert!(!Face::Data.serves(path), "{path}");
        }
        for path in ["/admin/../gateway/fetch", "/metrics/..", "/%61dmin/%2e%2e/gateway/fetch"] {
            assert!(!Face::Admin.serves(path), "{path}");
        }
    }
}
