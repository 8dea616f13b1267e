//! Rows held in memory: built only when a request asks for groups.

#[cfg(test)]
mod tests;

/// One value of a row, as the JSON value that goes to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A valid JSON number with every digit the database gave.
    Number(Box<str>),
    /// The content of a string, without quotes and escapes.
    Text(Box<str>),
    /// An array or an object, as JSON text. [`RowSet::push_row`] turns a
    /// scalar given as `Json` into the variant it belongs to.
    Json(Box<str>),
}

/// Text that begins no JSON value, or a string with broken escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON value")]
pub struct NotAJsonValue;

/// A row with more or fewer cells than the set has columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row of {found} cells for {expected} columns")]
pub struct WrongWidth {
    /// Columns of the set.
    pub expected: usize,
    /// Cells of the row.
    pub found: usize,
}

/// The rows of one page: column names once, cells in one flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet {
    columns: Box<[Box<str>]>,
    cells: Vec<Cell>,
    /// Kept apart from `cells`: a row may have no columns.
    row_count: usize,
}

impl Cell {
    /// Reads one rendered JSON value. Strings are unescaped, numbers keep
    /// their text; numbers, arrays and objects are trusted to be valid, since
    /// a database rendered them.
    ///
    /// # Errors
    ///
    /// [`NotAJsonValue`] when the text begins no JSON value or its string is
    /// broken.
    pub fn parse(json: &str) -> Result<Self, NotAJsonValue> {
        let json = json.trim_matches([' ', '\t', '\n', '\r']);
        match json.as_bytes() {
            b"null" => Ok(Self::Null),
            b"true" => Ok(Self::Bool(true)),
            b"false" => Ok(Self::Bool(false)),
            [b'"', ..] => serde_json::from_str(json).map(Self::Text).map_err(|_| NotAJsonValue),
            [b'-' | b'0'..=b'9', ..] => Ok(Self::Number(json.into())),
            [b'{' | b'[', ..] => Ok(Self::Json(json.into())),
            _ => Err(NotAJsonValue),
        }
    }

    /// The same value, with a scalar told as what it is. Text that cannot be
    /// read stays as it stands.
    fn settled(self) -> Self {
        match &self {
            Self::Json(text) if !text.starts_with(['{', '[']) => Self::parse(text).unwrap_or(self),
            _ => self,
        }
    }

    /// Appends the value as JSON.
    pub fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) | Self::Json(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => {
                serde_json::to_writer(out, text).expect("a string serialises and a vector takes every byte");
            }
        }
    }
}

impl RowSet {
    /// An empty set with these columns, in the order of the answer.
    pub fn new<Name: Into<Box<str>>>(columns: impl IntoIterator<Item = Name>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), cells: Vec::new(), row_count: 0 }
    }

    /// Adds one row, its cells in column order. A json column may hold a
    /// scalar: `"a"` in it then is the string, `null` the null.
    ///
    /// # Errors
    ///
    /// [`WrongWidth`] when the row does not fit the columns; the set is then
    /// as it was before.
    pub fn push_row(&mut self, cells: impl IntoIterator<Item = Cell>) -> Result<(), WrongWidth> {
        let before = self.cells.len();
        self.cells.extend(cells.into_iter().map(Cell::settled));
        let found = self.cells.len() - before;
        if found != self.columns.len() {
            self.cells.truncate(before);
            return Err(WrongWidth { expected: self.columns.len(), found });
        }
        self.row_count += 1;
        Ok(())
    }

    /// Column names, in the order of the answer.
    pub fn columns(&self) -> &[Box<str>] {
        &self.columns
    }

    /// Place of the first column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| **column == *name)
    }

    /// The cells of row `index`, counted from 0 in fetch order.
    pub fn row(&self, index: usize) -> Option<&[Cell]> {
        let width = self.columns.len();
        (index < self.row_count).then(|| &self.cells[index * width..(index + 1) * width])
    }

    /// All rows in fetch order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Cell]> {
        let width = self.columns.len();
        (0..self.row_count).map(move |index| &self.cells[index * width..(index + 1) * width])
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.row_count
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.row_count == 0
    }
}
