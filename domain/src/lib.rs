//! Rules of the gateway: requests, plans, rows, shaping. No I/O, no clock, no environment.
