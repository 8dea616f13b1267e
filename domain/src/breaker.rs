//! Whether a database is worth asking: the circuit breaker of one client, as a plain value.
//!
//! Nothing here reads the clock: every moment is an argument, as the time since some fixed beginning.

use std::time::Duration;

/// When a breaker opens and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BreakerSettings {
    /// Failures one after the other that open it.
    pub threshold: u32,
    /// How long it then turns everybody away, unless a check finds the database well before.
    pub timeout: Duration,
    /// How often the database is checked meanwhile.
    pub check_interval: Duration,
    /// Requests that may try the database at once when the time is over.
    pub probes: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            threshold: 5,
            timeout: Duration::from_secs(60),
            check_interval: Duration::from_secs(30),
            probes: 2,
        }
    }
}

/// What one client's connection URI says instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerOverrides {
    /// `circuit_breaker_threshold`
    pub threshold: Option<u32>,
    /// `circuit_breaker_timeout_secs`
    pub timeout: Option<Duration>,
    /// `circuit_breaker_check_interval_secs`
    pub check_interval: Option<Duration>,
}

impl BreakerOverrides {
    /// The options of a connection URI, as errors list them.
    pub const OPTIONS: &str =
        "circuit_breaker_threshold, circuit_breaker_timeout_secs, circuit_breaker_check_interval_secs";

    /// Takes an option of a connection URI; `None` when it is none of these.
    ///
    /// # Errors
    /// What its value must be.
    pub fn take(&mut self, option: &str, value: &str) -> Option<Result<(), &'static str>> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse::<u32>().ok().filter(|_| digits);
        let seconds = number.filter(|n| (1..=86_400).contains(n)).map(|n| Duration::from_secs(n.into()));
        let taken = match option {
            "circuit_breaker_threshold" => {
                self.threshold = number.filter(|n| (1..=1_000_000).contains(n));
                self.threshold.map(drop).ok_or("a whole number from 1 to 1000000")
            }
            "circuit_breaker_timeout_secs" => {
                self.timeout = seconds;
                seconds.map(drop).ok_or("a whole number from 1 to 86400")
            }
            "circuit_breaker_check_interval_secs" => {
                self.check_interval = seconds;
                seconds.map(drop).ok_or("a whole number from 1 to 86400")
            }
            _ => return None,
        };
        Some(taken)
    }

    /// The settings with what is said here in the place of theirs.
    pub fn over(self, settings: BreakerSettings) -> BreakerSettings {
        BreakerSettings {
            threshold: self.threshold.unwrap_or(settings.threshold),
            timeout: self.timeout.unwrap_or(settings.timeout),
            check_interval: self.check_interval.unwrap_or(settings.check_interval),
            ..settings
        }
    }
}

/// What the end of a request, or of a check, says about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered, be it with a refusal.
    Well,
    /// It is away, or takes nobody.
    Ill,
    /// It takes nobody, and asks not to be asked for so long.
    Busy {
        /// From now on.
        wait: Duration,
    },
    /// It did not answer in time. That may be the request's own doing, so that it counts only once a check fails too.
    Doubtful,
    /// Nothing: it was not asked.
    Unknown,
}

/// A breaker as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// Some may try.
    HalfOpen,
    /// Nobody goes through.
    Open,
}

impl BreakerState {
    /// How many breakers are in each state.
    pub fn tally(breakers: impl IntoIterator<Item = Self>) -> [(Self, usize); 3] {
        let mut tally = [Self::Closed, Self::HalfOpen, Self::Open].map(|state| (state, 0));
        for breaker in breakers {
            tally.iter_mut().filter(|(state, _)| *state == breaker).for_each(|(_, count)| *count += 1);
        }
        tally
    }

    /// Its name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// A request that was let through. It has to be settled, or a place among the probes stays taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// What a request says counts only until the breaker moves on.
    epoch: u64,
    is_probe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed {
        /// Failures since the last success.
        failures: u32,
        /// Requests without an answer since then, or since a check found the database well.
        doubts: u32,
    },
    Open {
        until: Duration,
        /// Somebody said so: no check ends it before.
        forced: bool,
    },
    HalfOpen {
        /// Requests that are trying.
        probing: u32,
    },
}

const CALM: Phase = Phase::Closed { failures: 0, doubts: 0 };

/// Pause between the checks of a database that is in doubt.
const RECHECK: Duration = Duration::from_secs(1);

/// Longest time for which a database is left alone because it asks for that.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The circuit breaker of one client.
///
/// It opens after so many failures in a row. While it is open nobody gets through; a successful check closes it, a
/// failed one keeps it open for as long again, so that while checks are made no caller waits for a dead database.
/// When nobody checks, a few requests may try once the time is over.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    check_at: Option<Duration>,
    /// Until when the database has asked to be left alone: the latest of what it said since it was last well.
    busy_until: Duration,
    epoch: u64,
    openings: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, phase: CALM, check_at: None, busy_until: Duration::ZERO, epoch: 0, openings: 0 }
    }

    /// Lets a request through.
    ///
    /// # Errors
    /// When it is turned away: as [`Breaker::retry_after`].
    pub fn admit(&mut self, now: Duration) -> Result<Permit, Duration> {
        if let Phase::Open { until, .. } = self.phase
            && now >= until
        {
            self.phase = Phase::HalfOpen { probing: 0 };
        }
        let is_probe = match &mut self.phase {
            Phase::Closed { .. } => false,
            Phase::HalfOpen { probing } if *probing < self.settings.probes.max(1) => {
                *probing += 1;
                true
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => return Err(self.retry_after(now)),
        };
        Ok(Permit { epoch: self.epoch, is_probe })
    }

    /// Takes note of how a request ended. What began before the breaker last opened or closed says nothing any more.
    pub fn settle(&mut self, permit: Permit, health: Health, now: Duration) {
        let health = self.heed(health, now);
        if permit.epoch != self.epoch {
            return;
        }
        match (&mut self.phase, health) {
            (Phase::Closed { .. }, Health::Well) => {
                (self.phase, self.check_at, self.busy_until) = (CALM, None, Duration::ZERO);
            }
            (Phase::Closed { failures, .. }, Health::Ill | Health::Busy { .. }) => {
                *failures = failures.saturating_add(1);
                if *failures >= self.settings.threshold {
                    self.open(now);
                    // At once, as somebody's requests may have brought this on themselves.
                    self.check_at = Some(now.max(self.busy_until));
                }
            }
            (Phase::Closed { doubts, .. }, Health::Doubtful) => {
                *doubts = doubts.saturating_add(1);
                self.check_at.get_or_insert(now);
            }
            (Phase::HalfOpen { .. }, Health::Well) => self.close(),
            (Phase::HalfOpen { .. }, Health::Ill | Health::Busy { .. }) => self.open(now),
            (Phase::HalfOpen { probing }, Health::Doubtful | Health::Unknown) => {
                *probing = probing.saturating_sub(1);
                if health == Health::Doubtful {
                    self.check_at = Some(now);
                }
            }
            (Phase::Closed { .. }, Health::Unknown) | (Phase::Open { .. }, _) => {}
        }
    }

    /// When the database is to be checked; never while nothing is wrong.
    pub fn check_at(&self) -> Option<Duration> {
        self.check_at
    }

    /// Takes note of how a check ended.
    pub fn checked(&mut self, health: Health, now: Duration) {
        let health = self.heed(health, now);
        match (&mut self.phase, health) {
            // That it answers a check does not undo what it did to requests.
            (Phase::Closed { doubts, .. }, Health::Well | Health::Unknown) => {
                (*doubts, self.check_at) = (0, None);
            }
            // Nobody has asked it anything, or nobody who missed an answer.
            (Phase::Closed { doubts: 0, .. }, _) => {}
            (Phase::Closed { failures, doubts }, Health::Ill | Health::Busy { .. } | Health::Doubtful) => {
                *failures = failures.saturating_add(std::mem::replace(doubts, 1));
                self.check_at = Some(now.saturating_add(RECHECK));
                if *failures >= self.settings.threshold {
                    self.open(now);
                }
            }
            (Phase::Open { forced: true, until }, _) if now < *until => {}
            (Phase::Open { .. } | Phase::HalfOpen { .. }, Health::Well) => self.close(),
            (Phase::Open { until, forced }, Health::Ill | Health::Busy { .. } | Health::Doubtful) => {
                (*until, *forced) = ((*until).max(now.saturating_add(self.settings.timeout)), false);
                self.check_later(now);
            }
            (Phase::HalfOpen { .. }, Health::Ill | Health::Busy { .. } | Health::Doubtful) => self.open(now),
            (Phase::Open { .. } | Phase::HalfOpen { .. }, Health::Unknown) => self.check_later(now),
        }
    }

    /// Until when everybody is turned away; none when requests may get through.
    pub fn is_offline(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Open { until, .. } if now < until => Some(until),
            Phase::Closed { .. } | Phase::Open { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// Until when somebody has everybody turned away, whatever the database says; none when nobody has.
    pub fn is_forced(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Open { forced: true, .. } => self.is_offline(now),
            Phase::Open { forced: false, .. } | Phase::Closed { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// Turns everybody away for so long, whatever the database says. Gives the end of it.
    pub fn force_offline(&mut self, how_long: Duration, now: Duration) -> Duration {
        self.open(now);
        let until = now.saturating_add(how_long);
        self.phase = Phase::Open { until, forced: true };
        self.check_at = Some(until);
        until
    }

    /// Forgets everything: requests go through.
    pub fn reset_health(&mut self) {
        self.close();
    }

    /// The state of this moment.
    pub fn state(&self, now: Duration) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until, .. } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long it takes until the next check or, without one, until requests may try.
    pub fn retry_after(&self, now: Duration) -> Duration {
        let Some(until) = self.is_offline(now) else { return Duration::ZERO };
        self.check_at.map_or(until, |check| check.min(until)).saturating_sub(now)
    }

    /// What every request is given as long as nothing at all is wrong; none otherwise.
    pub fn calm_permit(&self) -> Option<Permit> {
        (self.phase == CALM).then_some(Permit::calm(self.epoch))
    }

    /// How often it has opened.
    pub fn openings(&self) -> u64 {
        self.openings
    }

    /// Remembers how long the database wants to be left alone. What it said counts whenever the request began.
    fn heed(&mut self, health: Health, now: Duration) -> Health {
        if let Health::Busy { wait } = health {
            self.busy_until = self.busy_until.max(now.saturating_add(wait.min(LONGEST_WAIT)));
            if let Phase::Open { until, forced: false } = &mut self.phase {
                *until = (*until).max(self.busy_until);
                self.check_at = self.check_at.map(|at| at.max(self.busy_until));
            }
        }
        health
    }

    fn open(&mut self, now: Duration) {
        let until = now.saturating_add(self.settings.timeout).max(self.busy_until);
        self.phase = Phase::Open { until, forced: false };
        self.check_later(now);
        self.openings += 1;
        self.epoch += 1;
    }

    fn close(&mut self) {
        (self.phase, self.check_at, self.busy_until) = (CALM, None, Duration::ZERO);
        self.epoch += 1;
    }

    fn check_later(&mut self, now: Duration) {
        self.check_at = Some(now.saturating_add(self.settings.check_interval).max(self.busy_until));
    }
}

impl Permit {
    /// The permit of a calm epoch, for those who keep [`Breaker::calm_permit`] in a number.
    pub fn calm(epoch: u64) -> Self {
        Self { epoch, is_probe: false }
    }

    /// Its epoch.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// Whether it holds one of the places of those who try.
    pub fn is_probe(self) -> bool {
        self.is_probe
    }
}

#[cfg(test)]
mod tests;
