//! The programs in `examples/`, each run against the demo. They are part of this program, which runs itself once more
//! for each: to build them alone would build everything they need a second time.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::child::{Process, athena, output};

#[path = "../../../examples/demo.rs"]
mod demo;

/// What an example runs.
type Program = fn() -> Result<(), athena_rs::AthenaError>;

/// The programs by name.
const PROGRAMS: [(&str, Program); 1] = [("demo", demo::main)];

/// Names the program that this one is to be.
const PROGRAM: &str = "ATHENA_TEST_EXAMPLE";

/// Where the demo keeps its data, until the test is over.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
#[ignore = "a program of its own, which the test below starts"]
fn a_program() {
    let wanted = std::env::var(PROGRAM).expect("the name of a program");
    let (_, main) = PROGRAMS.iter().find(|(name, _)| *name == wanted).expect("a program");
    main().expect("the program succeeds");
}

#[test]
fn every_example_runs_against_the_demo() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = std::fs::read_dir(examples).expect("examples").map(|entry| entry.expect("an entry").path());
    for path in names {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(PROGRAMS.iter().any(|(known, _)| *known == name), "{name} is not run");
    }
    let directory = Directory(PathBuf::from(format!("/tmp/athena-it-examples-{}", std::process::id())));
    std::fs::create_dir_all(&directory.0).expect("a directory");
    let mut demo = athena();
    demo.args(["server", "--port", "0", "--demo", "--demo-dir"]).arg(&directory.0);
    demo.env("ATHENA_LOGGING__FORMAT", "json");
    demo.envs(std::env::var_os("ATHENA_PG_BIN").iter().map(|bin| ("ATHENA_PG_BIN", bin)));
    let demo = Process::start(&mut demo);
    let event: Value = serde_json::from_str(&demo.line("athena is listening")).expect("an event");
    let address = format!("http://{}", event["address"].as_str().expect("an address"));
    demo.line("Athena is ready");
    for (name, _) in PROGRAMS {
        // Twice: an example leaves nothing behind that it would stumble over.
        for _ in 0..2 {
            let mut program = Command::new(std::env::current_exe().expect("this program"));
            program.args(["--exact", "sdk::examples::a_program", "--ignored", "--nocapture"]);
            let (succeeded, out, err) = output(program.env("ATHENA_URL", &address).env(PROGRAM, name));
            assert!(succeeded, "{name}: {out}\n{err}");
            assert!(out.contains("1 passed") && !out.contains("unexpected"), "{name}: {out}");
        }
    }
}
