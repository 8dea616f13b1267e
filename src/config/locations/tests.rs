use super::*;
use crate::config::tests::Scratch;

fn home() -> Environment {
    Environment::from_iter([
        ("APPDATA", "/w/roaming"),
        ("LOCALAPPDATA", "/w/local"),
        ("USERPROFILE", "/w/user"),
        ("XDG_CONFIG_HOME", "/xdg"),
        ("HOME", "/home/u"),
    ])
}

#[track_caller]
fn check(environment: &Environment, platform: Platform, expected: &[&str]) {
    let files = candidates(environment, platform, Path::new("/cwd"));
    let expected: Vec<_> = expected.iter().map(|place| Path::new(place).join(FILE_NAME)).collect();
    assert_eq!(files, expected);
}

#[test]
fn places_come_in_their_order() {
    check(&home(), Platform::Other, &["/xdg/athena", "/home/u/.config/athena", "/home/u/.athena", "/cwd"]);
    check(
        &home(),
        Platform::MacOs,
        &[
            "/xdg/athena",
            "/home/u/.config/athena",
            "/home/u/.athena",
            "/home/u/Library/Application Support/athena",
            "/cwd",
        ],
    );
    check(
        &home(),
        Platform::Windows,
        &[
            "/w/roaming/athena",
            "/w/local/athena",
            "/w/user/.athena",
            "/xdg/athena",
            "/home/u/.config/athena",
            "/home/u/.athena",
            "/cwd",
        ],
    );
}

#[test]
fn places_without_a_variable_and_repetitions_are_left_out() {
    check(&Environment::default(), Platform::Windows, &["/cwd"]);
    let same = Environment::from_iter([("XDG_CONFIG_HOME", "/h/.config/"), ("HOME", "/h"), ("APPDATA", " ")]);
    check(&same, Platform::Other, &["/h/.config/athena", "/h/.athena", "/cwd"]);
}

#[test]
fn the_first_file_wins() {
    let scratch = Scratch::new();
    let files = ["a", "b", "c"].map(|place| scratch.path().join(place).join(FILE_NAME));
    scratch.write("b/config.yaml", "b");
    scratch.write("c/config.yaml", "c");
    let mut inspected = Vec::new();
    let found = search(&files, "default", &mut inspected).expect("a file");
    assert_eq!(found, Found::File { path: files[1].clone(), text: "b".to_owned(), seeded: false });
    let outcomes: Vec<_> = inspected.iter().map(|place| place.outcome.as_str()).collect();
    assert_eq!(outcomes, ["not found", "found"]);
    assert!(!files[0].exists());
}

#[test]
fn the_default_goes_to_the_first_place_that_can_be_written() {
    let scratch = Scratch::new();
    // A file where a directory would have to be cannot be written below, not even by root.
    scratch.write("blocked", "");
    let files = ["blocked/deep", "b/deep", "c"].map(|place| scratch.path().join(place).join(FILE_NAME));
    let mut inspected = Vec::new();
    let found = search(&files, "default", &mut inspected).expect("a place");
    assert_eq!(found, Found::File { path: files[1].clone(), text: "default".to_owned(), seeded: true });
    assert_eq!(std::fs::read_to_string(&files[1]).expect("the file"), "default");
    assert!(inspected[0].outcome.contains("cannot be written"), "{inspected:?}");
    assert_eq!(inspected[1].outcome, "not found, default written");
    assert_eq!(std::fs::read_dir(files[1].parent().expect("a directory")).expect("readable").count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(files[1].metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    }
    let again = search(&files, "default", &mut Vec::new()).expect("the file");
    assert!(matches!(again, Found::File { seeded: false, .. }));
}

#[test]
fn no_place_at_all() {
    let scratch = Scratch::new();
    scratch.write("blocked", "");
    let mut inspected = Vec::new();
    let found = search(&[scratch.path().join("blocked").join(FILE_NAME)], "default", &mut inspected);
    assert_eq!(found.expect("no error"), Found::Nothing);
    assert_eq!(inspected.len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_not_passed_over() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path().join("a").join(FILE_NAME)).expect("a directory");
    scratch.write("b/config.yaml", "b");
    let files = ["a", "b"].map(|place| scratch.path().join(place).join(FILE_NAME));
    let error = search(&files, "default", &mut Vec::new()).expect_err("a directory is no file");
    assert!(matches!(error, ConfigErrorKind::Unreadable { path, .. } if path == files[0]));
}
