//! `numeric` from its binary form: groups of four decimal digits, digit for digit.

/// Writes the number; `Some(word)` for the values that are no numbers.
pub(super) fn numeric(bytes: &[u8], out: &mut Vec<u8>) -> Option<Result<(), &'static str>> {
    const NEGATIVE: u16 = 0x4000;
    let field =
        |at: usize| -> Option<u16> { Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])) };
    let groups = usize::from(field(0)?);
    let weight = i32::from(field(2)? as i16);
    let sign = field(4)?;
    let scale = usize::from(field(6)?);
    match sign {
        0xC000 => return Some(Err("NaN")),
        0xD000 => return Some(Err("Infinity")),
        0xF000 => return Some(Err("-Infinity")),
        NEGATIVE => out.push(b'-'),
        _ => {}
    }
    if bytes.len() < 8 + 2 * groups {
        return None;
    }
    let group = |index: i32| -> u16 {
        match usize::try_from(index) {
            Ok(index) if index < groups => field(8 + 2 * index).unwrap_or(0),
            _ => 0,
        }
    };
    // The part before the point: groups 0 to `weight`.
    if weight < 0 {
        out.push(b'0');
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(group(0)).as_bytes());
        for index in 1..=weight {
            put_four(group(index), out);
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut index = weight + 1;
        while out.len() < end {
            put_four(group(index), out);
            index += 1;
        }
        out.truncate(end);
    }
    Some(Ok(()))
}

fn put_four(group: u16, out: &mut Vec<u8>) {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[digit(group / 1000), digit(group / 100), digit(group / 10), digit(group)]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    fn read(groups: &[u16], weight: i16, sign: u16, scale: u16) -> String {
        let mut bytes = Vec::new();
        for field in [groups.len() as u16, weight as u16, sign, scale] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        groups.iter().for_each(|group| bytes.extend_from_slice(&group.to_be_bytes()));
        let mut out = Vec::new();
        match numeric(&bytes, &mut out).unwrap() {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(word) => word.to_owned(),
        }
    }

    #[test]
    fn every_digit_is_kept() {
        assert_eq!(read(&[], 0, 0, 0), "0");
        assert_eq!(read(&[], 0, 0, 2), "0.00");
        assert_eq!(read(&[12, 3456], 1, 0, 0), "123456");
        assert_eq!(read(&[1], 2, 0, 0), "100000000");
        assert_eq!(read(&[1, 5000], 0, 0x4000, 2), "-1.50");
        assert_eq!(read(&[12], -1, 0, 4), "0.0012");
        assert_eq!(read(&[1], -3, 0, 12), "0.000000000001");
        assert_eq!(read(&[1, 2340], 0, 0, 3), "1.234");
        assert_eq!(read(&[], 0, 0xC000, 0), "NaN");
        assert_eq!(read(&[], 0, 0xF000, 0), "-Infinity");
        assert!(numeric(&[0, 9, 0, 0, 0, 0, 0, 0], &mut Vec::new()).is_none());
    }
}
