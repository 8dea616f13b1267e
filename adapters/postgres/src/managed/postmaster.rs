//! One server process: starting it, finding it again, asking whether it is up, ending it.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::account::Account;
use super::binaries::Binaries;
use super::error::{ManagedError, io};
use super::layout::Layout;

/// How long recovery after a crash may take before the start counts as failed.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long an earlier server's leavings (its children, its shared memory) may bar the way.
const LEAVINGS_PATIENCE: Duration = Duration::from_secs(15);

/// How long after its gateway's death a server may still seem well.
const SETTLING: Duration = Duration::from_millis(200);

/// How often a process that is not our child is looked at.
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug)]
enum Process {
    Child(Child),
    /// One adopted from an earlier run, and the data it serves.
    Adopted(PathBuf),
}

/// Everything needed to start the server, again and again.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) layout: Layout,
    pub(super) binaries: Binaries,
    pub(super) account: Account,
    pub(super) socket_dir: PathBuf,
    pub(super) port: u16,
    pub(super) options: Vec<OsString>,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub(super) pid: Pid,
    process: Process,
    watchdog: Watchdog,
}

impl Recipe {
    /// Adopts a server that an earlier run left behind, or starts one.
    ///
    /// `abandoned` is asked now and then whether anybody still wants it.
    pub(super) fn run(&self, abandoned: &dyn Fn() -> bool) -> Result<Postmaster, ManagedError> {
        if let Some(orphan) = self.find_orphan()? {
            return Ok(orphan);
        }
        self.clear_away()?;
        let give_up = Instant::now() + LEAVINGS_PATIENCE;
        loop {
            match self.launch(abandoned) {
                Err(ManagedError::Launch { log, .. })
                    if log.contains("shared memory block") && Instant::now() < give_up =>
                {
                    // A killed server's children are still on their way out.
                    thread::sleep(POLL);
                }
                outcome => return outcome,
            }
        }
    }

    /// Looks for a server on this data; takes it over when it was started the
    /// same way and ends it when not.
    fn find_orphan(&self) -> Result<Option<Postmaster>, ManagedError> {
        let Some(found) = PidFile::read(&self.layout.data) else {
            return Ok(None);
        };
        let give_up = Instant::now() + START_PATIENCE;
        let mut answered = false;
        while serves(found.pid, &self.layout.data) {
            if !self.started_alike() {
                stop_orphan(&self.layout.data)?;
                return Ok(None);
            }
            let answers = found.socket().is_some_and(|socket| ping(&socket));
            if answers && !answered {
                // The watchdog of a gateway that died this instant may be about to stop it.
                answered = true;
                thread::sleep(SETTLING);
                continue;
            }
            if answers {
                tracing::info!(
                    pid = found.pid.as_raw_nonzero().get(),
                    "adopted a PostgreSQL left by an earlier run"
                );
                return Ok(Some(Postmaster {
                    pid: found.pid,
                    process: Process::Adopted(self.layout.data.clone()),
                    watchdog: Watchdog::set(&self.account, found.pid, &self.layout.data)?,
                }));
            }
            if Instant::now() > give_up {
                stop_orphan(&self.layout.data)?;
                return Ok(None);
            }
            // It is recovering, or an earlier watchdog is shutting it down.
            thread::sleep(POLL);
        }
        Ok(None)
    }

    /// Clears away what a dead server left behind, where it names a process
    /// that lives: the server takes that for its predecessor and refuses to
    /// start, be it another program or a zombie nobody collects. We hold the
    /// lock and know better. The rest the server sees to itself.
    fn clear_away(&self) -> Result<(), ManagedError> {
        let socket_lock = self.socket_dir.join(format!(".s.PGSQL.{}.lock", self.port));
        for path in [PidFile::path(&self.layout.data), socket_lock] {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if PidFile::parse(&text).is_some_and(|found| test_kill_process(found.pid).is_ok()) {
                fs::remove_file(&path).map_err(io("delete", &path))?;
            }
        }
        Ok(())
    }

    /// Whether the server on this data was started with our program and options.
    fn started_alike(&self) -> bool {
        let mut ours = self.binaries.program("postgres").into_os_string();
        for option in &self.options {
            ours.push(" \"");
            ours.push(option);
            ours.push("\"");
        }
        fs::read_to_string(self.layout.data.join("postmaster.opts"))
            .is_ok_and(|theirs| theirs.trim_end() == ours.to_string_lossy())
    }

    fn launch(&self, abandoned: &dyn Fn() -> bool) -> Result<Postmaster, ManagedError> {
        let (log, log_start) = self.layout.open_log()?;
        let errors = log.try_clone().map_err(io("share the log", &self.layout.log))?;
        let program = self.binaries.program("postgres");
        let mut child = self
            .account
            .command(&program)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(io("run", &program))?;
        let pid = Pid::from_child(&child);
        let fail = |reason: String| ManagedError::Launch { reason, log: self.layout.log_since(log_start) };
        let watchdog = match Watchdog::set(&self.account, pid, &self.layout.data) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let socket = self.socket_dir.join(format!(".s.PGSQL.{}", self.port));
        let give_up = Instant::now() + START_PATIENCE;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                watchdog.dismiss();
                return Err(fail(format!("it ended with {status}")));
            }
            if ping(&socket) {
                return Ok(Postmaster { pid, process: Process::Child(child), watchdog });
            }
            let late = Instant::now() > give_up;
            if late || abandoned() {
                let signal = if late { Signal::QUIT } else { Signal::INT };
                let _ = kill_process(pid, signal);
                let _ = child.wait();
                watchdog.dismiss();
                let seconds = START_PATIENCE.as_secs();
                return Err(fail(if late {
                    format!("it did not answer within {seconds} s")
                } else {
                    "it was told to stop".to_owned()
                }));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Postmaster {
    /// Waits until the process has ended; `None` where the status is not ours to see.
    pub(super) fn wait(mut self) -> Option<ExitStatus> {
        let status = match &mut self.process {
            Process::Child(child) => child.wait().ok(),
            Process::Adopted(data) => {
                while serves(self.pid, data) {
                    thread::sleep(POLL);
                }
                None
            }
        };
        self.watchdog.dismiss();
        status
    }
}

/// Ends the server when the gateway dies without a word.
///
/// A shell reads from a pipe whose other end only the gateway holds. The kernel
/// closes it however the gateway ends, and the shell then asks the server for a
/// fast shutdown. The parent-death signal of Linux was not taken: it needs
/// unsafe code between fork and exec, depends on which thread spawned the
/// server, and cannot watch over an adopted one. `initdb` needs a shell as well.
#[derive(Debug)]
struct Watchdog {
    shell: Child,
    pipe: ChildStdin,
}

const WATCH: &str = r#"read -r _ && exit 0
read -r pid < "$2" && [ "$pid" = "$1" ] && kill -INT "$1""#;

impl Watchdog {
    fn set(account: &Account, pid: Pid, data: &Path) -> Result<Self, ManagedError> {
        let program = Path::new("/bin/sh");
        let mut shell = account
            .command(program)
            .args(["-c", WATCH, "athena-watchdog"])
            .arg(pid.as_raw_nonzero().to_string())
            .arg(PidFile::path(data))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io("run", program))?;
        let pipe = shell.stdin.take().ok_or_else(|| ManagedError::Io {
            doing: "open a pipe to",
            path: program.to_path_buf(),
            source: std::io::ErrorKind::BrokenPipe.into(),
        })?;
        Ok(Self { shell, pipe })
    }

    /// Sends it home; the server is left alone.
    fn dismiss(mut self) {
        let _ = self.pipe.write_all(b"\n");
        drop(self.pipe);
        let _ = self.shell.wait();
    }
}

/// What a server writes about itself into its data directory.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: Pid,
    port: Option<u16>,
    socket_dir: Option<PathBuf>,
}

impl PidFile {
    fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(Self::path(data)).ok()?)
    }

    /// The lines are: pid, data directory, start time, port, socket directory, …
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?)?;
        let port = lines.nth(2).and_then(|port| port.trim().parse().ok());
        let socket_dir = lines.next().map(str::trim).filter(|dir| !dir.is_empty());
        Some(Self { pid, port, socket_dir: socket_dir.map(PathBuf::from) })
    }

    fn socket(&self) -> Option<PathBuf> {
        let dir = self.socket_dir.as_ref()?;
        Some(dir.join(format!(".s.PGSQL.{}", self.port?)))
    }
}

/// Stops whatever server runs on `data`, by way of its pid file.
pub(super) fn stop_orphan(data: &Path) -> Result<(), ManagedError> {
    let Some(found) = PidFile::read(data) else {
        return Ok(());
    };
    for (signal, patience) in STOP_SIGNALS {
        if !serves(found.pid, data) {
            return Ok(());
        }
        let _ = kill_process(found.pid, signal);
        let give_up = Instant::now() + patience;
        while serves(found.pid, data) && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(20));
        }
    }
    if serves(found.pid, data) {
        return Err(ManagedError::StubbornOrphan { pid: found.pid.as_raw_nonzero().get() });
    }
    Ok(())
}

/// Fast shutdown, then immediate shutdown, then none of its choosing; each with
/// the time it is given.
pub(super) const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(10)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// Whether the process is alive and is a server on this data, as far as can be
/// seen: a process id outlives its process and is given out again.
fn serves(pid: Pid, data: &Path) -> bool {
    if test_kill_process(pid).is_err() {
        return false;
    }
    let raw = pid.as_raw_nonzero();
    let command_line = if cfg!(target_os = "linux") {
        fs::read(format!("/proc/{raw}/cmdline")).ok()
    } else {
        std::process::Command::new("/bin/ps")
            .args(["-ww", "-o", "command=", "-p", &raw.to_string()])
            .output()
            .ok()
            .map(|output| output.stdout)
    };
    let data = data.as_os_str().as_encoded_bytes();
    match command_line {
        // A zombie has no command line; it serves nobody.
        Some(line) if cfg!(target_os = "linux") => line.split(|byte| *byte == 0).any(|part| part == data),
        Some(line) => line.windows(data.len()).any(|part| part == data),
        None => test_kill_process(pid).is_ok(),
    }
}

/// Sends a start-up packet; true when the server would let us in.
///
/// While it starts, recovers or stops, it answers with an error instead.
fn ping(socket: &Path) -> bool {
    const START_UP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let ask = || -> std::io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(START_UP)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        // A connection dropped half way would be a line in the log.
        stream.write_all(b"X\0\0\0\x04")?;
        std::io::copy(&mut stream, &mut std::io::sink())?;
        Ok(answer[0])
    };
    // `R` asks for no more than what `trust` asks for: nothing.
    ask().is_ok_and(|answer| answer == b'R')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_as_far_as_it_was_written() {
        let whole = "4711\n/data\n1700000000\n5433\n/data/socket\n\n  5432001   1\nready   \n";
        let found = PidFile::parse(whole).expect("a pid file");
        assert_eq!(found.pid.as_raw_nonzero().get(), 4711);
        assert_eq!(found.socket(), Some(PathBuf::from("/data/socket/.s.PGSQL.5433")));

        let begun = PidFile::parse("4711\n/data\n").expect("a pid file");
        assert_eq!(begun.socket(), None);

        for broken in ["", "\n", "x\n", "0\n", "-4711\n", "1\n"] {
            assert_eq!(PidFile::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_process_of_another_program_is_not_taken_for_the_server() {
        let own = rustix::process::getpid();
        assert!(!serves(own, Path::new("/nowhere/to/be/found/data")));
    }

    #[test]
    fn nobody_answers_on_a_missing_socket() {
        assert!(!ping(Path::new("/nonexistent/.s.PGSQL.5432")));
    }
}
