//! `athena_rs diag`: the machine and the compiler.

use serde_json::json;

/// What [`diagnosis`] cannot know by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Name of the machine.
    pub hostname: Option<String>,
    /// Language setting of the session, such as `en_US.UTF-8`.
    pub locale: Option<String>,
}

impl Surroundings {
    /// Takes `HOSTNAME` and `LANG` through `variable`; the kernel names the machine when the former is unset.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name| variable(name).filter(|value| !value.trim().is_empty());
        let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            hostname: filled("HOSTNAME")
                .or_else(|| filled("COMPUTERNAME"))
                .or_else(kernel)
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty()),
            locale: filled("LANG"),
        }
    }
}

/// The answer of `athena_rs diag`: indented JSON. What is unknown is `null`.
pub fn diagnosis(surroundings: &Surroundings) -> String {
    let answer = json!({
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "family": std::env::consts::FAMILY,
        "cpu_count": std::thread::available_parallelism().map(usize::from).ok(),
        "rust_version": env!("ATHENA_RUSTC_VERSION"),
        "hostname": surroundings.hostname,
        "locale": surroundings.locale,
    });
    format!("{answer:#}")
}

#[cfg(test)]
mod tests;
