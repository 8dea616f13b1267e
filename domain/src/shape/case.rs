//! Names of JavaScript callers in the spelling of databases.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// Spells a camelCase name in snake_case.
///
/// An upper-case letter becomes lower-case. It gets a leading `_` when a
/// lower-case letter or a digit stands before it, or when it ends a run of
/// capitals (`HTTPResponse` → `http_response`). A name without capitals,
/// `*` among them, is borrowed as it stands, so the rule is idempotent.
pub fn camel_to_snake(name: &str) -> Cow<'_, str> {
    if !name.chars().any(is_upper) {
        return Cow::Borrowed(name);
    }
    let mut snake = String::with_capacity(name.len() + 4);
    let mut previous = None;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        if is_upper(character) {
            let next_is_lower = characters.peek().is_some_and(|next| next.is_lowercase());
            if previous.is_some_and(|previous| starts_word(previous, next_is_lower)) {
                snake.push('_');
            }
            snake.extend(character.to_lowercase());
        } else {
            snake.push(character);
        }
        previous = Some(character);
    }
    Cow::Owned(snake)
}

/// Whether a capital after `previous` begins a new word.
fn starts_word(previous: char, next_is_lower: bool) -> bool {
    previous.is_lowercase() || previous.is_ascii_digit() || (is_upper(previous) && next_is_lower)
}

/// Whether lowering changes `character`. Mathematical capitals such as `𝐀`
/// are upper-case without a lower-case form; they are left alone, or a second
/// pass would find them again.
fn is_upper(character: char) -> bool {
    character.is_ascii_uppercase()
        || (!character.is_ascii()
            && character.is_uppercase()
            && !character.to_lowercase().eq(std::iter::once(character)))
}
