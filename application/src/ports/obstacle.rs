//! What stands between the gateway and a database, as a class: no name of a host, a user or a database is in it, so
//! that it may be told to callers.

use std::error::Error;
use std::io::ErrorKind;

/// Why a database cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Obstacle {
    /// Nobody listens at the address.
    Refused = 1,
    /// The host's name has no address.
    UnknownHost,
    /// There is no way to the address.
    Unreachable,
    /// The database does not let the user in.
    Authentication,
    /// The two do not agree on encryption, or the certificate is not trusted.
    Tls,
    /// The server has no such database or keyspace.
    UnknownDatabase,
    /// The server is there and takes nobody at present.
    NotAccepting,
    /// The server has as many connections as it takes.
    TooManyConnections,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Lost,
    /// Fewer of the data's replicas are up than have to agree.
    TooFewReplicas,
    /// None of the nodes that may be asked is known to be up.
    NoNode,
}

impl Obstacle {
    const ALL: [Self; 12] = [
        Self::Refused,
        Self::UnknownHost,
        Self::Unreachable,
        Self::Authentication,
        Self::Tls,
        Self::UnknownDatabase,
        Self::NotAccepting,
        Self::TooManyConnections,
        Self::Timeout,
        Self::Lost,
        Self::TooFewReplicas,
        Self::NoNode,
    ];

    /// The word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::UnknownHost => "unknown_host",
            Self::Unreachable => "host_unreachable",
            Self::Authentication => "authentication_failed",
            Self::Tls => "tls_failed",
            Self::UnknownDatabase => "unknown_database",
            Self::NotAccepting => "not_accepting_connections",
            Self::TooManyConnections => "too_many_connections",
            Self::Timeout => "timeout",
            Self::Lost => "connection_lost",
            Self::TooFewReplicas => "too_few_replicas",
            Self::NoNode => "no_node",
        }
    }

    /// The words for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Refused => "nobody listens at its address",
            Self::UnknownHost => "its host's name has no address",
            Self::Unreachable => "there is no way to its host",
            Self::Authentication => "it does not accept the user or the password",
            Self::Tls => "encryption failed, or its certificate is not trusted",
            Self::UnknownDatabase => "its server has no such database",
            Self::NotAccepting => "it takes no connections at present",
            Self::TooManyConnections => "it takes no further connections",
            Self::Timeout => "it did not answer in time",
            Self::Lost => "the connection broke",
            Self::TooFewReplicas => "fewer replicas are up than have to agree",
            Self::NoNode => "no node is known to be up, or none in the datacenter of its URI",
        }
    }

    /// The one that [`Obstacle::code`] stands for.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|obstacle| obstacle.code() == code)
    }

    /// A number from 1, to be kept in an atomic.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What a SQLSTATE tells of.
    pub fn of_sql_state(code: &str) -> Option<Self> {
        match code {
            "3D000" => Some(Self::UnknownDatabase),
            "53300" => Some(Self::TooManyConnections),
            // At a connect the latter says that the database does not allow any.
            "57P03" | "55000" => Some(Self::NotAccepting),
            _ if code.starts_with("28") => Some(Self::Authentication),
            _ if code.starts_with("08") || code.starts_with("57P") || code == "25P03" => Some(Self::Lost),
            _ => None,
        }
    }

    /// What an error of the network tells of, or one that it is the source of.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(network) = error.downcast_ref::<std::io::Error>() {
                return Self::of_io(network);
            }
            // What looks names up has no kind of its own for this, in whichever library.
            let said = error.to_string();
            if said.starts_with("dns error") || said.starts_with(NO_ADDRESS) {
                return Some(Self::UnknownHost);
            }
            next = error.source();
        }
        None
    }

    /// What an error of the network tells of.
    pub fn of_io(error: &std::io::Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Some(Self::Refused),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Some(Self::Unreachable)
            }
            ErrorKind::TimedOut => Some(Self::Timeout),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::NotConnected => Some(Self::Lost),
            // What encrypts wraps its complaints in this.
            ErrorKind::InvalidData => Some(Self::Tls),
            _ => error.to_string().starts_with(NO_ADDRESS).then_some(Self::UnknownHost),
        }
    }
}

/// How the standard library begins what it says of a name without an address.
const NO_ADDRESS: &str = "failed to lookup address information";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_word_stands_for_one() {
        let mut words: Vec<_> = Obstacle::ALL.map(Obstacle::as_str).into();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Obstacle::ALL.len());
        for obstacle in Obstacle::ALL {
            assert_eq!(Obstacle::of_code(obstacle.code()), Some(obstacle));
        }
        assert_eq!(Obstacle::of_code(0), None);
    }

    #[test]
    fn errors_of_the_network_are_told_apart() {
        let of = |kind: ErrorKind| Obstacle::of(&std::io::Error::from(kind));
        assert_eq!(of(ErrorKind::ConnectionRefused), Some(Obstacle::Refused));
        assert_eq!(of(ErrorKind::TimedOut), Some(Obstacle::Timeout));
        assert_eq!(of(ErrorKind::ConnectionReset), Some(Obstacle::Lost));
        assert_eq!(of(ErrorKind::OutOfMemory), None);
        let unknown = std::net::ToSocketAddrs::to_socket_addrs("no-such-host.invalid:1");
        assert_eq!(Obstacle::of(&unknown.expect_err("no address")), Some(Obstacle::UnknownHost));
        assert_eq!(Obstacle::of_sql_state("28P01"), Some(Obstacle::Authentication));
        assert_eq!(Obstacle::of_sql_state("3D000"), Some(Obstacle::UnknownDatabase));
        assert_eq!(Obstacle::of_sql_state("23505"), None);
    }
}
