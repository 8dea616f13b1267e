use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;

fn config(name: &str, template: &str) -> ConfigClient {
    let target = TargetTexts { config_uri_template: Some(template.to_owned()), ..TargetTexts::default() };
    ConfigClient { name: name.to_owned(), target, resolved: Ok(template.to_owned()) }
}

fn row(name: &str, source: Source, template: Option<&str>, uri: Option<&str>) -> ClientRecord {
    let now = OffsetDateTime::UNIX_EPOCH;
    ClientRecord {
        id: name.to_owned(),
        name: name.to_owned(),
        description: None,
        target: TargetTexts {
            pg_uri: uri.map(str::to_owned),
            pg_uri_env_var: None,
            config_uri_template: template.map(str::to_owned),
        },
        source,
        is_active: true,
        is_frozen: false,
        metadata: "{}".to_owned(),
        last_synced_from_config_at: None,
        last_seen_at: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

/// The catalog after the seeds were written.
fn written(rows: &[ClientRecord], seeds: &[Seed]) -> Vec<ClientRecord> {
    let mut rows = rows.to_vec();
    for seed in seeds {
        match seed {
            Seed::Insert(client) => {
                let template = client.target.config_uri_template.as_deref();
                rows.push(row(&client.name, Source::Config, template, None));
            }
            Seed::Refresh(client) => {
                let found = rows.iter_mut().find(|row| row.key() == client.key() && row.deleted_at.is_none());
                let found = found.expect("a row to refresh");
                match (found.source, found.target.is_seeded()) {
                    (Source::Config, true) => {
                        (found.target.pg_uri, found.target.pg_uri_env_var) = (None, None);
                    }
                    (Source::Config, false) => found.source = Source::Merged,
                    (Source::Merged | Source::Database, _) => {}
                }
                found.target.config_uri_template.clone_from(&client.target.config_uri_template);
            }
        }
    }
    rows
}

#[test]
fn a_client_of_the_file_enters_the_catalog_once() {
    let plan = reconcile(&[config("Demo", "${A}")], &[], &[]);
    assert_eq!(plan.seeds, [Seed::Insert(config("Demo", "${A}"))]);
    assert_eq!(plan.clients["demo"].source, Source::Config);
    let known = [row("DEMO", Source::Config, Some("${A}"), None)];
    assert!(reconcile(&[config("Demo", "${A}")], &known, &[]).seeds.is_empty());
    let changed = reconcile(&[config("Demo", "${B}")], &known, &[]);
    assert_eq!(changed.seeds, [Seed::Refresh(config("Demo", "${B}"))]);
    assert_eq!(changed.clients["demo"].target.config_uri_template.as_deref(), Some("${B}"));
}

#[test]
fn what_an_administrator_did_stays() {
    let check = |change: &dyn Fn(&mut ClientRecord), expected: Option<Standing>| {
        let mut known = row("demo", Source::Merged, Some("${A}"), None);
        change(&mut known);
        let plan = reconcile(&[config("demo", "${A}")], &[known], &[]);
        assert_eq!(plan.clients.get("demo").map(|client| client.standing), expected);
        assert!(plan.seeds.is_empty());
    };
    check(&|_| {}, Some(Standing::Served));
    check(&|row| row.is_frozen = true, Some(Standing::Frozen));
    check(&|row| row.is_active = false, Some(Standing::Inactive));
    check(&|row| row.deleted_at = Some(OffsetDateTime::UNIX_EPOCH), None);
    let moved = [row("demo", Source::Database, None, Some("postgres://elsewhere/d"))];
    let plan = reconcile(&[config("demo", "${A}")], &moved, &[]);
    assert_eq!(plan.clients["demo"].target.pg_uri.as_deref(), Some("postgres://elsewhere/d"));
    assert!(plan.seeds.is_empty());
}

#[test]
fn a_copy_of_the_template_is_no_choice_of_an_administrator() {
    let check = |uri: Option<&str>, name: Option<&str>, expected: Option<&str>| {
        let mut known = row("demo", Source::Config, Some("postgres://old/d"), uri);
        known.target.pg_uri_env_var = name.map(str::to_owned);
        let plan = reconcile(&[config("demo", "postgres://new/d")], &[known], &[]);
        let variables =
            Variables { value: &|_| Some("postgres://variable/d".to_owned()), is_lent: &|_| false };
        let target = plan.clients["demo"].uri(&variables);
        assert_eq!(target.ok().as_deref(), expected);
    };
    check(None, None, Some("postgres://new/d"));
    check(Some("postgres://old/d"), None, Some("postgres://new/d"));
    check(Some("postgres://mine/d"), None, Some("postgres://mine/d"));
    check(None, Some("MINE"), Some("postgres://variable/d"));
}

#[test]
fn the_file_expands_its_own_template_also_beside_a_row_of_an_administrator() {
    let mut client = config("demo", "postgres://u:${PASSWORD}@own/d");
    client.resolved = Ok("postgres://u:p@own/d".to_owned());
    let variables = Variables { value: &|_| Some("p".to_owned()), is_lent: &|_| false };
    let known = row("demo", Source::Merged, Some("postgres://u:${AWS_SECRET}@elsewhere/d"), None);
    let uri = |rows: &[ClientRecord], said: &[ConfigClient]| {
        reconcile(said, rows, &[]).clients["demo"].uri(&variables)
    };
    let (rows, said) = (std::slice::from_ref(&known), std::slice::from_ref(&client));
    assert_eq!(uri(rows, said), client.resolved);
    // What the file no longer says is only the catalog's word.
    let reason = uri(rows, &[]).expect_err("it would be sent elsewhere");
    assert!(reason.contains("AWS_SECRET"), "{reason}");
}

#[test]
fn nothing_stops_what_the_gateway_needs() {
    let essential = ["control".to_owned()];
    for change in [
        (|row: &mut ClientRecord| row.is_frozen = true) as fn(&mut ClientRecord),
        |row| row.is_active = false,
        |row| row.deleted_at = Some(OffsetDateTime::UNIX_EPOCH),
        |row| row.target.pg_uri = Some("postgres://wrong/d".to_owned()),
    ] {
        let mut known = row("control", Source::Config, Some("${A}"), None);
        change(&mut known);
        let plan = reconcile(&[config("control", "${A}")], &[known], &essential);
        assert_eq!(plan.clients["control"].standing, Standing::Served);
        assert_eq!(plan.clients["control"].target.pg_uri, None);
    }
}

#[test]
fn what_overrules_the_file_is_told() {
    let check = |rows: &[ClientRecord], said: Option<&ConfigClient>, expected: Option<Overruling>| {
        let config: Vec<ConfigClient> = said.into_iter().cloned().collect();
        let plan = reconcile(&config, rows, &[]);
        let variable = |name: &str| (name == "A").then(|| "postgres://a/d".to_owned());
        let variables = Variables { value: &variable, is_lent: &|_| false };
        assert_eq!(plan.overruling("demo", said, &variables), expected, "{rows:?}");
    };
    let changed = |change: &dyn Fn(&mut ClientRecord)| {
        let mut row = row("demo", Source::Config, Some("postgres://old/d"), None);
        change(&mut row);
        [row]
    };
    let said = config("demo", "postgres://new/d");
    check(&[], Some(&said), None);
    check(&[], None, None);
    check(&changed(&|_| {}), Some(&said), None);
    check(&changed(&|_| {}), None, Some(Overruling::Kept));
    check(&changed(&|row| row.is_frozen = true), Some(&said), Some(Overruling::Frozen));
    check(&changed(&|row| row.is_active = false), Some(&said), Some(Overruling::Inactive));
    let deleted = changed(&|row| row.deleted_at = Some(OffsetDateTime::UNIX_EPOCH));
    check(&deleted, Some(&said), Some(Overruling::Deleted));
    check(&deleted, None, None);
    let moved = changed(&|row| row.target.pg_uri = Some("postgres://mine/d".to_owned()));
    check(&moved, Some(&said), Some(Overruling::Elsewhere));
    check(&moved, Some(&config("demo", "postgres://mine/d")), None);
    let theirs = [row("demo", Source::Database, None, Some("postgres://mine/d"))];
    check(&theirs, Some(&said), Some(Overruling::Elsewhere));
    let merged = changed(&|row| row.source = Source::Merged);
    let referred = ConfigClient { resolved: Ok("postgres://a/d".to_owned()), ..config("demo", "${A}") };
    check(&merged, Some(&referred), None);
}

fn names() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "A", "b", "c", " C", "control"]).prop_map(str::to_owned)
}

fn uris() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["postgres://1/d", "postgres://2/d", "${X}"]).prop_map(str::to_owned)
}

prop_compose! {
    fn any_row()(name in names(), uri in proptest::option::of(uris()), template in uris(), source in 0..3, active: bool,
                 frozen: bool, deleted: bool) -> ClientRecord {
        let source = [Source::Config, Source::Database, Source::Merged][source as usize];
        ClientRecord {
            is_active: active,
            is_frozen: frozen,
            deleted_at: deleted.then_some(OffsetDateTime::UNIX_EPOCH),
            ..row(&name, source, Some(&template), uri.as_deref())
        }
    }
}

/// Rows as the table allows them: one that is not deleted for each name.
fn rows() -> impl Strategy<Value = Vec<ClientRecord>> {
    proptest::collection::vec(any_row(), 0..8).prop_map(|mut rows| {
        let mut seen = std::collections::HashSet::new();
        rows.retain(|row| row.deleted_at.is_some() || seen.insert(row.key()));
        rows
    })
}

fn configs() -> impl Strategy<Value = Vec<ConfigClient>> {
    proptest::collection::vec((names(), uris()), 0..5).prop_map(|list| {
        let mut clients: Vec<ConfigClient> =
            list.into_iter().map(|(name, uri)| config(&name, &uri)).collect();
        let mut seen = std::collections::HashSet::new();
        clients.retain(|client| seen.insert(client.key()));
        clients
    })
}

proptest! {
    #[test]
    fn a_second_time_nothing_is_left_to_do(config in configs(), rows in rows()) {
        let essential = ["control".to_owned()];
        let first = reconcile(&config, &rows, &essential);
        let second = reconcile(&config, &written(&rows, &first.seeds), &essential);
        prop_assert!(second.seeds.is_empty(), "{:?}", second.seeds);
        let uris = |plan: &Plan| plan.clients.iter().map(|(k, c)| (k.clone(), (c.target.clone(), c.standing))).collect::<Vec<_>>();
        prop_assert_eq!(uris(&first), uris(&second));
    }

    #[test]
    fn what_is_stopped_or_deleted_is_never_served(config in configs(), rows in rows()) {
        let plan = reconcile(&config, &rows, &["control".to_owned()]);
        for row in rows.iter().filter(|row| row.key() != "control") {
            let client = plan.clients.get(&row.key());
            if row.deleted_at.is_none() && (row.is_frozen || !row.is_active) {
                prop_assert!(client.is_none_or(|client| client.standing != Standing::Served));
            }
            let other = rows.iter().any(|other| other.deleted_at.is_none() && other.key() == row.key());
            if row.deleted_at.is_some() && !other {
                prop_assert!(client.is_none());
            }
        }
        if config.iter().any(|client| client.key() == "control") {
            prop_assert_eq!(plan.clients["control"].standing, Standing::Served);
        }
    }

    #[test]
    fn the_order_does_not_count(config in configs(), rows in rows()) {
        let forwards = reconcile(&config, &rows, &[]);
        let (mut config, mut rows) = (config, rows);
        config.reverse();
        rows.reverse();
        prop_assert_eq!(reconcile(&config, &rows, &[]).clients, forwards.clients);
    }

    #[test]
    fn steps_lead_there_and_keep_what_fits(
        running in proptest::collection::btree_map("[a-d]", "[12]", 0..4),
        wanted in proptest::collection::btree_map("[a-d]", "[12]", 0..4),
    ) {
        let mut state = running.clone();
        for step in steps(&running, &wanted) {
            match step {
                Step::Keep(key) => prop_assert_eq!(&running[&key], &wanted[&key]),
                Step::Open(key) => drop(state.insert(key.clone(), wanted[&key].clone())),
                Step::Close(key) => drop(state.remove(&key)),
            }
        }
        prop_assert_eq!(state, wanted);
    }
}
