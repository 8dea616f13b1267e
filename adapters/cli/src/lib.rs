//! The command line: grammar and printed answers.
