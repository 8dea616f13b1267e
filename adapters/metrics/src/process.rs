//! What the operating system says of this process; nothing where it has no `/proc`.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Reading;

/// Bytes of a page, as every platform with `/proc` that this runs on has them.
const PAGE: u64 = 4096;

/// The clock, in Unix seconds.
pub fn now_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Memory and open files.
pub fn readings() -> Vec<Reading> {
    let mut readings = Vec::new();
    let pages = fs::read_to_string("/proc/self/statm").ok();
    if let Some(pages) = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok()) {
        readings.push(("athena_process_resident_memory_bytes", "Memory in use.", pages * PAGE));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        readings.push(("athena_process_open_fds", "Open files and sockets.", files.count() as u64));
    }
    readings
}
