//! The W3C header `traceparent`: the caller's trace, for the one that goes on from it.

use poem::http::{HeaderMap, HeaderName};

const NAME: HeaderName = HeaderName::from_static("traceparent");

/// Bytes of `vv-` + 32 digits + `-` + 16 digits + `-ff`.
const BYTES: usize = 55;

/// The caller's place in its trace. An extension of requests that tell one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The caller's span; never zero.
    pub span_id: u64,
    /// Whether the caller records this trace.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the header; one that is malformed or there twice counts as none, as the standard asks.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(NAME).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => Self::parse(only.as_bytes()),
            _ => None,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // Later versions may append parts; this one may not.
        let (head, rest) = text.split_at_checked(BYTES)?;
        let version = number(&head[..2])?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !fits || [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = number(&head[3..35]).filter(|id| *id != 0)?;
        let span_id = number(&head[36..52]).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)?;
        Some(Self { trace_id, span_id, sampled: number(&head[53..])? & 1 == 1 })
    }
}

/// Hexadecimal digits in small letters, at most 32 of them.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<TraceParent> {
        let lines = values.iter().map(|value| (NAME, HeaderValue::from_str(value).expect("a value")));
        TraceParent::read(&lines.fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        }))
    }

    #[test]
    fn a_well_formed_one_is_read() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let known = |sampled| {
            Some(TraceParent {
                trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
                span_id: 0xb7ad_6b71_6920_3331,
                sampled,
            })
        };
        assert_eq!(read(&[&format!("00-{trace}-b7ad6b7169203331-01")]), known(true));
        assert_eq!(read(&[&format!("00-{trace}-b7ad6b7169203331-00")]), known(false));
        assert_eq!(read(&[&format!("00-{trace}-b7ad6b7169203331-03")]), known(true));
        assert_eq!(read(&[&format!("01-{trace}-b7ad6b7169203331-01-more")]), known(true));
    }

    #[test]
    fn a_malformed_one_counts_as_none() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[&good, &good]), None);
        for text in [
            String::new(),
            good[..54].to_owned(),
            format!("{good}-"),
            format!("{good} "),
            format!("ff{}", &good[2..]),
            format!("0g{}", &good[2..]),
            format!("01{}x", &good[2..]),
            good.to_uppercase(),
            good.replace('-', "_"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-b7ad6b7169203331-0x"),
        ] {
            assert_eq!(read(&[&text]), None, "{text}");
        }
    }
}
