//! What the HTTP face does with requests and answers, over a scripted database.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod answers;
mod bodies;
mod browser;
mod compression;
mod failures;
mod fake;
mod headers;
mod heads;
mod listener;
mod listener_tls;
mod operations;
mod wire;
