//! Adds to the specification what all operations of a kind share: their headers.

use std::collections::HashMap;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaApi, MetaSecurityScheme, Registry};

use crate::headers::describe;

/// Name of a gateway key in the specification.
const SCHEME: &str = "ApiKey";

/// A key in the header `X-Athena-Key`; `description` says which, and where else it may stand.
pub fn key_scheme(description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "apiKey",
        description: Some(description),
        name: Some("X-Athena-Key"),
        key_in: Some("header"),
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

/// The right that a gateway route needs (contract 5.5); none for routes that ask for no gateway key.
fn gateway_right(path: &str) -> Option<&'static str> {
    match path {
        "/gateway/fetch" | "/gateway/data" => Some("{table}.read"),
        "/gateway/update" | "/gateway/insert" => Some("{table}.write"),
        "/gateway/delete" => Some("{table}.delete"),
        "/gateway/query" | "/query/sql" | "/gateway/rpc" => Some("gateway.query"),
        _ => None,
    }
}

/// The same operations, with the headers they read and answer.
pub struct Documented<T>(pub T);

impl<T: OpenApi> OpenApi for Documented<T> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = T::meta();
        for path in apis.iter_mut().flat_map(|api| api.paths.iter_mut()) {
            for operation in &mut path.operations {
                if let Some(right) = gateway_right(&path.path) {
                    operation.security.push(HashMap::from([(SCHEME, vec![right])]));
                }
                operation.params.extend(describe::request_headers(&path.path));
                for response in &mut operation.responses.responses {
                    response.headers.extend(describe::response_headers(&path.path, response.status));
                }
            }
        }
        apis
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        let scheme = key_scheme(
            "An API key, `ath_<id>.<secret>`, where the gateway demands keys. Also taken as `Authorization: Bearer`, \
             `apikey` or `x-api-key`. The right that an operation needs stands beside it.",
        );
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(routes);
    }
}
