//! What a SQLSTATE means, whichever way it came; and what of a database's words a caller may read.

use super::failure::{PortErrorKind, Reason};

/// Whose fault a SQLSTATE tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The caller's.
    Refused(Reason),
    /// Somebody else's.
    Failed(PortErrorKind),
}

/// Judges a SQLSTATE; `message` is what the database said with it, in English.
pub fn judge(code: &str, message: &str) -> Verdict {
    match code {
        "57014" => return Verdict::Failed(PortErrorKind::TimedOut),
        "53300" => return Verdict::Failed(PortErrorKind::TooManyConnections),
        "40001" | "40P01" | "55P03" => return Verdict::Failed(PortErrorKind::Conflict),
        "3D000" | "25P03" => return Verdict::Failed(PortErrorKind::Unavailable),
        _ => {}
    }
    if ["08", "57P", "28"].iter().any(|class| code.starts_with(class)) {
        return Verdict::Failed(PortErrorKind::Unavailable);
    }
    match reason(code, message) {
        Some(reason) => Verdict::Refused(reason),
        None => Verdict::Failed(PortErrorKind::Internal),
    }
}

fn reason(code: &str, message: &str) -> Option<Reason> {
    let by_code = match code {
        "23505" => Reason::Unique,
        "23P01" => Reason::Exclusion,
        "23503" | "23001" => Reason::ForeignKey,
        "23502" => Reason::NotNull,
        "23514" => Reason::Check,
        "22021" => Reason::Encoding,
        "42703" => Reason::UndefinedColumn,
        "42P01" => Reason::UndefinedTable,
        "42601" => Reason::Syntax,
        "42501" => Reason::Privilege,
        "42883" if is_text_uuid(message) => Reason::TextUuid,
        "42883" | "42804" | "42846" => Reason::TypeMismatch,
        "25006" => Reason::ReadOnly,
        "0A000" if message.contains("cached plan must not change result type") => Reason::Stale,
        "26000" => Reason::Stale,
        "0A000" => Reason::Unsupported,
        // A view that takes no writes, which waiting does not change.
        "55000" if message.contains(" view \"") => Reason::Statement,
        "2BP01" | "55006" | "55000" => Reason::InUse,
        _ => match code.get(..2)? {
            // A binary value that the parameter's type cannot read: the column has changed its type.
            "22" => Reason::BadValue,
            "42" | "3F" | "54" | "21" | "25" | "34" | "2D" | "3B" | "44" | "09" | "39" | "38" | "0B"
            | "0F" | "0L" | "0P" | "0Z" | "20" | "24" | "26" | "27" | "2B" | "2F" | "55" => Reason::Statement,
            "23" => Reason::Check,
            // What ails the server, a transaction or another server.
            "40" | "53" | "57" | "58" | "72" | "F0" | "HV" | "XX" => return None,
            // Whatever else there is, only statements and functions of the database's users raise it.
            _ => Reason::Raised,
        },
    };
    Some(by_code)
}

fn is_text_uuid(message: &str) -> bool {
    message.contains("text = uuid") || message.contains("uuid = text")
}

/// The first name in double quotes, as in `relation "name" does not exist`.
pub fn quoted_name(message: &str) -> Option<Box<str>> {
    let (_, rest) = message.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name.into())
}

/// Cuts statements out of a text that came from the database (contract 2.3). One begins where the text does, or behind a
/// colon, a quote or a parenthesis: words within a sentence (`cannot insert into view "v"`) are none.
pub fn sanitise(text: &str) -> String {
    const STATEMENTS: [(&str, &str); 4] =
        [("select ", " from "), ("insert into ", ""), ("update ", " set "), ("delete from ", "")];
    let lower = text.to_ascii_lowercase();
    let begins = |at: usize| {
        let before = lower[..at].trim_end().chars().next_back();
        before.is_none_or(|char| matches!(char, ':' | ';' | '"' | '\'' | '`' | '('))
    };
    let start = STATEMENTS
        .iter()
        .filter_map(|(first, then)| {
            // What does not follow the first one follows none of the others.
            let at = lower.match_indices(first).map(|(at, _)| at).find(|at| begins(*at))?;
            lower[at..].contains(then).then_some(at)
        })
        .min();
    let kept = match start {
        Some(at) => text[..at].trim_end_matches([' ', ':', '"', '\'', '(']),
        None => text,
    };
    if kept.is_empty() { "Database query execution failed".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_out() {
        let check = |text: &str, expected: &str| assert_eq!(sanitise(text), expected, "{text}");
        check("column \"a\" does not exist", "column \"a\" does not exist");
        check("failed: SELECT secret FROM t", "failed");
        check("INSERT INTO t VALUES (1)", "Database query execution failed");
        check("cannot update view \"v\"", "cannot update view \"v\"");
        check("bad: update t set x = 1", "bad");
        check("near \"(SELECT a FROM t)\"", "near");
        for sentence in [
            "cannot insert into view \"v\"",
            "cannot delete from ledger: period is closed",
            "Please select a shop from the list",
        ] {
            check(sentence, sentence);
        }
    }

    #[test]
    fn relations_are_named() {
        assert_eq!(quoted_name("relation \"public.x\" does not exist").as_deref(), Some("public.x"));
        assert_eq!(quoted_name("no name"), None);
    }

    #[test]
    fn states_have_an_owner() {
        let check = |code, expected| assert_eq!(judge(code, "uuid = text"), expected, "{code}");
        check("23505", Verdict::Refused(Reason::Unique));
        check("42883", Verdict::Refused(Reason::TextUuid));
        check("22P02", Verdict::Refused(Reason::BadValue));
        check("57014", Verdict::Failed(PortErrorKind::TimedOut));
        check("28P01", Verdict::Failed(PortErrorKind::Unavailable));
        check("57P01", Verdict::Failed(PortErrorKind::Unavailable));
        check("40001", Verdict::Failed(PortErrorKind::Conflict));
        check("XX000", Verdict::Failed(PortErrorKind::Internal));
        check("53100", Verdict::Failed(PortErrorKind::Internal));
        for raised in ["P0001", "ORD01", "PT409", "ZZ999", "01000"] {
            check(raised, Verdict::Refused(Reason::Raised));
        }
        check("2F003", Verdict::Refused(Reason::Statement));
        check("55000", Verdict::Refused(Reason::InUse));
        let of_view = judge("55000", "cannot insert into view \"v\"");
        assert_eq!(of_view, Verdict::Refused(Reason::Statement));
        check("", Verdict::Failed(PortErrorKind::Internal));
    }
}
