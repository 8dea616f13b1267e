//! Where the statements, words and placeholders of a text of SQL stand; what stands in quotes and comments is none.

/// What the scanner tells of a text.
enum Token {
    /// A bare word, between these places.
    Word(usize, usize),
    /// A semicolon between statements, at this place.
    Semicolon(usize),
    /// `$n`, between these places.
    Placeholder(usize, usize),
    /// Something else that belongs to a statement.
    Other,
}

/// Most steps that PostgreSQL's lexer may take through runs of operator characters: a twentieth of a second.
const MAX_STEPS: u64 = 16_000_000;

/// Whether PostgreSQL's lexer would be busy with the text for long. At every operator and at every start of a comment,
/// inside of others too, it reads on to the end of the run of operator characters, and goes back: thousands of them
/// without a blank in between cost minutes, in which no time limit and no cancelling reaches it.
pub(super) fn keeps_the_lexer_busy(text: &str) -> bool {
    scan(text, |_| {}) > MAX_STEPS
}

/// Counts the steps through runs of operator characters.
struct Runs<'t> {
    bytes: &'t [u8],
    /// Where the run ends that was met last.
    end: usize,
    steps: u64,
}

impl Runs<'_> {
    /// An operator or a comment begins here.
    fn met(&mut self, at: usize) {
        if at >= self.end {
            self.end = at + self.bytes[at..].iter().take_while(|byte| is_operator(**byte)).count();
        }
        self.steps += (self.end - at) as u64;
    }
}

/// Splits a script at its semicolons and gives the lower-case bare words of each statement: those that
/// stand outside quotes, comments and dollar quotes. Empty statements are left out.
pub(super) fn split(text: &str) -> Vec<Vec<String>> {
    let (mut statements, mut words, mut something) = (Vec::new(), Vec::new(), false);
    scan(text, |token| match token {
        Token::Semicolon(_) => {
            if std::mem::take(&mut something) {
                statements.push(std::mem::take(&mut words));
            }
        }
        Token::Word(start, end) => {
            words.push(text[start..end].to_ascii_lowercase());
            something = true;
        }
        Token::Placeholder(..) | Token::Other => something = true,
    });
    if something {
        statements.push(words);
    }
    statements
}

/// The statements of a script, each without its semicolon; pieces without a statement are left out.
pub fn statements(script: &str) -> Vec<&str> {
    let (mut found, mut start, mut something) = (Vec::new(), 0, false);
    scan(script, |token| match token {
        Token::Semicolon(at) => {
            if std::mem::take(&mut something) {
                found.push(script[start..at].trim());
            }
            start = at + 1;
        }
        Token::Word(..) | Token::Placeholder(..) | Token::Other => something = true,
    });
    if something {
        found.push(script[start..].trim());
    }
    found
}

/// Replaces every placeholder `$n` outside of quotes and comments by what `with` makes of its number.
pub fn replace_placeholders(text: &str, with: impl Fn(usize) -> String) -> String {
    let (mut out, mut copied) = (String::with_capacity(text.len() + 32), 0);
    scan(text, |token| {
        if let Token::Placeholder(start, end) = token {
            out.push_str(&text[copied..start]);
            out.push_str(&with(text[start + 1..end].parse().unwrap_or(usize::MAX)));
            copied = end;
        }
    });
    out.push_str(&text[copied..]);
    out
}

/// Reads SQL as far as quotes, comments, words and placeholders go; gives the steps of [`Runs`].
fn scan(text: &str, mut tell: impl FnMut(Token)) -> u64 {
    let bytes = text.as_bytes();
    let (mut at, mut runs) = (0, Runs { bytes, end: 0, steps: 0 });
    while at < bytes.len() {
        let rest = &text[at..];
        match bytes[at] {
            b';' => {
                tell(Token::Semicolon(at));
                at += 1;
            }
            b'-' if rest.starts_with("--") => at += rest.find(['\n', '\r']).map_or(rest.len(), |end| end + 1),
            b'/' if rest.starts_with("/*") => at = comment(bytes, at, &mut runs),
            b'\'' => {
                // `E'…'` is the only form in which a backslash hides the next byte.
                let escapes =
                    at > 0 && matches!(bytes[at - 1], b'e' | b'E') && (at == 1 || !is_word(bytes[at - 2]));
                at += quoted(rest, b'\'', escapes);
                // After a line break the same text goes on, and in it a backslash means what it meant before.
                while escapes && let Some(gap) = continuation(&text[at..]) {
                    at += gap;
                    at += quoted(&text[at..], b'\'', true);
                }
                tell(Token::Other);
            }
            b'"' => {
                at += quoted(rest, b'"', false);
                tell(Token::Other);
            }
            b'$' if at == 0 || !is_word(bytes[at - 1]) => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    tell(Token::Placeholder(at, at + 1 + digits));
                    at += 1 + digits;
                } else {
                    at += dollar_quoted(rest);
                    tell(Token::Other);
                }
            }
            byte if is_word(byte) => {
                let end = rest.bytes().position(|b| !is_word(b) && b != b'$').unwrap_or(rest.len());
                tell(Token::Word(at, at + end));
                at += end;
            }
            byte => {
                if is_operator(byte) {
                    runs.met(at);
                }
                if !byte.is_ascii_whitespace() {
                    tell(Token::Other);
                }
                at += 1;
            }
        }
        while at < bytes.len() && !text.is_char_boundary(at) {
            at += 1;
        }
    }
    runs.steps
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

/// The end of the comment that begins here; comments nest.
fn comment(bytes: &[u8], mut at: usize, runs: &mut Runs<'_>) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                runs.met(at);
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// Length of a quoted text; a doubled quote stands for itself.
fn quoted(text: &str, quote: u8, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    bytes.len()
}

/// Length of what lies between a quoted text and the quote that goes on with it: blanks and comments with at
/// least one line break.
fn continuation(text: &str) -> Option<usize> {
    let (bytes, mut at, mut broken) = (text.as_bytes(), 0, false);
    loop {
        match bytes.get(at)? {
            b'\'' => return broken.then_some(at),
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            }
            byte if byte.is_ascii_whitespace() => {
                broken |= matches!(byte, b'\n' | b'\r');
                at += 1;
            }
            _ => return None,
        }
    }
}

/// Length of `$tag$…$tag$`, or 1 when the dollar starts no quote (as in `$1`).
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[1..=end];
    let valid = tag.bytes().all(is_word) && !tag.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !valid {
        return 1;
    }
    let fence = &text[..end + 2];
    text[fence.len()..].find(fence).map_or(text.len(), |close| close + 2 * fence.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_counted_outside_of_quotes() {
        let check = |text: &str, count: usize| assert_eq!(split(text).len(), count, "{text}");
        check("select 1", 1);
        check("select 1; select 2", 2);
        check(";; select 1 ;;", 1);
        check("select ';'; -- ;\n select \";\" /* ; /* ; */ ; */", 2);
        check("select E'\\'; x' , ''';'", 1);
        check("select E'a'\n'\\'' ; commit; select '", 3);
        check("select E'a' -- b\n '\\'; commit'; select E'a' '\\'; commit; select '", 4);
        check("select 'a\\'; select 2", 2);
        check("do $$ begin; end; $$; select $x$;$$;$x$", 2);
        check("select $1; select a$1", 2);
        check("-- only a comment", 0);
        check("select é; select 'é;'", 2);
        assert_eq!(split("/* x */ COPY t FROM stdin")[0][0], "copy");
    }

    #[test]
    fn what_the_lexer_would_read_again_and_again_is_noticed() {
        let check = |text: String, expected: bool| {
            assert_eq!(keeps_the_lexer_busy(&text), expected, "{:.20} {} bytes", text, text.len());
        };
        for (unit, close) in [("/*", ""), ("/*", "*/"), ("/**/", ""), ("/***/", ""), ("+", ""), ("-+", "")] {
            let text = |count: usize| format!("select 1 {}{} x", unit.repeat(count), close.repeat(count));
            check(text(100), false);
            check(text(20_000), true);
        }
        let long = 1_000_000;
        for text in
            ["/* a */ ", "/* /* + */ */ ", "- 1 ", "-- +++/*\n", "a->'/*' ", "'/**/', ", "/*\n * b */ "]
        {
            check(text.repeat(long / text.len()), false);
        }
        check(format!("/*{}*/", "*".repeat(long)), false);
        check(format!("--{}", "-".repeat(long)), false);
        check(format!("select '{0}', $${0}$$, \"{0}\"", "/**/".repeat(long)), false);
        check(format!("/*{}*/\n", "=".repeat(100)).repeat(10_000), false);
    }

    #[test]
    fn statements_are_cut_at_their_semicolons() {
        let check = |text: &str, expected: &[&str]| assert_eq!(statements(text), expected, "{text}");
        check("", &[]);
        check("-- only; a comment", &[]);
        check("select 1", &["select 1"]);
        check(" a ;; b;\n", &["a", "b"]);
        check(
            "-- first;\ncreate table t ();\n/* ; */ do $x$ begin; end $x$; -- end;",
            &["-- first;\ncreate table t ()", "/* ; */ do $x$ begin; end $x$"],
        );
        check("select ';', \";\", E'\\';' ; select é", &["select ';', \";\", E'\\';'", "select é"]);
    }

    #[test]
    fn placeholders_are_replaced_outside_of_quotes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(replace_placeholders(text, |number| format!("<{number}>")), expected, "{text}");
        };
        check("select $1, $12 + a$1", "select <1>, <12> + a$1");
        check(
            "select '$1', \"$1\", $$ $1 $$, -- $1\n $2 /* $1 */",
            "select '$1', \"$1\", $$ $1 $$, -- $1\n <2> /* $1 */",
        );
        check("x=$1and", "x=<1>and");
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_panic(text in any::<String>()) {
            split(&text);
        }
        #[test]
        fn any_sql_like_text_is_split_without_panic(text in "[a$'\"/*;é\\\\e \n-]{0,40}") {
            split(&text);
            prop_assert_eq!(statements(&text).len(), split(&text).len());
        }
    }
}
