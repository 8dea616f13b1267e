use super::*;
use crate::config::tests::Scratch;

#[test]
fn the_environment_wins_over_the_file() {
    let scratch = Scratch::new();
    scratch.write(".env", "\u{feff}A=file\n# note\nexport B='b b'\nC=1\nC=2\n");
    let environment = Environment::from_iter([("A", "process")]).with_dotenv(scratch.path()).expect("a file");
    assert_eq!(environment.var("A"), Some("process"));
    assert_eq!(environment.var("B"), Some("b b"));
    assert_eq!(environment.var("C"), Some("1"));
    assert_eq!(environment.var("D"), None);
}

#[test]
fn no_file_is_no_error() {
    let environment = Environment::from_iter([("A", "1")]);
    assert_eq!(environment.clone().with_dotenv(Scratch::new().path()).expect("no file"), environment);
}

#[test]
fn neither_a_broken_file_nor_debug_tells_a_value() {
    let scratch = Scratch::new();
    scratch.write(".env", "A=1\nPASSWORD hunter2\n");
    let error = Environment::default().with_dotenv(scratch.path()).expect_err("a broken line");
    let told = format!("{error} {error:?}");
    assert!(told.contains(".env") && told.contains("entry 2") && !told.contains("hunter2"), "{told}");
    let environment = Environment::from_iter([("PASSWORD", "hunter2")]);
    assert_eq!(format!("{environment:?}"), "{\"PASSWORD\"}");
}
