//! How much a file of the configuration may unfold to: an alias repeats what its anchor holds, and aliases of aliases
//! turn a page of text into more than a machine has memory for.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, EventReceiver, Parser};

/// Most values that a file may unfold to: far more than any configuration has, and a few megabytes.
const MOST_VALUES: usize = 200_000;

/// Whether the file unfolds to more values than a configuration can need. What is no YAML is for the parser to tell.
pub(super) fn unfolds_without_bound(text: &str) -> bool {
    if !text.contains('*') {
        return false;
    }
    let mut count = Count::default();
    // What is counted before a fault is enough.
    drop(Parser::new_from_str(text).load(&mut count, true));
    count.all > MOST_VALUES
}

/// Counts values as if every alias were written out.
#[derive(Default)]
struct Count {
    all: usize,
    /// What anchors hold.
    anchors: HashMap<usize, usize>,
    /// Collections that have begun: their anchors, and what was counted before them.
    open: Vec<(usize, usize)>,
}

impl Count {
    fn add(&mut self, values: usize) {
        self.all = self.all.saturating_add(values);
    }
}

impl EventReceiver for Count {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Scalar(_, _, anchor, _) => {
                self.add(1);
                self.anchors.insert(anchor, 1);
            }
            Event::Alias(anchor) => self.add(self.anchors.get(&anchor).copied().unwrap_or(1)),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                self.open.push((anchor, self.all));
                self.add(1);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, before)) = self.open.pop() {
                    self.anchors.insert(anchor, self.all - before);
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_aliases_are_bounded_and_aliases_are_not() {
        let bomb = |levels: usize| {
            let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
            for level in 1..levels {
                let below = vec![format!("*a{}", level - 1); 9].join(",");
                text += &format!("a{level}: &a{level} [{below}]\n");
            }
            text
        };
        assert!(!unfolds_without_bound(&bomb(3)));
        for levels in [7, 30, 200] {
            assert!(unfolds_without_bound(&bomb(levels)), "{levels}");
        }
        assert!(!unfolds_without_bound("pool: &pool {max_connections: 3}\nother: *pool\n"));
        assert!(!unfolds_without_bound("api: {cors_allowed_origins: '*'}\n"));
    }
}
