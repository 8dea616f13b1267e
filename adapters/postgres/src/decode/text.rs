//! The text form of every type: scalars as they are, arrays and composites taken apart by their notation.

use athena_domain::rows::{CellRef, escape_into};
use athena_domain::schema::{ColumnType, TypeKind};

use super::binary::Scratch;

/// Reads one value of a type in the database's text form (with `IntervalStyle = iso_8601`, hex bytes and
/// ISO dates, as the sessions are set up). Text that does not have its type's notation stays text.
pub(crate) fn text_cell<'a>(ty: &ColumnType, text: &'a str, scratch: &'a mut Scratch) -> CellRef<'a> {
    let big = scratch.big_numbers_as_text;
    let out = scratch.take_text();
    match &ty.base().kind {
        TypeKind::Array(_) | TypeKind::Composite(_) => {
            let start = out.len();
            if value(ty, text, big, out).is_none() {
                out.truncate(start);
                return CellRef::Text(text);
            }
            std::str::from_utf8(out).map_or(CellRef::Text(text), CellRef::Json)
        }
        _ => scalar(ty.base(), text, big, out),
    }
}

fn scalar<'a>(ty: &ColumnType, text: &'a str, big_as_text: bool, out: &'a mut Vec<u8>) -> CellRef<'a> {
    match &ty.kind {
        TypeKind::Bool => CellRef::Bool(text == "t" || text == "true"),
        TypeKind::Int(_) => match text.parse::<i64>() {
            Ok(number) if !(big_as_text && number.unsigned_abs() > 1 << 53) => CellRef::Int(number),
            _ => CellRef::Plain(text),
        },
        TypeKind::Numeric | TypeKind::Float(_) => {
            let number = text.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'-')
                && text.bytes().last().is_some_and(|b| b.is_ascii_digit());
            let as_text = big_as_text && matches!(ty.kind, TypeKind::Numeric);
            if number && !as_text { CellRef::Number(text) } else { CellRef::Plain(text) }
        }
        TypeKind::Json | TypeKind::Jsonb => CellRef::Json(text),
        TypeKind::Timestamp | TypeKind::TimestampTz => {
            iso_time(text, out);
            CellRef::Text(std::str::from_utf8(out).unwrap_or(text))
        }
        TypeKind::Other if &*ty.sql == "time with time zone" => {
            iso_time(text, out);
            CellRef::Text(std::str::from_utf8(out).unwrap_or(text))
        }
        _ => CellRef::Text(text),
    }
}

/// `2024-01-01 10:00:00.5+02` → `2024-01-01T10:00:00.5+02:00`; ` BC` and the infinities stay.
fn iso_time(text: &str, out: &mut Vec<u8>) {
    let (moment, era) = match text.strip_suffix(" BC") {
        Some(moment) => (moment, " BC"),
        None => (text, ""),
    };
    let time_start = moment.find(' ').map_or(0, |space| space + 1);
    let (date, time) = moment.split_at(time_start);
    if !date.is_empty() {
        out.extend_from_slice(date.trim_end().as_bytes());
        out.push(b'T');
    }
    out.extend_from_slice(time.as_bytes());
    if let Some(sign) = time.rfind(['+', '-'])
        && sign > 0
        && time.len() - sign == 3
    {
        out.extend_from_slice(b":00");
    }
    out.extend_from_slice(era.as_bytes());
}

/// Writes a value as JSON; `None` when the text does not have the type's notation.
fn value(ty: &ColumnType, text: &str, big: bool, out: &mut Vec<u8>) -> Option<()> {
    match &ty.base().kind {
        TypeKind::Array(element) => array(element, text, big, out),
        TypeKind::Composite(fields) => {
            let members = composite(text)?;
            if members.len() != fields.len() {
                return None;
            }
            out.push(b'{');
            for (index, (field, member)) in fields.iter().zip(members).enumerate() {
                out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
                escape_into(&field.name, out);
                out.extend_from_slice(b"\":");
                match member {
                    None => out.extend_from_slice(b"null"),
                    Some(member) => value(&field.ty, &member, big, out)?,
                }
            }
            out.push(b'}');
            Some(())
        }
        _ => {
            let mut space = Vec::new();
            super::binary::json_value(scalar(ty.base(), text, big, &mut space), out);
            Some(())
        }
    }
}

/// `{a,"b",NULL,{…}}`, with bounds before it in some cases: `[0:1]={a,b}`.
fn array(element: &ColumnType, text: &str, big: bool, out: &mut Vec<u8>) -> Option<()> {
    let text = match text.strip_prefix('[') {
        Some(bounds) => bounds.split_once("]=")?.1,
        None => text,
    };
    // `box` alone parts its array's elements with a semicolon.
    let delimiter = if &*element.sql == "box" { ';' } else { ',' };
    let mut chars = text.chars().peekable();
    let mut depth = 0_usize;
    loop {
        match chars.next()? {
            '{' => {
                depth += 1;
                out.push(b'[');
                if chars.peek() == Some(&'}') {
                    continue;
                }
                if chars.peek() != Some(&'{') {
                    member(&mut chars, element, delimiter, big, out)?;
                }
            }
            '}' => {
                depth = depth.checked_sub(1)?;
                out.push(b']');
                if depth == 0 {
                    return chars.next().is_none().then_some(());
                }
            }
            found if found == delimiter => {
                out.push(b',');
                if chars.peek() != Some(&'{') {
                    member(&mut chars, element, delimiter, big, out)?;
                }
            }
            _ => return None,
        }
    }
}

fn member(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    element: &ColumnType,
    delimiter: char,
    big: bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut text = String::new();
    let quoted = chars.next_if_eq(&'"').is_some();
    if quoted {
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(chars.next()?),
                other => text.push(other),
            }
        }
    } else {
        while let Some(other) = chars.next_if(|c| *c != delimiter && *c != '}') {
            text.push(if other == '\\' { chars.next()? } else { other });
        }
    }
    if !quoted && text.eq_ignore_ascii_case("null") {
        out.extend_from_slice(b"null");
        return Some(());
    }
    value(element, &text, big, out)
}

/// The members of `(a,"b ""c""",)`; an empty one is null, a quoted empty one is not.
fn composite(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut members = Vec::new();
    let (mut member, mut present, mut quoted) = (String::new(), false, false);
    let mut chars = inner.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => member.push('"'),
            '"' => {
                quoted = !quoted;
                present = true;
            }
            '\\' => {
                member.push(chars.next()?);
                present = true;
            }
            ',' if !quoted => {
                members.push(std::mem::take(&mut present).then(|| std::mem::take(&mut member)));
            }
            other => {
                member.push(other);
                present = true;
            }
        }
    }
    members.push(present.then_some(member));
    (!quoted).then_some(members)
}

#[cfg(test)]
mod tests;
