//! Every port in memory, for use-case tests and for printing the specification.
