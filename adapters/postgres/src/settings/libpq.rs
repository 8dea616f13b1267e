//! libpq's `options`: command-line switches of a server session, `-c name=value` among them.

/// Reads `-c name=value`, `-cname=value` and `--name=value`, as many as there are; `None` for anything else.
/// A backslash takes the next character as it is.
pub(super) fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = words(text).into_iter();
    let mut parameters = Vec::new();
    while let Some(word) = words.next() {
        let (assignment, long) = match word.strip_prefix("--") {
            Some(rest) => (rest.to_owned(), true),
            None => match word.strip_prefix("-c")? {
                "" => (words.next()?, false),
                rest => (rest.to_owned(), false),
            },
        };
        let (name, value) = assignment.split_once('=')?;
        let name = if long { name.replace('-', "_") } else { name.to_owned() };
        parameters.push((is_name(&name).then_some(name)?, value.to_owned()));
    }
    Some(parameters)
}

/// Whether a text is the name of a session parameter, `extension.name` included.
pub(super) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.split('.').all(part)
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                word.extend(characters.next());
                inside = true;
            }
            blank if blank.is_ascii_whitespace() => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => {
                word.push(other);
                inside = true;
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}
