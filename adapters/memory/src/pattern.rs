//! `LIKE`: `%` is any text, `_` any character, a backslash makes the next one stand for itself.

enum Token {
    Any,
    One,
    Exactly(char),
}

/// A pattern; `None` when it ends with its escape character.
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    fold: bool,
}

impl Pattern {
    /// Reads a pattern; with `fold`, letters match without regard to case.
    pub(crate) fn parse(text: &str, fold: bool) -> Option<Self> {
        let text = if fold { text.to_lowercase() } else { text.to_owned() };
        let (mut tokens, mut chars) = (Vec::new(), text.chars());
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '%' => Token::Any,
                '_' => Token::One,
                '\\' => Token::Exactly(chars.next()?),
                other => Token::Exactly(other),
            });
        }
        Some(Self { tokens, fold })
    }

    /// Whether the whole text fits. Only the last `%` is ever tried again, so time is bounded by the
    /// product of both lengths.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = if self.fold { text.to_lowercase() } else { text.to_owned() }.chars().collect();
        let (mut at, mut token, mut again) = (0, 0, None);
        loop {
            let step = match self.tokens.get(token) {
                Some(Token::Any) => {
                    token += 1;
                    again = Some((token, at));
                    continue;
                }
                Some(Token::One) => at < text.len(),
                Some(Token::Exactly(char)) => text.get(at) == Some(char),
                None if at == text.len() => return true,
                None => false,
            };
            if step {
                at += 1;
                token += 1;
                continue;
            }
            match &mut again {
                Some((after, from)) if *from < text.len() => {
                    *from += 1;
                    (token, at) = (*after, *from);
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let fits = Pattern::parse(pattern, false).is_some_and(|pattern| pattern.fits(text));
            assert_eq!(fits, expected, "{text} LIKE {pattern}");
        };
        check("", "", true);
        check("%", "", true);
        check("a%b%c", "aXbYbc", true);
        check("a%b%c", "aXbYbd", false);
        check("_é", "xé", true);
        check("_", "", false);
        check(r"10\%", "10%", true);
        check(r"10\%", "10x", false);
        check(r"\", r"\", false);
        check("%%%a", &"b".repeat(1000), false);
    }
}
