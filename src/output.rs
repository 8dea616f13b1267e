//! What commands say on standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// Writes `text`. Whoever has read enough of it and gone (`athena_rs openapi | head`) is no failure.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Writes the answer of a command; how the process ends.
pub fn answer(text: &str) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("the answer cannot be written: {error}")),
    }
}

/// Says why a command failed; how the process ends. Nobody may be there to read it.
pub fn failed(reason: &str) -> ExitCode {
    drop(writeln!(io::stderr(), "athena_rs: {reason}"));
    ExitCode::FAILURE
}
