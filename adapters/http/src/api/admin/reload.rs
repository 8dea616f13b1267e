//! Reading the configuration again.

use athena_application::catalog::Overruled;
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use serde_json::{Value, json};

use super::{Admin, answered};
use crate::api::Tag;
use crate::api::answer::{Answer, Described};
use crate::api::docs::AdminAnswer;
use crate::error::Failure;
use crate::services::Reload;

/// Reading the configuration again.
pub struct ReloadApi {
    reload: Option<Reload>,
}

/// What a second reading came to.
pub struct Read;
impl Described for Read {
    type Body = AdminAnswer;
    const SUCCESS: &'static str = "`applied` is in force now; the keys in `restart_needed` have changed and are not; for the clients in \
                                   `overruled` the catalog's word holds.";
    const FAILURES: &'static [u16] = &[400, 401, 503];
}

#[OpenApi(tag = "Tag::Operations")]
impl ReloadApi {
    /// Reload the configuration
    ///
    /// The same as SIGHUP: clients, limits, pools, switches, CORS, retention, the admin key, certificate and log level
    /// follow the file (and `.env`) at once, while requests run. Keys that need a restart are named, and so are clients
    /// whose row in the catalog overrules the file. A file that cannot be used changes nothing.
    #[oai(path = "/admin/reload", method = "post", operation_id = "reload")]
    async fn reload(&self, request: &Request, _admin: Admin) -> Answer<Read> {
        let outcome = async {
            let Some(reload) = &self.reload else {
                return Err(fixed("this gateway has no configuration file"));
            };
            let reloaded = reload().await.map_err(fixed)?;
            let overruled: Vec<Value> = reloaded.overruled.iter().map(overruled).collect();
            let data = json!({
                "applied": reloaded.applied, "overruled": overruled, "restart_needed": reloaded.restart_needed,
            });
            Ok((StatusCode::OK, "Reloaded configuration", data))
        };
        Answer::new(answered(outcome.await, request))
    }
}

impl ReloadApi {
    /// The operation over a reader of the configuration.
    pub(crate) fn new(reload: Option<Reload>) -> Self {
        Self { reload }
    }
}

fn overruled(Overruled { client, reason }: &Overruled) -> Value {
    json!({ "client": client, "reason": reason.as_str() })
}

fn fixed(error: impl Into<String>) -> Box<Failure> {
    Failure::new(StatusCode::BAD_REQUEST, "invalid_configuration", "validation", "Configuration not reloaded")
        .error(error.into())
        .hint("Unless it says otherwise everything stays as it was. Correct the file and try again.")
}
