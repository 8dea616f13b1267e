//! Which reads are legal, and what becomes of those that are not.

use super::*;

const STRICT: Asking<'static> = Asking { allow_filtering: false, database_order: false, authority: None };
const LOOSE: Asking<'static> = Asking { allow_filtering: true, database_order: false, authority: None };

fn filtered(filter: &str, rest: &str) -> String {
    format!(r#","conditions":{}{rest}"#, conditions(filter))
}

/// Checks the reads of a filter that needs no leave.
fn check(filter: &str, expected: &str) {
    let read =
        STRICT.read("events", &filtered(filter, "")).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    assert_eq!(all_said(&read.relation, &read.reads), expected, "{filter}");
    assert!(!read.filtering, "{filter}");
}

/// Checks that a filter is refused, and by which column; and what it is read with where its owner allows filtering.
fn check_filtering(filter: &str, field: &str, allowed: &str) {
    assert_eq!(refused(STRICT.read("events", &filtered(filter, ""))), field, "{filter}");
    let read =
        LOOSE.read("events", &filtered(filter, "")).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    assert_eq!(all_said(&read.relation, &read.reads), allowed, "{filter}");
    assert!(read.filtering, "{filter}");
}

/// Checks that a filter is refused whatever its owner allows.
fn check_refused(filter: &str, field: &str) {
    for asking in [STRICT, LOOSE] {
        assert_eq!(refused(asking.read("events", &filtered(filter, ""))), field, "{filter}");
    }
}

#[test]
fn keys_are_restricted_whole_and_from_the_left() {
    check("", "");
    check("a eq 1; b eq 2", "a=1 and b=2");
    check("b eq 2; a eq 1", "a=1 and b=2");
    check("a in [1,2]; b eq 3", "a in (1,2) and b=3");
    check("a in [1]; b eq 3", "a=1 and b=3");
    check("a in [1,1,2]; b eq 3", "a in (1,2) and b=3");
    check("a eq 1; b eq 2; c eq 3", "a=1 and b=2 and c=3");
    check("a eq 1; b eq 2; c gt 3; c lte 9", "a=1 and b=2 and c>3 and c<=9");
    check(
        "a eq 1; b eq 2; c in [3,4]; d in [5,6]; e gte 7",
        "a=1 and b=2 and c in (3,4) and d in (5,6) and e>=7",
    );
    check_filtering("a eq 1", "a", "a=1");
    check_filtering("a gt 1; b eq 1", "a", "a>1 and b=1");
    check_filtering("c eq 1", "c", "c=1");
    check_filtering("a eq 1; b eq 2; d eq 3", "d", "a=1 and b=2 and d=3");
    check_filtering("a eq 1; b eq 2; c gt 3; d eq 4", "d", "a=1 and b=2 and c>3 and d=4");
    let list = |length: usize| format!("{:?}", (0..length).collect::<Vec<_>>());
    let reads = |a: usize, b: usize| {
        let read = STRICT.read("events", &filtered(&format!("a in {}; b in {}", list(a), list(b)), ""))?;
        assert!(read.distinct.is_empty(), "portions have no row in common");
        let keys = |read: &Vec<Restriction>| -> usize {
            let lists = read.iter().map(|restriction| match &restriction.test {
                Test::In(members) => members.len(),
                _ => 1,
            });
            lists.product()
        };
        Ok::<_, RequestError>(read.reads.iter().map(keys).collect::<Vec<_>>())
    };
    assert_eq!(reads(10, 10), Ok(vec![100]));
    // Longer lists come in portions.
    assert_eq!(reads(11, 10), Ok(vec![100, 10]));
    assert_eq!(reads(1, 101), Ok(vec![100, 1]));
    assert_eq!(reads(1000, 1), Ok(vec![100; 10]));
    assert_eq!(reads(40, 25), Ok(vec![100; 10]));
    for (a, b) in [(1001, 1), (101, 100), (9_999, 1), (5_000, 5_000)] {
        check_refused(&format!("a in {}; b in {}", list(a), list(b)), "conditions");
    }
    // In portions, rows come one read after the other, and in no order.
    let sorted = format!("a eq 1; b eq 2; c in {}", list(101));
    let sort = r#","sort_by":{"field":"c"}"#;
    assert_eq!(refused(STRICT.read("events", &filtered(&sorted, sort))), "sort_by");
}

#[test]
fn indexes_answer_what_they_can() {
    check("legacy eq 1", "legacy=1");
    check("legacy eq 1; a eq 1; b eq 2", "a=1 and b=2 and legacy=1");
    check("legacy eq 1; a eq 1; b eq 2; c gt 3", "a=1 and b=2 and c>3 and legacy=1");
    check("legacy eq 1; a eq 1; b eq 2; c in [3,4]", "a=1 and b=2 and c in (3,4) and legacy=1");
    check("fast eq 1; word eq \"x\"", "fast=1 and word='x'");
    check("fast gt 1; fast lt 9", "fast>1 and fast<9");
    check("tags contains [\"x\"]", "tags contains 'x'");
    check("props contains {\"k\":1,\"l\":2}", "props['k']=1 and props['l']=2");
    check("whole eq [1,2]", r#"whole=["1", "2"]"#);
    check("fast in [1,2]", "fast=1 | fast=2");
    check("legacy eq 1; a in [1,2]; b eq 3", "a=1 and b=3 and legacy=1 | a=2 and b=3 and legacy=1");
    check_filtering("legacy gt 1", "legacy", "legacy>1");
    check_filtering("legacy eq 1; fast eq 2", "legacy", "legacy=1 and fast=2");
    check_filtering("legacy eq 1; a eq 1", "a", "a=1 and legacy=1");
    check_filtering("legacy eq 1; c eq 1", "c", "c=1 and legacy=1");
    check_filtering("fast eq 1; plain eq 2", "plain", "plain=2 and fast=1");
    check_filtering("plain eq 1", "plain", "plain=1");
    check_filtering("plain in [1,2]", "plain", "plain in (1,2)");
    check_filtering("word gt \"x\"", "word", "word>'x'");
    check_filtering("tags contains [\"x\",\"y\"]", "tags", "tags contains 'x' and tags contains 'y'");
    check_filtering("items contains [1]", "items", "items contains 1");
    check_filtering("shared eq 1", "shared", "shared=1");
    check("e eq 5", "e=5");
    check("a eq 1; b eq 2; e eq 5", "a=1 and b=2 and e=5");
    check("a eq 1; b eq 2; c eq 3; e gt 5; fast eq 1", "a=1 and b=2 and c=3 and e>5 and fast=1");
    check_filtering("a eq 1; b eq 2; c gt 3; e eq 5", "c", "a=1 and b=2 and c>3 and e=5");
    let two = "a=1 and b=3 and plain=1 and legacy=1 | a=2 and b=3 and plain=1 and legacy=1";
    check_filtering("legacy eq 1; plain eq 1; a in [1,2]; b eq 3", "plain", two);
    check_refused("fast in [1,2,3,4,5,6,7,8,9,10,11]", "conditions");
    check_refused("analyzed eq \"x\"", "analyzed");
}

#[test]
fn alternatives_become_lists_or_reads() {
    check("a eq 1; b eq 2; or c.eq.3,c.eq.4,c.in.(5,3)", "a=1 and b=2 and c in (3,4,5)");
    check("a eq 1; b eq 2; or c.lt.3,c.gt.5", "a=1 and b=2 and c<3 | a=1 and b=2 and c>5");
    check("or and(a.eq.1,b.eq.2),and(a.eq.1,b.eq.3)", "a=1 and b in (2,3)");
    check("or and(a.eq.1,b.eq.2),and(a.eq.3,b.eq.4)", "a=1 and b=2 | a=3 and b=4");
    check("or legacy.eq.1,fast.eq.2", "legacy=1 | fast=2");
    check("or a.is.null,legacy.eq.1", "legacy=1");
    check_filtering("or legacy.eq.1,plain.eq.2", "plain", "plain=2 | legacy=1");
    let others = |count: usize| {
        let members: Vec<String> = (0..count).map(|member| member.to_string()).collect();
        format!("a eq 1; b eq 2; not c.in.({})", members.join(","))
    };
    assert_eq!(STRICT.read("events", &filtered(&others(9), "")).unwrap().reads.len(), 10);
    check_refused(&others(10), "conditions");
    check_refused(&others(500), "conditions");
}

#[test]
fn opposites_are_those_of_sql() {
    check("a eq 1; b eq 2; not c.gt.3", "a=1 and b=2 and c<=3");
    check("a eq 1; b eq 2; not c.gte.3", "a=1 and b=2 and c<3");
    check("a eq 1; b eq 2; not c.lt.3", "a=1 and b=2 and c>=3");
    check("a eq 1; b eq 2; not not.c.eq.3", "a=1 and b=2 and c=3");
    check("a eq 1; b eq 2; c neq 3", "a=1 and b=2 and c<3 | a=1 and b=2 and c>3");
    check(
        "a eq 1; b eq 2; not c.in.(3,5)",
        "a=1 and b=2 and c<3 | a=1 and b=2 and c>3 and c<5 | a=1 and b=2 and c>5",
    );
    check("a eq 1; b eq 2; not or(c.gt.5,c.lt.3)", "a=1 and b=2 and c>=3 and c<=5");
    check("a eq 1; b eq 2; not and(c.gt.5,c.lt.9)", "a=1 and b=2 and c<=5 | a=1 and b=2 and c>=9");
    check_filtering("flag neq true", "flag", "flag=false");
    check_filtering("not flag.eq.true", "flag", "flag=false");
    check_filtering("flag is true", "flag", "flag=true");
    check_refused("not flag.is.true", "flag");
    check_refused("span neq \"P1D\"", "span");
    check_refused("not tags.cs.{x}", "tags");
}

#[test]
fn what_cannot_match_asks_nothing() {
    check("a in []", "");
    for filter in [
        "a in []",
        "a eq 1; a eq 2",
        "a in [1,2]; a in [3]",
        "a eq 1; b eq 2; c gt 5; c lt 5",
        "a eq 1; b eq 2; c gt 5; c lte 5",
        "a eq 1; b eq 2; c gt 5; c eq 5",
        "a is null",
        "a in [null]",
        "plain eq 1; plain is null",
        "price eq 1.0; price eq 2",
    ] {
        let read = STRICT.read("events", &filtered(filter, "")).unwrap();
        assert_eq!(read.reads, Vec::<Vec<Restriction>>::new(), "{filter}");
    }
    // What holds for every row restricts nothing.
    assert_eq!(STRICT.read("users", &filtered("id is \"not null\"", "")).unwrap().reads, [vec![]]);
}

#[test]
fn conditions_on_one_column_become_the_tightest() {
    check("a eq 1; b eq 2; c gt 3; c gt 5; c gte 5", "a=1 and b=2 and c>5");
    check("a eq 1; b eq 2; c in [1,5,9]; c gt 3", "a=1 and b=2 and c in (5,9)");
    check("a in [1,2,3]; a in [2,3,4]; b eq 2", "a in (2,3) and b=2");
    check(
        "price gte 1.50; price gte 1.5",
        &format!(
            "price>={}",
            shown(&read(&crate::query::Value::Number("1.50".into()), &CqlType::Decimal, "p").unwrap())
        ),
    );
    check("a eq 1; b eq 2; c eq 3; c is \"not null\"", "a=1 and b=2 and c=3");
}

#[test]
fn what_cql_cannot_say_is_refused() {
    check_refused("word like \"x%\"", "word");
    check_refused("word ilike \"x%\"", "word");
    check_refused("plain is null", "plain");
    check_refused("plain is \"not null\"", "plain");
    check_refused("plain in [1,null]", "plain");
    check_refused("c is \"not null\"", "c");
    check_refused("tags containedBy [\"x\"]", "tags");
    check_refused("items eq [1]", "items");
    check_refused("whole gt [1]", "whole");
    check_refused("span gt \"P1D\"", "span");
    for rest in [r#","columns":["plain::text"]"#, r#","columns":"n:plain::bigint""#] {
        assert_eq!(refused(STRICT.read("events", rest)), "columns", "{rest}");
    }
}

#[test]
fn rows_come_in_clustering_order_or_its_reverse() {
    let sorted = |filter: &str, keys: &str| {
        let keys = keys.split(',').map(|key| {
            let (field, direction) = key.split_once(' ').unwrap();
            format!(r#"{{"field":"{field}","direction":"{direction}"}}"#)
        });
        let sort = format!(r#","sort_by":[{}]"#, keys.collect::<Vec<_>>().join(","));
        STRICT.read("events", &filtered(filter, &sort)).map(|read| read.reversed)
    };
    let check = |filter: &str, keys: &str, reversed: bool| {
        assert_eq!(sorted(filter, keys).map_err(|e| e.message), Ok(reversed), "{filter} by {keys}");
    };
    check("a eq 1; b eq 2", "c desc", false);
    check("a eq 1; b eq 2", "c asc", true);
    check("a eq 1; b eq 2", "c desc,d asc,e asc", false);
    check("a eq 1; b eq 2", "c asc,d desc", true);
    check("a eq 1; b eq 2; c gt 1", "a desc,c asc,b asc", true);
    check("a eq 1; b in [2]; c eq 3", "d desc", true);
    check("a eq 1; b eq 2; c in [3,4]", "c asc", true);
    check("a eq 1; a eq 2; b eq 1", "plain desc", false);
    let check_refused = |filter: &str, keys: &str| {
        let error = sorted(filter, keys).unwrap_err();
        assert!(error.hint.as_ref().unwrap().contains("c desc, d asc, e asc"), "{error:?}");
        assert_eq!(refused::<()>(Err(error)), "sort_by", "{filter} by {keys}");
    };
    check_refused("", "c desc");
    check_refused("a in [1,2]; b eq 2", "c desc");
    check_refused("a eq 1; b eq 2", "d asc");
    check_refused("a eq 1; b eq 2", "c desc,d desc");
    check_refused("a eq 1; b eq 2", "plain asc");
    check_refused("a eq 1; b eq 2; or c.lt.1,c.gt.2", "c desc");
    check_refused("a eq 1; b eq 2; legacy eq 1", "c desc");
}

#[test]
fn pages_are_bounded() {
    let read = STRICT.read("events", r#","limit":5,"offset":7"#).unwrap();
    assert_eq!((read.skip, read.limit), (7, Some(5)));
    assert_eq!(STRICT.read("events", r#","current_page":3,"page_size":20"#).unwrap().skip, 40);
    assert_eq!(refused(STRICT.read("events", r#","limit":5,"offset":9996"#)), "offset");
    assert!(STRICT.read("events", r#","limit":5,"offset":9995"#).is_ok());
    let head = STRICT.read("events", r#","head":true"#).unwrap();
    assert_eq!((head.reads.len(), head.limit), (0, None));
    // What would be refused is refused without rows too.
    assert_eq!(refused(STRICT.read("events", &filtered("plain eq 1", r#","head":true"#))), "plain");
    assert_eq!(refused(LOOSE.read("events", &filtered("plain eq 1", r#","limit":1001"#))), "limit");
    let unbounded = LOOSE.fetch(
        &format!(r#"{{"table_name":"events","conditions":{}}}"#, conditions("plain eq 1")),
        RowFormat::Ndjson,
    );
    assert_eq!(refused(unbounded), "limit");
}

#[test]
fn a_row_that_two_reads_give_is_returned_once() {
    let read =
        STRICT.read("events", &filtered("or legacy.eq.1,fast.eq.2", r#","columns":["word","b"]"#)).unwrap();
    let names: Vec<_> = read.outputs.iter().map(|output| (&*output.label, output.hidden)).collect();
    assert_eq!(names, [("word", false), ("b", false), ("a", true), ("c", true), ("d", true), ("e", true)]);
    assert_eq!(read.distinct, [2, 1, 3, 4, 5]);
    let disjoint = STRICT.read("events", &filtered("or and(a.eq.1,b.eq.2),and(a.eq.3,b.eq.4)", "")).unwrap();
    assert_eq!(disjoint.distinct, Vec::<usize>::new());
    let stream = |filter: &str| {
        let body = format!(r#"{{"table_name":"events","conditions":{}}}"#, conditions(filter));
        STRICT.fetch(&body, RowFormat::Ndjson)
    };
    assert_eq!(refused(stream("or legacy.eq.1,fast.eq.2")), "conditions");
    assert!(stream("fast in [1,2]").is_ok());
    assert!(stream("a eq 1; b eq 2; c neq 3").is_ok());
}

#[test]
fn counts_are_exact() {
    let count = |filter: &str, kind: &str| {
        let body =
            format!(r#"{{"table_name":"events","count":"{kind}","conditions":{}}}"#, conditions(filter));
        match STRICT.fetch(&body, RowFormat::Json)?.1.unwrap().operation {
            Operation::Cql(CqlPlan::Count(count)) => Ok(all_said(&count.relation, &count.reads)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(count("a eq 1; b eq 2", "exact").as_deref(), Ok("a=1 and b=2"));
    assert_eq!(count("fast in [1,2]", "exact").as_deref(), Ok("fast=1 | fast=2"));
    assert_eq!(refused(count("a eq 1; b eq 2", "planned")), "count");
    assert_eq!(refused(count("a eq 1; b eq 2", "estimated")), "count");
    assert_eq!(refused(count("or legacy.eq.1,fast.eq.2", "exact")), "count");
}

#[test]
fn a_refusal_names_the_key_and_the_columns() {
    let error = STRICT.read("events", &filtered("plain eq 1; a eq 2", "")).unwrap_err();
    assert!(
        error.message.contains("'a', 'plain'") && error.message.contains("'events'"),
        "{}",
        error.message
    );
    let fix = error.hint.unwrap();
    for part in [
        "'a', 'b' by eq or in",
        "'c', 'd', 'e' from the left",
        "indexes (SAI) on 'a', 'plain'",
        "allow_filtering=true",
    ] {
        assert!(fix.contains(part), "{fix}");
    }
}

#[test]
fn pages_go_on_where_the_database_stopped() {
    let page = |table: &str, filter: &str, start: Option<PageStart<'_>>, loose: bool| {
        let body = format!(
            r#"{{"table_name":"{table}","conditions":{},"cursor":"","page_size":7}}"#,
            conditions(filter)
        );
        let request = FetchRequest::decode(json(&body), &Limits::default(), Decoding::default())?;
        let asking = if loose { LOOSE } else { STRICT };
        match asking.plan(|planner| planner.page(&request, start))?.0.operation {
            Operation::Cql(CqlPlan::Read(read)) => Ok(read),
            other => panic!("{other:?}"),
        }
    };
    let state = [1, 2, 3];
    let first = page("events", "a eq 1; b eq 2", None, false).unwrap();
    assert_eq!(
        (first.limit, first.skip, first.page.clone()),
        (None, 0, Some(CqlPage { size: 7, from: None }))
    );
    let later = page("events", "a eq 1; b eq 2", Some(PageStart::State(&state)), false).unwrap();
    assert_eq!(later.page, Some(CqlPage { size: 7, from: Some(state.into()) }));
    assert_eq!(CqlRead { page: first.page.clone(), ..later }, first, "the statement stays the same");
    // Reads without a row in common follow one another.
    let several = page("events", "or and(a.eq.1,b.eq.2),and(a.eq.3,b.eq.4)", None, false).unwrap();
    assert_eq!(all_said(&several.relation, &several.reads), "a=1 and b=2 | a=3 and b=4");
    // What a row in common would make of it, only the gateway could tell.
    let common = "or and(a.eq.1,b.eq.2,c.gt.3),and(a.eq.1,b.eq.2,d.eq.4,c.eq.5),and(a.eq.1,b.eq.2,c.lt.9)";
    assert_eq!(refused(page("events", common, None, false)), "conditions");
    // Filtering is bounded by the page.
    assert!(page("events", "plain gt 1", None, true).unwrap().filtering);
    assert_eq!(refused(page("events", "plain gt 1", None, false)), "plain");
    let keys = [KeyValue { column: "id".into(), value: None }];
    let error = page("users", "", Some(PageStart::Keys(&keys)), false).unwrap_err();
    assert_eq!(error.code, RequestCode::InvalidCursor);
}
