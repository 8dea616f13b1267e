//! The options that say how connections are encrypted, under the names that PostgreSQL's URIs have for them.

use std::path::PathBuf;

use super::InvalidUri;
use crate::tls::TlsSettings;

/// Stands for the public authorities, where a file with others could stand.
const PUBLIC: &str = "system";

/// Who may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whoever does; nothing is encrypted.
    Off,
    /// Whom the authorities know.
    Authority,
    /// Whom the authorities know under the node's address or a host that the URI names.
    Full,
}

/// The options, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    mode: Option<Mode>,
    pub roots: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

fn invalid(text: &str) -> InvalidUri {
    InvalidUri(text.to_owned())
}

impl Encryption {
    /// Takes what `tls` or `sslmode` says.
    pub(super) fn mode(&mut self, mode: Mode) -> Result<(), InvalidUri> {
        match self.mode.replace(mode) {
            Some(_) => {
                Err(invalid("the CQL URI says twice how it is encrypted; give `tls` or `sslmode`, once"))
            }
            None => Ok(()),
        }
    }

    /// What the options come to.
    pub(super) fn settings(self) -> Result<Option<TlsSettings>, InvalidUri> {
        let files = self.roots.is_some() || self.certificate.is_some() || self.key.is_some();
        let by_name = match self.mode {
            None | Some(Mode::Off) if files => {
                return Err(invalid(
                    "`sslrootcert`, `sslcert` and `sslkey` of the CQL URI need `sslmode=verify-full` or `verify-ca`",
                ));
            }
            None | Some(Mode::Off) => return Ok(None),
            Some(Mode::Authority) => false,
            Some(Mode::Full) => true,
        };
        let roots = self.roots.filter(|path| path.as_os_str() != PUBLIC);
        if !by_name && roots.is_none() {
            return Err(invalid(
                "`sslmode=verify-ca` of the CQL URI needs `sslrootcert` with the authorities of the database: the public \
                 ones sign for everybody",
            ));
        }
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(invalid("`sslcert` and `sslkey` of the CQL URI go together")),
        };
        Ok(Some(TlsSettings { by_name, roots, identity }))
    }
}
