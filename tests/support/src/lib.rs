//! Starts the real servers the tests need, on free ports, with a fresh database per test.
