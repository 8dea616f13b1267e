//! Projects that a request itself names, with the caller's own key (`custom_supabase`).

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{DirectTarget, DirectTargets};
use reqwest::Client;

use crate::backend::SupabaseBackend;
use crate::guard::HostRules;
use crate::resolver::PublicOnly;
use crate::schema::OpenSchema;
use crate::settings::SupabaseSettings;
use crate::upstream::{Upstream, client};

/// Opens projects that requests name. Connections are shared, keys are not: each lives as long as its request.
pub struct SupabaseDirect {
    http: Client,
    rules: HostRules,
    statement_timeout: Duration,
}

impl SupabaseDirect {
    /// Projects within these rules.
    ///
    /// # Errors
    /// When no HTTP client can be made, which is what TLS without any certificate authority does.
    pub fn new(rules: HostRules, statement_timeout: Duration) -> Result<Self, String> {
        let resolver = (!rules.insecure()).then(PublicOnly::new);
        let http = client(resolver).map_err(|error| error.to_string())?;
        Ok(Self { http, rules, statement_timeout })
    }
}

impl DirectTargets for SupabaseDirect {
    fn open(&self, url: &str, key: &str) -> Result<DirectTarget, String> {
        let origin = self.rules.permit(url)?;
        let settings = SupabaseSettings::of_caller(&origin, key, self.statement_timeout);
        let upstream = Upstream::over(self.http.clone(), &settings, true)?;
        let backend = Arc::new(SupabaseBackend::over(upstream, &settings));
        Ok(DirectTarget { backend, schema: OpenSchema::new(&settings.schema), place: settings.place() })
    }
}
