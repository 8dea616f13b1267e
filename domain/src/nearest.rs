//! What somebody who misspelt a name may have meant.

/// The one of `known` that differs from `word` by a third of its letters at most.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(2);
    known
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions and replacements that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_symmetric_and_zero_for_equals() {
        let words = ["", "port", "prot", "host", "http_workers", "http_backlog"];
        for a in words {
            for b in words {
                assert_eq!(distance(a, b), distance(b, a));
                assert_eq!(distance(a, b) == 0, a == b);
            }
        }
        assert_eq!(distance("port", "prt"), 1);
    }
}
