//! PostgreSQL's notation for arrays: `{a,"b c",NULL,{…}}`.

use athena_application::ports::PortError;
use athena_domain::schema::ColumnType;

use super::Stored;

/// Reads an array; `None` when the text is none. Lower bounds other than 1 are not kept.
pub(super) fn parse(text: &str, element: &ColumnType) -> Result<Option<Vec<Stored>>, PortError> {
    let mut reader = Reader { text: text.trim(), at: 0, element };
    let elements = reader.list()?;
    Ok(elements.filter(|_| reader.at == reader.text.len()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    element: &'t ColumnType,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: char) -> bool {
        self.at = self.text.len() - self.rest().trim_start().len();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len_utf8();
        }
        found
    }

    fn list(&mut self) -> Result<Option<Vec<Stored>>, PortError> {
        let mut elements = Vec::new();
        if !self.eat('{') {
            return Ok(None);
        }
        if self.eat('}') {
            return Ok(Some(elements));
        }
        loop {
            if self.rest().trim_start().starts_with('{') {
                match self.list()? {
                    Some(inner) => elements.push(Stored::Array(inner)),
                    None => return Ok(None),
                }
            } else {
                match self.member()? {
                    Some(member) => elements.push(member),
                    None => return Ok(None),
                }
            }
            if self.eat('}') {
                return Ok(Some(elements));
            }
            if !self.eat(',') {
                return Ok(None);
            }
        }
    }

    fn member(&mut self) -> Result<Option<Stored>, PortError> {
        if !self.eat('"') {
            let end = self.rest().find([',', '}']).unwrap_or(self.rest().len());
            let word = self.rest()[..end].trim();
            self.at += end;
            if word.eq_ignore_ascii_case("null") {
                return Ok(Some(Stored::Null));
            }
            return if word.is_empty() { Ok(None) } else { Stored::parse(word, self.element).map(Some) };
        }
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((place, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += place + 1;
                    return Stored::parse(&text, self.element).map(Some);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        Ok(None)
    }
}

/// Writes an array, quoting what could be read as something else.
pub(super) fn text(elements: &[Stored]) -> String {
    let member = |value: &Stored| match value {
        Stored::Null => "NULL".to_owned(),
        Stored::Array(inner) => text(inner),
        other => quoted(other.text()),
    };
    format!("{{{}}}", elements.iter().map(member).collect::<Vec<_>>().join(","))
}

fn quoted(text: String) -> String {
    let special = |char: char| char.is_whitespace() || matches!(char, '{' | '}' | ',' | '"' | '\\');
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The elements of all dimensions.
pub(super) fn flat(elements: &[Stored]) -> Vec<&Stored> {
    let mut all = Vec::new();
    for element in elements {
        match element {
            Stored::Array(inner) => all.extend(flat(inner)),
            other => all.push(other),
        }
    }
    all
}
