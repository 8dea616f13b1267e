//! A Supabase project by its variables.

use std::ops::Deref;

use super::AthenaClient;
use super::builder::AthenaClientBuilder;
use super::config::BackendType;
use super::error::AthenaError;

/// A client of a Supabase project. It is an [`AthenaClient`]: requests, health and settings are the same.
///
/// ```no_run
/// use athena_rs::SupabaseBackend;
///
/// # async fn example() -> Result<(), athena_rs::AthenaError> {
/// let project = SupabaseBackend::from_env("ATHENA_SUPABASE_URL", "ATHENA_SUPABASE_KEY")?;
/// // Both print as `***`: `expose()` gives the text.
/// println!("{} {:?}", project.config().connection.url, project.config().connection.key);
/// let users = project.select("users").where_eq("active", true).limit(10).execute().await?;
/// println!("{}", users.rows.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SupabaseBackend(AthenaClient);

impl SupabaseBackend {
    /// The project whose URL and key stand in environment variables of these names. Connects when it is first used;
    /// needs a running Tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](super::ErrorKind::Configuration), naming the variable that is not set.
    pub fn from_env(url_variable: &str, key_variable: &str) -> Result<Self, AthenaError> {
        let builder = AthenaClientBuilder::default().backend(BackendType::Supabase);
        builder.from_env(url_variable, key_variable)?.open().map(Self)
    }

    /// The client alone.
    pub fn into_client(self) -> AthenaClient {
        self.0
    }
}

impl Deref for SupabaseBackend {
    type Target = AthenaClient;

    fn deref(&self) -> &AthenaClient {
        &self.0
    }
}
