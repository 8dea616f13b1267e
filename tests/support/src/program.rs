//! Programs of servers that the system's packages bring, and ports for them.

use std::net::TcpListener;
use std::path::PathBuf;

/// A program: where `variable` says, else on the usual paths.
pub(crate) fn find(variable: &str, program: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&on_path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    given.into_iter().chain(places.map(|dir| dir.join(program))).find(|path| path.is_file())
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
