//! How much a key may do: token buckets as plain values; the clock is an argument.

use std::ops::AddAssign;
use std::time::Duration;

use crate::error::RequestError;
use crate::query::{Decoding, JsonText};

/// Largest value of any part: beyond every database, and small enough that what stands in a bucket is exact to the
/// unit and that the time in which it fills is a number that stores take.
const MAX: u64 = 1_000_000_000_000;

/// What a key may do per time. Absent means no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Requests per second, in the long run.
    pub requests_per_second: Option<u64>,
    /// Requests at once after a pause; as many as a second holds when it is not given.
    pub burst: Option<u64>,
    /// Requests that run at the same time.
    pub concurrent: Option<u64>,
    /// Rows read or written per minute.
    pub rows_per_minute: Option<u64>,
    /// Bytes of answers per minute.
    pub bytes_per_minute: Option<u64>,
}

impl Budget {
    /// Reads a budget from its JSON object.
    ///
    /// # Errors
    /// Unknown fields, and values that are no whole numbers above zero.
    pub fn parse(json: JsonText<'_>, field: &str) -> Result<Self, RequestError> {
        let mut body = json.expect_object(field)?;
        let mut count = |name: &'static str| -> Result<Option<u64>, RequestError> {
            let path = body.path(name);
            match body.take_count(name)? {
                Some(0) => {
                    let message = format!("`{path}` must be at least 1; switch the key off to allow nothing");
                    Err(RequestError::invalid(path, message))
                }
                count => Ok(count),
            }
        };
        let budget = Self {
            requests_per_second: count("requests_per_second")?,
            burst: count("burst")?,
            concurrent: count("concurrent")?,
            rows_per_minute: count("rows_per_minute")?,
            bytes_per_minute: count("bytes_per_minute")?,
        };
        if budget.burst.is_some() && budget.requests_per_second.is_none() {
            let path = format!("{field}.burst");
            let message = format!("`{path}` goes with `requests_per_second`");
            return Err(RequestError::invalid(path, message));
        }
        body.finish(Decoding { refuse_unknown_fields: true, ..Decoding::default() })?;
        Ok(budget)
    }

    /// Checks that a new budget is one that can be kept to. Stored ones that are older than the rule are taken as
    /// they are.
    ///
    /// # Errors
    /// When a part is larger than any budget has to be; it is named.
    pub fn check(&self, field: &str) -> Result<(), RequestError> {
        let parts = [
            ("requests_per_second", self.requests_per_second),
            ("burst", self.burst),
            ("concurrent", self.concurrent),
            ("rows_per_minute", self.rows_per_minute),
            ("bytes_per_minute", self.bytes_per_minute),
        ];
        match parts.into_iter().find(|(_, value)| value.is_some_and(|value| value > MAX)) {
            None => Ok(()),
            Some((name, _)) => {
                let path = format!("{field}.{name}");
                let message = format!("`{path}` must be at most {MAX}; leave it out for no bound");
                Err(RequestError::invalid(path, message))
            }
        }
    }

    /// The time after which every bucket is full, if nobody draws from it: until then what stands in it matters.
    pub fn fills_within(&self) -> Duration {
        let fills = |size: BucketSize| {
            // From the deepest debt.
            Duration::try_from_secs_f64(2.0 * size.capacity / size.per_second).unwrap_or(Duration::MAX)
        };
        self.buckets().into_iter().flatten().map(fills).max().unwrap_or_default()
    }

    fn bounds(&self) -> [Option<u64>; 3] {
        [self.requests_per_second, self.rows_per_minute, self.bytes_per_minute]
    }

    /// The buckets for requests, rows and bytes; none where there is no bound.
    pub fn buckets(&self) -> [Option<BucketSize>; 3] {
        let [requests, rows, bytes] = self.bounds();
        let per_minute = |bound: u64| BucketSize { capacity: bound as f64, per_second: bound as f64 / 60.0 };
        let per_second = |bound: u64| BucketSize {
            capacity: self.burst.unwrap_or(bound) as f64,
            per_second: bound as f64,
        };
        [requests.map(per_second), rows.map(per_minute), bytes.map(per_minute)]
    }
}

/// One bucket of a budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketSize {
    /// Most it holds, and most it may owe.
    pub capacity: f64,
    /// What flows in.
    pub per_second: f64,
}

/// What stands in the buckets for requests, rows and bytes, in this order; none where there is no bound.
pub type Levels = [Option<f64>; 3];

/// What a request takes out of the buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Requests.
    pub requests: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Cost {
    /// In the order of [`Levels`].
    pub fn parts(&self) -> [u64; 3] {
        [self.requests, self.rows, self.bytes]
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// Whether there is enough left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// There is.
    Granted,
    /// There is not: the part of the budget that is used up, and when there will be.
    Refused {
        /// Field of the budget.
        part: &'static str,
        /// Its value.
        value: u64,
        /// Time until a request would be granted.
        after: Duration,
    },
}

/// A bucket that fills with time. Below zero is debt: what has been used is known only afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    level: f64,
    at: Duration,
}

impl Bucket {
    fn refill(&mut self, size: BucketSize, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * size.per_second).min(size.capacity);
        self.at = self.at.max(now);
    }

    fn take(&mut self, used: u64, size: BucketSize) {
        // A single huge answer must not shut the key out for longer than a minute.
        self.level = (self.level - used as f64).max(-size.capacity);
    }
}

/// The state of one key's budget. `now` is any clock that does not run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Buckets {
    requests: Option<Bucket>,
    rows: Option<Bucket>,
    bytes: Option<Bucket>,
}

/// Name, bound, size and state of one bucket.
type Part<'a> = (&'static str, Option<u64>, Option<BucketSize>, &'a mut Option<Bucket>);

impl Buckets {
    fn parts(&mut self, budget: &Budget) -> [Part<'_>; 3] {
        let [requests, rows, bytes] = budget.buckets();
        let [per_second, per_minute_rows, per_minute_bytes] = budget.bounds();
        [
            ("requests_per_second", per_second, requests, &mut self.requests),
            ("rows_per_minute", per_minute_rows, rows, &mut self.rows),
            ("bytes_per_minute", per_minute_bytes, bytes, &mut self.bytes),
        ]
    }

    /// Takes one request out, if every bucket holds something.
    pub fn begin(&mut self, budget: &Budget, now: Duration) -> Verdict {
        for (part, bound, size, bucket) in self.parts(budget) {
            let (Some(value), Some(size)) = (bound, size) else { continue };
            let bucket = bucket.get_or_insert(Bucket { level: size.capacity, at: now });
            bucket.refill(size, now);
            let needed = if part == "requests_per_second" { 1.0 } else { f64::MIN_POSITIVE };
            if bucket.level < needed {
                let after = Duration::from_secs_f64(((needed - bucket.level) / size.per_second).min(3600.0));
                return Verdict::Refused { part, value, after };
            }
        }
        if let (Some(bucket), Some(_)) = (&mut self.requests, budget.requests_per_second) {
            bucket.level -= 1.0;
        }
        Verdict::Granted
    }

    /// Takes out what a request turned out to use.
    pub fn settle(&mut self, budget: &Budget, cost: Cost, now: Duration) {
        for ((_, _, size, bucket), used) in self.parts(budget).into_iter().zip(cost.parts()) {
            if let Some(size) = size.filter(|_| used > 0) {
                let bucket = bucket.get_or_insert(Bucket { level: size.capacity, at: now });
                bucket.refill(size, now);
                bucket.take(used, size);
            }
        }
    }

    /// Takes over what stands in buckets that several gateways share, less what they have not heard of yet.
    pub fn adopt(&mut self, budget: &Budget, levels: Levels, unheard: Cost, now: Duration) {
        let parts = self.parts(budget).into_iter().zip(levels).zip(unheard.parts());
        for (((_, _, size, bucket), level), used) in parts {
            if let (Some(size), Some(level)) = (size, level.filter(|level| level.is_finite())) {
                let mut shared = Bucket { level: level.min(size.capacity), at: now };
                shared.take(used, size);
                *bucket = Some(shared);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn requests_come_back_with_time() {
        let budget = Budget { requests_per_second: Some(2), burst: Some(3), ..Budget::default() };
        let mut buckets = Buckets::default();
        for _ in 0..3 {
            assert_eq!(buckets.begin(&budget, at(0)), Verdict::Granted);
        }
        let Verdict::Refused { part, value, after } = buckets.begin(&budget, at(0)) else {
            panic!("granted")
        };
        assert_eq!((part, value, after), ("requests_per_second", 2, at(500)));
        assert_eq!(buckets.begin(&budget, at(500)), Verdict::Granted);
        assert!(matches!(buckets.begin(&budget, at(501)), Verdict::Refused { .. }));
    }

    #[test]
    fn rows_are_paid_afterwards() {
        let budget = Budget { rows_per_minute: Some(60), ..Budget::default() };
        let mut buckets = Buckets::default();
        assert_eq!(buckets.begin(&budget, at(0)), Verdict::Granted);
        buckets.settle(&budget, Cost { rows: 90, ..Cost::default() }, at(0));
        let Verdict::Refused { part, after, .. } = buckets.begin(&budget, at(0)) else { panic!("granted") };
        assert_eq!((part, after.as_secs()), ("rows_per_minute", 30));
        assert_eq!(buckets.begin(&budget, at(30_100)), Verdict::Granted);
        buckets.settle(&budget, Cost { rows: 1_000_000, ..Cost::default() }, at(30_100));
        assert_eq!(buckets.begin(&budget, at(30_100 + 60_100)), Verdict::Granted, "a minute's debt at most");
    }

    #[test]
    fn what_others_use_counts() {
        let budget = Budget { requests_per_second: Some(10), rows_per_minute: Some(60), ..Budget::default() };
        let mut buckets = Buckets::default();
        let unheard = Cost { requests: 2, ..Cost::default() };
        buckets.adopt(&budget, [Some(3.0), Some(-30.0), Some(5.0)], unheard, at(0));
        let Verdict::Refused { part, after, .. } = buckets.begin(&budget, at(0)) else { panic!("granted") };
        assert_eq!((part, after.as_secs()), ("rows_per_minute", 30));
        buckets.adopt(&budget, [Some(3.0), Some(1.0), None], unheard, at(0));
        assert_eq!(buckets.begin(&budget, at(0)), Verdict::Granted);
        assert!(matches!(
            buckets.begin(&budget, at(0)),
            Verdict::Refused { part: "requests_per_second", .. }
        ));
        buckets.adopt(&budget, [Some(1e9), Some(f64::NAN), None], Cost::default(), at(0));
        let granted = (0..20).filter(|_| buckets.begin(&budget, at(0)) == Verdict::Granted).count();
        assert_eq!(granted, 10, "no more than a bucket holds");
    }

    #[test]
    fn budgets_are_read_strictly() {
        let parse = |text: &str| Budget::parse(JsonText::parse(text.as_bytes()).expect("JSON"), "budget");
        assert_eq!(parse(r#"{"burst":3,"requests_per_second":2}"#).expect("a budget").burst, Some(3));
        for bad in
            ["[]", r#"{"requests_per_second":0}"#, r#"{"burst":1}"#, r#"{"rows":1}"#, r#"{"concurrent":-1}"#]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_of_a_new_budget_have_a_bound() {
        for part in ["requests_per_second", "burst", "concurrent", "rows_per_minute", "bytes_per_minute"] {
            let parse = |value: u64| {
                let rate = if part == "burst" { r#""requests_per_second":1,"# } else { "" };
                let text = format!(r#"{{{rate}"{part}":{value}}}"#);
                Budget::parse(JsonText::parse(text.as_bytes()).expect("JSON"), "budget").expect("a budget")
            };
            assert_eq!(parse(MAX).check("budget"), Ok(()));
            for large in [MAX + 1, i64::MAX as u64] {
                let error = parse(large).check("budget").expect_err("too large");
                assert_eq!(error.field, Some(format!("budget.{part}")), "{}", error.message);
                assert_eq!(parse(large).buckets().len(), 3, "what is stored is still read");
            }
        }
    }

    #[test]
    fn buckets_are_full_in_the_end() {
        let check = |budget: Budget, seconds: u64| assert_eq!(budget.fills_within().as_secs(), seconds);
        check(Budget::default(), 0);
        check(Budget { concurrent: Some(3), ..Budget::default() }, 0);
        check(Budget { bytes_per_minute: Some(7), ..Budget::default() }, 120);
        let slow = Budget { requests_per_second: Some(1), burst: Some(3600), ..Budget::default() };
        check(slow, 7200);
        check(Budget { rows_per_minute: Some(60), ..slow }, 7200);
        let endless = Budget { requests_per_second: Some(1), burst: Some(u64::MAX), ..Budget::default() };
        assert!(endless.fills_within() > Duration::from_secs(1 << 60));
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_and_one_burst(rate in 1u64..50, burst in 1u64..50, steps in proptest::collection::vec(0u64..400, 1..200)) {
            let budget = Budget { requests_per_second: Some(rate), burst: Some(burst), ..Budget::default() };
            let (mut buckets, mut now, mut granted) = (Buckets::default(), 0, 0u64);
            for step in steps {
                now += step;
                granted += u64::from(buckets.begin(&budget, at(now)) == Verdict::Granted);
            }
            prop_assert!(granted as f64 <= burst as f64 + rate as f64 * now as f64 / 1000.0 + 1e-6);
        }
    }
}
