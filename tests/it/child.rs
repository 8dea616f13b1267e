//! The binary as a process. Every line that it writes, on either of its outputs, goes to the witness, which knows the
//! secrets of the suite; when the process is let go of, none of them may have turned up.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::witness;

/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// The gateway's program, without anything of this process's environment but where PostgreSQL is.
pub fn athena() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_athena_rs"));
    command.env_clear().current_dir(std::env::temp_dir());
    command
}

/// What a process has written so far.
#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, usize)>,
    more: Condvar,
}

/// A running process; dropped, it is killed, unless it has ended by then.
pub struct Process {
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command and listens to it.
    pub fn start(command: &mut Command) -> Self {
        witness::listen();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
        let said = Arc::new(Said::default());
        said.lines.lock().unwrap_or_else(PoisonError::into_inner).1 = 2;
        let out = child.stdout.take().expect("standard output");
        let err = child.stderr.take().expect("standard error");
        let readers = vec![listen(out, said.clone()), listen(err, said.clone())];
        Self { child, said, readers }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has written a line with this text.
    pub fn line(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut state = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = state.0.iter().find(|line| line.contains(text)) {
                return found.clone();
            }
            assert!(state.1 > 0, "the process ended without {text:?}: {:#?}", state.0);
            assert!(Instant::now() < until, "no line with {text:?}: {:#?}", state.0);
            let waited = self.said.more.wait_timeout(state, Duration::from_secs(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The status it ended with, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // The pipes end with the process, so that what it said last is heard as well.
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        if !std::thread::panicking() {
            witness::check("");
        }
    }
}

/// Runs a command to its end: whether it succeeded, and its two outputs.
pub fn output(command: &mut Command) -> (bool, String, String) {
    witness::listen();
    let out = command.output().expect("a process");
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("text");
        text.lines().for_each(|line| witness::hear(line.to_owned()));
        text
    };
    let outputs = (out.status.success(), text(out.stdout), text(out.stderr));
    witness::check("");
    outputs
}

fn listen(pipe: impl Read + Send + 'static, said: Arc<Said>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            witness::hear(line.clone());
            said.lines.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
            said.more.notify_all();
        }
        said.lines.lock().unwrap_or_else(PoisonError::into_inner).1 -= 1;
        said.more.notify_all();
    })
}

#[test]
fn a_secret_that_a_process_writes_is_noticed() {
    for output in [">&1", ">&2"] {
        let mark = format!("marker-of-a-child-{}", output.len() + output.as_bytes()[2] as usize);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("echo 'password={mark}' {output}; echo done {output}"));
        let process = Process::start(&mut command);
        assert_eq!(process.line("done"), "done");
        drop(process);
        assert_eq!(witness::lines(&mark), [format!("password={mark}")]);
        // Guarded only now, in a witness of its own: the suite's is not to fail.
        assert!(witness::would_leak(&mark));
    }
}
