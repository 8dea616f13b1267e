//! Old and new ways to write the policy agree.

use crate::snapshot::Control;

const GLOBAL: &str = "'00000000-0000-0000-0000-000000000000'";

#[tokio::test]
async fn mode_and_the_old_switch_stay_in_step() {
    let control = Control::migrated().await;
    let check = async |sql: &str, expected: &str| {
        control.run(sql).await;
        let found: String = control
            .value("SELECT mode || ' ' || enforce_api_keys FROM api_key_client_config WHERE client_name = 'demo'")
            .await;
        assert_eq!(found, expected, "{sql}");
        let sql = sql.replace("api_key_client_config", "api_key_config");
        let sql = sql
            .replace("(client_name,", "(api_key_config_id,")
            .replace("('demo',", &format!("({GLOBAL},"))
            .replace("WHERE client_name = 'demo'", &format!("WHERE api_key_config_id = {GLOBAL}"));
        control.run(&sql).await;
        let found: String = control
            .value(&format!("SELECT mode || ' ' || enforce_api_keys FROM api_key_config WHERE api_key_config_id = {GLOBAL}"))
            .await;
        assert_eq!(found, expected, "{sql}");
    };
    let fresh = "DELETE FROM api_key_client_config; INSERT INTO api_key_client_config (client_name,";
    let change = |set: &str| format!("UPDATE api_key_client_config SET {set} WHERE client_name = 'demo'");
    check(&format!("{fresh} enforce_api_keys) VALUES ('demo', true)"), "enforce true").await;
    check(&format!("{fresh} enforce_api_keys) VALUES ('demo', false)"), "off false").await;
    check(&format!("{fresh} mode) VALUES ('demo', 'enforce')"), "enforce true").await;
    check(&format!("{fresh} enforce_api_keys, mode) VALUES ('demo', true, 'warn')"), "warn false").await;
    check(&change("updated_at = now()"), "warn false").await;
    check(&change("enforce_api_keys = true"), "enforce true").await;
    check(&change("enforce_api_keys = true"), "enforce true").await;
    check(&change("enforce_api_keys = false"), "off false").await;
    check(&change("mode = 'enforce'"), "enforce true").await;
    check(&change("mode = 'warn', enforce_api_keys = false"), "warn false").await;
    check(&change("mode = 'off', enforce_api_keys = true"), "off false").await;
}

#[tokio::test]
async fn names_of_clients_are_compared_folded_and_modes_are_three() {
    let control = Control::migrated().await;
    let refused = async |sql: &'static str| {
        let error = sqlx::raw_sql(sql).execute(control.pool()).await.unwrap_err();
        error.as_database_error().unwrap().code().unwrap().into_owned()
    };
    control.run("INSERT INTO api_key_client_config (client_name) VALUES ('demo')").await;
    assert_eq!(refused("INSERT INTO api_key_client_config (client_name) VALUES (' DEMO ')").await, "23505");
    assert_eq!(
        refused("INSERT INTO api_key_client_config (client_name, mode) VALUES ('x', 'maybe')").await,
        "23514"
    );
    control.run("INSERT INTO athena_clients (client_name, pg_uri) VALUES ('One', 'x')").await;
    assert_eq!(
        refused("INSERT INTO athena_clients (client_name, pg_uri) VALUES ('oNE', 'x')").await,
        "23505"
    );
    assert_eq!(refused("INSERT INTO athena_clients (client_name) VALUES ('two')").await, "23514");
    control.run("UPDATE athena_clients SET deleted_at = now()").await;
    control.run("INSERT INTO athena_clients (client_name, pg_uri) VALUES ('oNE', 'x')").await;
}

#[tokio::test]
async fn rights_and_the_global_policy_are_seeded() {
    let control = Control::migrated().await;
    let rights: String =
        control.value("SELECT string_agg(name, ' ' ORDER BY name COLLATE \"C\") FROM api_key_rights").await;
    assert_eq!(
        rights,
        "* gateway.* gateway.access gateway.delete gateway.query gateway.read gateway.write management.* schema.read"
    );
    let policy: String =
        control.value("SELECT string_agg(api_key_config_id || ' ' || mode, ',') FROM api_key_config").await;
    assert_eq!(policy, "00000000-0000-0000-0000-000000000000 off");
}
