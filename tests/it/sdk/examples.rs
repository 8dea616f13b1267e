//! The programs in `examples/`, each run against the demo.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::child::{Process, athena, output};

/// Where the demo keeps its data, until the test is over.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The names of the examples, built as this test was; the programs stand beside it.
fn built() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--examples"])
        .args(if cfg!(debug_assertions) { &[][..] } else { &["--release"] })
        .current_dir(root)
        .status();
    assert!(status.expect("cargo").success(), "the examples are built");
    let test = std::env::current_exe().expect("this program");
    let programs = test.ancestors().nth(2).expect("a directory").join("examples");
    let sources = std::fs::read_dir(root.join("examples")).expect("examples");
    let names = sources.map(|entry| entry.expect("an entry").path());
    let names = names.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    names.map(name).map(|name| (name.clone(), programs.join(name))).collect()
}

#[test]
fn every_example_runs_against_the_demo() {
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
    let examples = built();
    assert!(!examples.is_empty());
    for (name, program) in examples {
        // Twice: an example leaves nothing behind that it would stumble over.
        for _ in 0..2 {
            let (succeeded, out, err) = output(Command::new(&program).env("ATHENA_URL", &address));
            assert!(succeeded, "{name}: {out}\n{err}");
            assert!(!out.is_empty() && !out.contains("unexpected"), "{name}: {out}");
        }
    }
}
