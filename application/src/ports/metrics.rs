//! Numbers about the gateway, for whoever comes to read them.

/// Numbers in a text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What the text is.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

/// Gives numbers about the gateway.
///
/// - MUST NOT wait for anything: it is asked every few seconds.
pub trait MetricsSource: Send + Sync + 'static {
    /// The numbers of this moment.
    fn render(&self) -> Rendered;
}
