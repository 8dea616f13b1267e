//! Entries as bytes: their texts one behind the other, and beside them how long each is, and the numbers.
//!
//! An entry is written once and read once, a busy gateway does both for every request, and nobody else reads it. So
//! there is no form but the order in which [`crate::entry`] writes and reads the fields.

use std::borrow::Cow;

use athena_application::ports::Text;

/// Longest text that is kept, in bytes. A failure may quote what the caller sent, whatever its size.
pub const MAX_TEXT_BYTES: usize = 2048;

/// Stands for the length of a text that is not there.
const ABSENT: u32 = u32::MAX;

/// The beginning of the text, without NUL characters, which a database cannot hold.
pub fn kept(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    if text.as_bytes().contains(&0) { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// Fields that were written, in their order.
#[derive(Debug, Default)]
pub struct Record {
    /// UTF-8.
    texts: Vec<u8>,
    /// Lengths of the texts, flags, and the halves of numbers.
    words: Vec<u32>,
}

/// How much a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    texts: usize,
    words: usize,
}

impl Extent {
    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        self.texts + self.words * size_of::<u32>()
    }
}

impl Record {
    /// Adds a text, as far as it is kept.
    pub fn text(&mut self, text: &str) {
        self.made(|texts| texts.extend_from_slice(kept(text).as_bytes()));
    }

    /// Adds a text that is known to have [`MAX_TEXT_BYTES`] at most and no NUL: one of ours, or what was cut out of a
    /// request's head.
    pub fn plain(&mut self, text: &str) {
        debug_assert!(text.len() <= MAX_TEXT_BYTES && !text.contains('\0'));
        self.made(|texts| texts.extend_from_slice(text.as_bytes()));
    }

    /// Adds such a text that may be missing.
    pub fn optional_plain(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.plain(text),
            None => self.words.push(ABSENT),
        }
    }

    /// Adds a text that may be missing.
    pub fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.words.push(ABSENT),
        }
    }

    /// Adds what `make` appends, which must be UTF-8.
    pub fn made(&mut self, make: impl FnOnce(&mut Vec<u8>)) {
        let before = self.texts.len();
        make(&mut self.texts);
        // A text of 4 GiB would not have come this far: what waits is bounded long before.
        self.words.push(u32::try_from(self.texts.len() - before).unwrap_or(ABSENT));
    }

    /// Adds a number.
    pub fn long(&mut self, number: i64) {
        let number = number.cast_unsigned();
        self.words.extend([(number >> 32) as u32, (number & u64::from(u32::MAX)) as u32]);
    }

    /// Adds four flags.
    pub fn flags(&mut self, flags: &[bool; 4]) {
        self.words.push(flags.iter().fold(0, |word, flag| word << 1 | u32::from(*flag)));
    }

    /// Adds what another one holds.
    pub fn append(&mut self, other: &Record) {
        self.texts.extend_from_slice(&other.texts);
        self.words.extend_from_slice(&other.words);
    }

    /// How much it holds.
    pub fn extent(&self) -> Extent {
        Extent { texts: self.texts.len(), words: self.words.len() }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.words.clear();
    }

    /// Reads what stands behind `start`.
    pub fn read_from(&self, start: Extent) -> Reader<'_> {
        let texts = std::str::from_utf8(&self.texts[start.texts..]);
        Reader { texts: texts.expect("only text is written"), words: &self.words[start.words..] }
    }
}

/// Reads the fields of records, in the order in which they were written.
#[derive(Debug)]
pub struct Reader<'a> {
    texts: &'a str,
    words: &'a [u32],
}

impl<'a> Reader<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.words.split_first()?;
        self.words = rest;
        Some(*word)
    }

    fn cut(&mut self, length: u32) -> Option<Text<'a>> {
        let (text, rest) = self.texts.split_at_checked(length as usize)?;
        self.texts = rest;
        Some(Text::from(text))
    }

    /// A text.
    pub fn text(&mut self) -> Option<Text<'a>> {
        let length = self.word()?;
        self.cut(length)
    }

    /// A text that may be missing.
    #[expect(clippy::option_option, reason = "what was written may be that there is none")]
    pub fn optional(&mut self) -> Option<Option<Text<'a>>> {
        match self.word()? {
            ABSENT => Some(None),
            length => self.cut(length).map(Some),
        }
    }

    /// A number.
    pub fn long(&mut self) -> Option<i64> {
        let (high, low) = (self.word()?, self.word()?);
        Some((u64::from(high) << 32 | u64::from(low)).cast_signed())
    }

    /// Four flags.
    pub fn flags(&mut self) -> Option<[bool; 4]> {
        let word = self.word()?;
        Some([8, 4, 2, 1].map(|bit| word & bit != 0))
    }
}
