//! The `athena_rs` binary: arguments → what is to be done → exit code.

use std::io::Write as _;
use std::process::ExitCode;

use athena_cli::{Invocation, Surroundings, VERSION, diagnosis, parse_from};
use athena_rs::output::{answer, failed};

/// What one thread reads another one logs and frees, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let invocation = match parse_from(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(stop) if stop.code == 0 => return answer(&format!("{}\n", stop.text)),
        Err(stop) => {
            drop(writeln!(std::io::stderr(), "{}", stop.text));
            return ExitCode::from(stop.code);
        }
    };
    // `{:#}` prints the whole chain once.
    match invocation {
        Invocation::Version => answer(&format!("{VERSION}\n")),
        Invocation::Diag => {
            let surroundings = Surroundings::read(|name| std::env::var(name).ok());
            answer(&format!("{}\n", diagnosis(&surroundings)))
        }
        Invocation::OpenApi => answer(&athena_http::specification()),
        Invocation::Healthcheck(options) => match athena_rs::healthcheck::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("{error:#}")),
        },
        Invocation::Retention(options) => match athena_rs::retention::run(&options) {
            Ok(told) => answer(&told),
            Err(error) => failed(&format!("{error:#}")),
        },
        Invocation::Server(options) => match athena_rs::run::server(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("{error:#}")),
        },
    }
}
