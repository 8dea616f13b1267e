//! The `athena_rs` binary: arguments → what is to be done → exit code.

use std::process::ExitCode;

use athena_cli::{Invocation, Surroundings, VERSION, diagnosis, parse_from};

/// What one thread reads another one logs and frees, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let invocation = match parse_from(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(stop) if stop.code == 0 => {
            println!("{}", stop.text);
            return ExitCode::SUCCESS;
        }
        Err(stop) => {
            eprintln!("{}", stop.text);
            return ExitCode::from(stop.code);
        }
    };
    match invocation {
        Invocation::Version => println!("{VERSION}"),
        Invocation::Diag => {
            println!("{}", diagnosis(&Surroundings::read(|name| std::env::var(name).ok())));
        }
        Invocation::OpenApi => print!("{}", athena_http::specification()),
        Invocation::Healthcheck(options) => {
            if let Err(error) = athena_rs::healthcheck::run(&options) {
                eprintln!("athena_rs: {error:#}");
                return ExitCode::FAILURE;
            }
        }
        Invocation::Retention(options) => match athena_rs::retention::run(&options) {
            Ok(told) => print!("{told}"),
            Err(error) => {
                eprintln!("athena_rs: {error:#}");
                return ExitCode::FAILURE;
            }
        },
        Invocation::Server(options) => {
            if let Err(error) = athena_rs::run::server(options) {
                // `{:#}` prints the whole chain once.
                eprintln!("athena_rs: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
