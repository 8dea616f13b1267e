use std::borrow::Cow;

use super::camel_to_snake;

#[track_caller]
fn check(name: &str, expected: &str) {
    assert_eq!(camel_to_snake(name), expected, "{name}");
}

#[test]
fn capitals_begin_words() {
    check("userId", "user_id");
    check("CreatedAt", "created_at");
    check("HTTPResponse", "http_response");
    check("parseHTTPResponse", "parse_http_response");
    check("userID", "user_id");
    check("ID", "id");
    check("A", "a");
    check("aB", "a_b");
    check("ABc", "a_bc");
}

#[test]
fn digits_end_words() {
    check("address2Line", "address2_line");
    check("v2", "v2");
    check("V2", "v2");
    check("sha256Sum", "sha256_sum");
    check("A1B", "a1_b");
}

#[test]
fn underscores_and_signs_are_no_letters() {
    check("user_Id", "user_id");
    check("_Id", "_id");
    check("Created_At", "created_at");
    check("users.userId", "users.user_id");
    check("data->userName", "data->user_name");
}

#[test]
fn letters_beyond_ascii_follow_the_same_rule() {
    check("straßeName", "straße_name");
    check("größeÄnderung", "größe_änderung");
    check("ΑΒγ", "α_βγ");
    check("a𝐀", "a𝐀");
}

#[test]
fn a_name_without_capitals_is_borrowed() {
    for name in ["", "*", "id", "user_id", "größe", "数"] {
        assert!(matches!(camel_to_snake(name), Cow::Borrowed(same) if same == name), "{name}");
    }
}
