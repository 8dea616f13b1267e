//! `${NAME}` and `${NAME:-default}` inside values.
//!
//! `$${` stands for a literal `${`. What a variable holds is taken as it is and never expanded again. The configuration
//! and the client catalog go by the same rules; the variables are an argument.

use std::fmt;

/// Why a value cannot be expanded. Holds the name of a variable at most, never a part of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandError {
    /// The variable does not exist and the reference gives no default.
    Unset(String),
    /// A reference that is not closed.
    Unclosed,
    /// A reference whose name is no name of a variable.
    Name,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "environment variable {name} is not set"),
            Self::Unclosed => f.write_str(
                "a reference to an environment variable is not closed; write ${NAME}, or $${ for a literal ${",
            ),
            Self::Name => f.write_str(
                "a reference to an environment variable has no proper name; write ${NAME} or ${NAME:-default} \
                 with letters, digits and _, or $${ for a literal ${",
            ),
        }
    }
}

/// Replaces every reference in `template`; `variable` is what a variable holds, an empty text when it is set and empty.
///
/// # Errors
///
/// [`ExpandError`] at the first reference that cannot be replaced.
pub fn expand(template: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.push_str(before);
        let inside = &reference[2..];
        let end = closing_brace(inside).ok_or(ExpandError::Unclosed)?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        if !is_name(name) {
            return Err(ExpandError::Name);
        }
        match (variable(name), default) {
            (Some(value), None) => expanded.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
            (_, Some(default)) => expanded.push_str(&expand(default, variable)?),
            (None, None) => return Err(ExpandError::Unset(name.to_owned())),
        }
        rest = &inside[end..][1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// A template that expands to `text` whatever it holds.
pub fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// `NAME` when the whole of `template` is `${NAME}`.
pub fn sole_variable(template: &str) -> Option<&str> {
    let name = template.trim().strip_prefix("${")?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

/// Whether the whole of `template` is one reference, with a default or without.
pub fn is_sole_reference(template: &str) -> bool {
    let Some(inside) = template.strip_prefix("${") else { return false };
    closing_brace(inside).is_some_and(|end| end + 1 == inside.len())
}

/// `template` with every default left out: a default may be a secret.
pub fn without_defaults(template: &str) -> String {
    let mut shown = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        shown.push_str(&rest[..at + 2]);
        rest = &rest[at + 2..];
        // What stands behind a reference that is never closed may be anything.
        let Some(end) = closing_brace(rest) else { return shown + "…" };
        match rest[..end].split_once(":-") {
            Some((name, _)) => shown.push_str(&format!("{name}:-…")),
            None => shown.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// Where the brace closes that was opened just before `text`; references inside are skipped.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
