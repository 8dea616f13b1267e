//! Names → addresses that may be connected to. The connection gets its addresses here and nowhere else, so that what
//! was judged is what is used, whatever the name says a moment later.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::is_public;

/// Looks a name up.
type LookUp =
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// A name that leads to no address of the open internet.
#[derive(Debug, thiserror::Error)]
#[error("the host has no address that may be reached")]
pub(crate) struct Forbidden;

/// Gives only addresses of the open internet.
pub(crate) struct PublicOnly {
    look_up: Arc<LookUp>,
}

impl PublicOnly {
    /// Asks the system.
    pub(crate) fn new() -> Self {
        Self::over(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
    }

    fn over<F>(look_up: F) -> Self
    where
        F: Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>
            + Send
            + Sync
            + 'static,
    {
        Self { look_up: Arc::new(look_up) }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let look_up = self.look_up.clone();
        Box::pin(async move {
            let mut found = look_up(name.as_str().to_owned()).await?;
            found.retain(|address| is_public(address.ip()));
            if found.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::client;

    fn resolver(answers: Vec<Vec<&'static str>>) -> (PublicOnly, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let resolver = PublicOnly::over(move |_| {
            let turn = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let addresses = answers[turn].iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0));
            let addresses = addresses.collect();
            Box::pin(async move { Ok(addresses) })
        });
        (resolver, asked)
    }

    async fn addresses(resolver: &PublicOnly) -> Option<Vec<String>> {
        let found = resolver.resolve("db.example".parse().unwrap()).await.ok()?;
        Some(found.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn private_addresses_of_a_name_are_left_out() {
        let (mixed, _) = resolver(vec![vec!["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1", "::ffff:8.8.8.8"]]);
        assert_eq!(addresses(&mixed).await.unwrap(), ["8.8.8.8", "2606:4700::1"]);
        let (private, _) = resolver(vec![vec!["169.254.169.254", "fd00::1"]]);
        assert!(addresses(&private).await.is_none());
        let (nothing, _) = resolver(vec![vec![]]);
        assert!(addresses(&nothing).await.is_none());
    }

    #[tokio::test]
    async fn a_name_that_changes_is_judged_anew() {
        let (rebinding, _) = resolver(vec![vec!["8.8.8.8"], vec!["127.0.0.1"]]);
        assert!(addresses(&rebinding).await.is_some());
        assert!(addresses(&rebinding).await.is_none());
    }

    #[tokio::test]
    async fn the_connection_goes_where_the_judgement_says() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (private, asked) = resolver(vec![vec!["127.0.0.1"]]);
        let http = client(Some(private)).unwrap();
        let refused = http.get(format!("http://db.example:{port}/")).send().await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // Nobody has knocked: a connection that was begun would be there.
        let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
        assert!(knocked.is_err());
    }
}
