//! JSON text without null members, and JSON text on one line.
//!
//! Everything works on the text itself: a value tree would round numbers,
//! merge duplicate keys and re-escape strings.

use memchr::{memchr2, memchr2_iter, memmem};

#[cfg(test)]
mod tests;

/// Appends `text` to `out` without the object members whose value is null.
///
/// Objects are searched at any depth, also inside arrays. An array keeps its
/// null elements: removing one would shift the others. Whatever stays keeps
/// its exact text: digits, escapes, duplicate keys, order and white space.
///
/// `text` is one valid JSON text. Runs in linear time without recursion; one
/// byte is kept per open bracket. Text that is not JSON gives unspecified
/// bytes, never a panic.
pub fn strip_json(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    if memmem::find(bytes, b"null").is_none() {
        out.extend_from_slice(bytes);
        return;
    }
    // For each open bracket, whether it is a brace.
    let mut open: Vec<bool> = Vec::new();
    // Text before `copied` is dealt with.
    let mut copied = 0;
    // Where the member being read begins: at its leading comma, or right after
    // the brace while no member of this object was kept. `copied <= member`.
    let mut member = 0;
    let mut leading = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' => {
                open.push(true);
                (member, leading) = (at + 1, true);
            }
            b'[' => open.push(false),
            b'}' | b']' => {
                open.pop();
            }
            // Only a kept member reaches its trailing comma here.
            b',' if open.last() == Some(&true) => (member, leading) = (at, false),
            // Outside strings, `n` begins nothing but `null`.
            b'n' => {
                let end = (at + 4).min(bytes.len());
                if open.last() == Some(&true) {
                    out.extend_from_slice(&bytes[copied..member]);
                    copied = if leading { after_comma(bytes, end) } else { end };
                    member = copied;
                    at = copied;
                } else {
                    at = end;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Appends `text` to `out` on one line: each raw line break becomes a space.
///
/// In valid JSON a raw line break stands between tokens only, so the value
/// stays the same and fits one line of NDJSON.
pub fn compact_lines(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    let mut copied = 0;
    for line_break in memchr2_iter(b'\n', b'\r', bytes) {
        out.extend_from_slice(&bytes[copied..line_break]);
        out.push(b' ');
        copied = line_break + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// `text`, one valid JSON text, without white space between its tokens.
pub(super) fn without_spaces(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut compact = String::with_capacity(text.len());
    // Quotes and white space are ASCII, so every cut is a character boundary.
    let mut copied = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' {
            at = string_end(bytes, at);
            continue;
        }
        if is_space(byte) {
            compact.push_str(&text[copied..at]);
            copied = at + 1;
        }
        at += 1;
    }
    compact.push_str(&text[copied..]);
    compact
}

/// The place after the string whose opening quote stands at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The place after the comma that follows `at`, or the next token's place.
fn after_comma(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    if bytes.get(at) == Some(&b',') { at + 1 } else { at }
}

/// White space of RFC 8259, section 2.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
