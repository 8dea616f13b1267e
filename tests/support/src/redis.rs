//! A Redis for one test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Program, free_port};

const PROGRAM: Program =
    Program { name: "redis-server", given: "ATHENA_REDIS_SERVER", skip: "ATHENA_TEST_SKIP_REDIS" };

/// How long it may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running Redis that keeps nothing, on a port of its own; it goes away with this value.
pub struct Redis {
    child: Option<Child>,
    program: PathBuf,
    port: u16,
}

impl Redis {
    /// Starts one; none where the tests that need it are left out: with `ATHENA_TEST_SKIP_REDIS=1`, or because the
    /// program is neither where `ATHENA_REDIS_SERVER` says nor on the usual paths. That is said then.
    ///
    /// # Panics
    /// When the program does not start, or is missing and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut redis = Self { child: None, program: PROGRAM.find()?, port: free_port() };
        redis.resume();
        Some(redis)
    }

    /// Where it listens; the password is in it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:redis-password-marker@127.0.0.1:{}/0", self.port)
    }

    /// Ends it; what it held is gone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn resume(&mut self) {
        self.stop();
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        command.args(["--requirepass", "redis-password-marker"]).current_dir(std::env::temp_dir());
        self.child =
            Some(command.stdout(Stdio::null()).stdin(Stdio::null()).spawn().expect("start redis-server"));
        let give_up = Instant::now() + PATIENCE;
        while !self.answers() {
            assert!(Instant::now() < give_up, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs one command, as somebody else would who has the password.
    ///
    /// # Panics
    /// When Redis refuses it.
    pub fn command(&self, words: &[&str]) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("connect to Redis");
        let mut ask = |words: &[&str]| {
            let parts: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            socket.write_all(format!("*{}\r\n{parts}", words.len()).as_bytes()).expect("write to Redis");
            let mut answer = [0; 256];
            let read = socket.read(&mut answer).expect("an answer of Redis");
            assert!(read > 0 && answer[0] != b'-', "{}", String::from_utf8_lossy(&answer[..read]));
        };
        ask(&["AUTH", "redis-password-marker"]);
        ask(words);
    }

    fn answers(&self) -> bool {
        let mut answer = [0; 1];
        TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(|mut socket| {
            socket.write_all(b"PING\r\n").is_ok() && socket.read_exact(&mut answer).is_ok()
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
