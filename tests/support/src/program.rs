//! Programs of servers that the system's packages bring, and ports for them.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;

/// A server that some tests start, and others need not have.
pub(crate) struct Program {
    /// Its file.
    pub name: &'static str,
    /// The variable that says where it is.
    pub given: &'static str,
    /// The variable that, set to 1, leaves its tests out.
    pub skip: &'static str,
}

/// What becomes of the tests that need a program.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Run(PathBuf),
    LeaveOut,
    Fail,
}

impl Program {
    /// The program; none where its tests are to be left out, which is said past the capture of a test's output.
    ///
    /// # Panics
    /// When it is missing where every test has to run: with the variable `CI`.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let Self { name, given, skip } = self;
        let set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let skipped = std::env::var_os(skip).is_some_and(|value| value == "1");
        match decide(self.on_disk(), skipped, set("CI")) {
            Verdict::Run(program) => return Some(program),
            Verdict::LeaveOut if skipped => say(&format!("LEFT OUT: what needs {name} ({skip}=1)")),
            Verdict::LeaveOut => say(&format!(
                "LEFT OUT: {name} is missing; scripts/ensure-test-server.sh installs it, {given} says where it is"
            )),
            Verdict::Fail => panic!("{name} is missing, and CI is set; {skip}=1 leaves out what needs it"),
        }
        None
    }

    fn on_disk(&self) -> Option<PathBuf> {
        let given = std::env::var_os(self.given).filter(|path| !path.is_empty()).map(PathBuf::from);
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&on_path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        given.into_iter().chain(places.map(|dir| dir.join(self.name))).find(|path| path.is_file())
    }
}

fn decide(found: Option<PathBuf>, skipped: bool, in_ci: bool) -> Verdict {
    match found {
        _ if skipped => Verdict::LeaveOut,
        Some(program) => Verdict::Run(program),
        None if in_ci => Verdict::Fail,
        None => Verdict::LeaveOut,
    }
}

/// Says something even though the test that says it passes: only the print macros are captured.
fn say(text: &str) {
    // Nobody hears it then.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out_in_ci_unless_it_is_asked_for() {
        let there = || Some(PathBuf::from("/bin/server"));
        for in_ci in [false, true] {
            assert_eq!(decide(there(), false, in_ci), Verdict::Run("/bin/server".into()));
            assert_eq!(decide(there(), true, in_ci), Verdict::LeaveOut);
            assert_eq!(decide(None, true, in_ci), Verdict::LeaveOut);
        }
        assert_eq!(decide(None, false, false), Verdict::LeaveOut);
        assert_eq!(decide(None, false, true), Verdict::Fail);
    }
}
