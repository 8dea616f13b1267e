use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(redact(text), expected, "{text}");
}

#[test]
fn passwords_are_masked_wherever_they_stand() {
    check("postgres://u:hunter2@h:5432/db", "postgres://u:***@h:5432/db");
    check("postgres://u:hun@ter/2?x#y@h/db", "postgres://u:***@h/db");
    check("postgres://:hunter2@h/db", "postgres://:***@h/db");
    check(
        "postgres://h/db?user=u&password=hunter2&sslmode=require",
        "postgres://h/db?user=u&password=***&sslmode=require",
    );
    check("postgres://h/db?sslpassword=hunter2", "postgres://h/db?sslpassword=***");
    check("supabase+https://p.host?api_key=hunter2", "supabase+https://p.host?api_key=***");
    check("host=h password=hun&ter2 user=u", "host=h password=*** user=u");
    check("host=h password = 'hun ter2' user=u", "host=h password =***");
    check("u:hunter2@h", "u:***@h");
    check("postgres://u:${PW}@h/db", "postgres://u:***@h/db");
}

#[test]
fn what_holds_no_password_stays() {
    for text in [
        "",
        "4052",
        "postgres://u@h:5432/db",
        "postgres://h:5432/db?sslmode=require",
        "supabase+https://p.host?key_env=NAME",
        "http://localhost:3000",
    ] {
        check(text, text);
    }
}

#[test]
fn no_character_of_a_password_escapes() {
    // Every ASCII sign that may stand in a password, in each position.
    for sign in '!'..='~' {
        for password in [format!("{sign}hunter2"), format!("hun{sign}ter2"), format!("hunter2{sign}")] {
            for text in [format!("postgres://u:{password}@h/db"), format!("cql://u:{password}@h:1,i/k?c=ONE")]
            {
                let shown = redact(&text);
                for part in ["hun", "ter2", &password] {
                    assert!(!shown.contains(part), "{text} → {shown}");
                }
            }
        }
    }
}

#[test]
fn secrets_print_as_stars() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    assert_eq!(secret.expose(), "hunter2");
    let uri = ConnectionUri::parse(" Postgres://u:hunter2@h/db ").expect("a URI");
    assert_eq!(format!("{uri}"), "Postgres://u:***@h/db");
    assert!(!format!("{uri:?}").contains("hunter2"));
    assert_eq!(uri.expose(), "Postgres://u:hunter2@h/db");
    assert_eq!(uri.scheme(), "postgres");
}

#[test]
fn what_is_no_uri_is_refused_without_a_word_of_it() {
    for text in
        ["", "hunter2", "hunter2://u@h", "postgres://", "postgres://u:hunter2@h /db", "postgres:hunter2"]
    {
        let reason = ConnectionUri::parse(text).expect_err(text);
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    for scheme in SCHEMES {
        assert!(ConnectionUri::parse(&format!("{scheme}://h")).is_ok(), "{scheme}");
    }
}
