//! Through a text that is known to be JSON, one level at a time. It was checked when it came in: here only the ends of
//! values are looked for, and nothing is as deep as the values are.

/// The values inside an array or object, one after the other; in an object every name is one too.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// The values inside `text`, which is one array or object.
    pub fn inside(text: &'a str) -> Self {
        Self { text, at: 1 }
    }

    /// The way through the next value, where it is an object.
    pub fn object(&self) -> Option<Self> {
        let at = self.next_at();
        (self.text.as_bytes().get(at) == Some(&b'{')).then_some(Self { text: self.text, at: at + 1 })
    }

    /// Goes on behind a value that the other one has come to the end of.
    pub fn go_behind(&mut self, end: &Self) {
        self.at = end.at + 1;
    }

    /// Where the next value begins, or the end.
    fn next_at(&self) -> usize {
        let mut at = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.text.as_bytes().get(at) {
            at += 1;
        }
        at
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.next_at();
        self.at = start;
        if matches!(bytes.get(start)?, b']' | b'}') {
            return None;
        }
        self.at = end(bytes, start);
        self.text.get(start..self.at)
    }
}

/// Where the value ends that begins at `at`.
fn end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => end_of_string(text, at),
        Some(b'{' | b'[') => end_of_nested(text, at),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            text.get(at..)
                .and_then(|rest| rest.iter().position(ends))
                .map_or(text.len(), |length| at + length)
        }
    }
}

/// Bytes that a loop has passed before a search that takes many at once has begun. Names and most values are no longer.
const SHORT: usize = 16;

/// Whether there is a backslash.
pub(super) fn has_escapes(text: &[u8]) -> bool {
    match text.len() <= SHORT {
        true => text.contains(&b'\\'),
        false => memchr::memchr(b'\\', text).is_some(),
    }
}

fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    for byte in text.get(at..).unwrap_or_default().iter().take(SHORT) {
        match byte {
            b'"' => return at + 1,
            b'\\' => break,
            _ => at += 1,
        }
    }
    while let Some(length) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += length;
        if text[at] == b'"' {
            return at + 1;
        }
        // Whatever is escaped does not end it.
        at += 2;
    }
    text.len()
}

fn end_of_nested(text: &[u8], at: usize) -> usize {
    let (mut at, mut depth) = (at, 0_usize);
    while let Some(rest) = text.get(at..)
        && let Some(length) = rest.iter().position(|byte| NESTING[usize::from(*byte)])
    {
        at += length;
        match text[at] {
            b'"' => {
                at = end_of_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            _ => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
        }
        at += 1;
    }
    text.len()
}

/// The bytes that begin or end a string, an object or an array.
const NESTING: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_one_level_come_in_order() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(Walk::inside(text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("[]", &[]);
        check("{ \n}", &[]);
        check(r#"[1,"a" , null,-1.5e3,[ ],{}]"#, &["1", r#""a""#, "null", "-1.5e3", "[ ]", "{}"]);
        check(r#"{"a":1 ,"b" :true}"#, &[r#""a""#, "1", r#""b""#, "true"]);
        check(r#"["\"]", "\\", "\\\"}", "é,"]"#, &[r#""\"]""#, r#""\\""#, r#""\\\"}""#, r#""é,""#]);
        let long = r#"["0123456789abcde", "0123456789abcdef\"", "0123456789abcdefg" ,""]"#;
        check(long, &[r#""0123456789abcde""#, r#""0123456789abcdef\"""#, r#""0123456789abcdefg""#, r#""""#]);
        check(r#"[[["]"],{"}":"{"}],1]"#, &[r#"[["]"],{"}":"{"}]"#, "1"]);
        let deep = format!("[{}{},2]", "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, &[&deep[1..deep.len() - 3], "2"]);
    }
}
