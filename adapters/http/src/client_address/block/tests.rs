use super::*;

#[track_caller]
fn check(block: &str, inside: &[&str], outside: &[&str]) {
    let block = AddressBlock::parse(block).expect(block);
    for (addresses, expected) in [(inside, true), (outside, false)] {
        for address in addresses {
            assert_eq!(block.contains(address.parse().expect(address)), expected, "{address} in {block}");
        }
    }
}

#[test]
fn blocks_hold_what_shares_their_prefix() {
    check(
        "10.0.0.0/8",
        &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
        &["9.255.255.255", "11.0.0.0", "::a00:1"],
    );
    check("10.1.2.3/8", &["10.9.9.9"], &["11.1.2.3"]);
    check("127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]);
    check("0.0.0.0/0", &["1.2.3.4"], &["::1"]);
    check("::/0", &["::1", "fe80::1"], &["1.2.3.4"]);
    check("fd00::/8", &["fd12::1"], &["fe80::1"]);
    check("::1", &["::1"], &["::2"]);
}

#[test]
fn what_is_no_block() {
    for text in [
        "",
        "localhost",
        "10.0.0",
        "10.0.0.0/33",
        "::1/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "/8",
        "10.0.0.0/8/8",
    ] {
        assert_eq!(AddressBlock::parse(text), None, "{text}");
    }
}
