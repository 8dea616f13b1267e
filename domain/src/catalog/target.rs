//! Where a client's database is, and how to say so without its password.

use std::cell::RefCell;
use std::fmt;

use crate::expand::{expand, is_sole_reference, sole_variable, without_defaults};

/// Where a client's database is, as it is kept; one of them counts (contract 16.2).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TargetTexts {
    /// A connection URI.
    pub pg_uri: Option<String>,
    /// Name of the environment variable that holds one.
    pub pg_uri_env_var: Option<String>,
    /// What the configuration says, its references to variables in place.
    pub config_uri_template: Option<String>,
}

impl fmt::Debug for TargetTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetTexts").field("pg_uri_env_var", &self.pg_uri_env_var).finish_non_exhaustive()
    }
}

/// What the environment of the gateway holds, and what of it a URI of the catalog may send to its host.
pub struct Variables<'a> {
    /// What a variable holds, an empty text when it is set and empty.
    pub value: &'a dyn Fn(&str) -> Option<String>,
    /// Whether the configuration lends the variable to URIs of the catalog.
    pub is_lent: &'a dyn Fn(&str) -> bool,
}

impl TargetTexts {
    /// The URI to connect to. `of_config` is what the configuration itself has made of the template, where the
    /// template is the configuration's.
    ///
    /// # Errors
    /// Why there is none, without a secret.
    pub fn resolve(
        &self,
        variables: &Variables<'_>,
        of_config: Option<&Result<String, String>>,
    ) -> Result<String, String> {
        let filled = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let template = filled(&self.config_uri_template);
        match filled(&self.pg_uri) {
            // Kept a second time by older versions, references and all.
            Some(uri) if Some(&uri) == template.as_ref() => {}
            Some(uri) => return check_borrowed(&uri).map(|()| uri),
            None => {
                if let Some(name) = filled(&self.pg_uri_env_var) {
                    let value = (variables.value)(&name).map(|value| value.trim().to_owned());
                    let value = value.filter(|value| !value.is_empty());
                    return value.ok_or_else(|| format!("environment variable {name} is not set"));
                }
            }
        }
        let template = template.ok_or_else(|| "no connection target is given".to_owned())?;
        of_config.cloned().unwrap_or_else(|| from_template(&template, variables))
    }
}

/// The URI of a template that only the catalog knows. One that is a single reference leads where the variable says;
/// in any other, whoever wrote it has chosen the host, and is sent nothing of the environment but what is lent.
fn from_template(template: &str, variables: &Variables<'_>) -> Result<String, String> {
    if sole_variable(template).is_some() {
        let uri = expand(template, variables.value).map_err(|error| error.to_string())?;
        return Ok(uri.trim().to_owned());
    }
    let withheld: RefCell<Option<String>> = RefCell::new(None);
    let lent = |name: &str| {
        if (variables.is_lent)(name) {
            return (variables.value)(name);
        }
        withheld.borrow_mut().get_or_insert_with(|| name.to_owned());
        None
    };
    let uri = expand(template, &lent);
    if let Some(name) = withheld.into_inner() {
        return Err(format!(
            "environment variable {name} may not stand within a URI of the client catalog: list it in \
             gateway.uri_variables, or keep the whole URI in one variable"
        ));
    }
    let uri = uri.map_err(|error| error.to_string())?.trim().to_owned();
    check_borrowed(&uri).map(|()| uri)
}

impl TargetTexts {
    /// Whether it says no more than the configuration did: older versions kept the template a second time, as a
    /// URI or as the name of its variable.
    pub fn is_seeded(&self) -> bool {
        let template = self.config_uri_template.as_deref();
        let named = self.pg_uri_env_var.as_ref().map(|name| format!("${{{name}}}"));
        self.pg_uri.as_deref().is_none_or(|uri| Some(uri) == template)
            && named.is_none_or(|named| Some(named.as_str()) == template)
    }
}

/// How the variables are called that a URI of the catalog may send to its host.
pub const BORROWED_PREFIX: &str = "ATHENA_REST_KEY_";

/// Refuses a URI that was written into the catalog and would send a variable of this process to its host, unless the
/// variable is named for that: who may name databases may not read the environment by it.
///
/// # Errors
/// How such a variable must be called.
pub fn check_borrowed(uri: &str) -> Result<(), String> {
    // What reads URIs drops tabs and line ends wherever they stand.
    let uri: String = uri.chars().filter(|c| !c.is_control()).collect();
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.strip_prefix("key_env="));
    for name in names {
        if !name.starts_with(BORROWED_PREFIX) {
            return Err(format!(
                "key_env of a client outside the configuration must be the name of a variable that begins with \
                 {BORROWED_PREFIX}"
            ));
        }
    }
    Ok(())
}

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A URI with its passwords replaced; what cannot be told apart is replaced whole.
pub fn redact_uri(uri: &str) -> String {
    // A reference to a variable holds nothing secret, its default may.
    if is_sole_reference(uri) {
        return without_defaults(uri);
    }
    // A fragment is the rest of a password that holds a #, wherever that began.
    if let Some((before, _)) = uri.split_once('#') {
        return match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{MASK}"),
            None => MASK.to_owned(),
        };
    }
    let Some((scheme, rest)) = uri.split_once("://") else { return MASK.to_owned() };
    let (main, query) = match rest.split_once('?') {
        Some((main, query)) => (main, Some(query)),
        None => (rest, None),
    };
    // A password may hold a slash or an @ that nobody escaped: everything up to the last @ is of the user.
    let main = match main.rsplit_once('@') {
        None => main.to_owned(),
        Some((user, host)) => match user.split_once(':') {
            None => format!("{user}@{host}"),
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
        },
    };
    let query = query.map(|query| {
        // An @ behind the question mark belongs to a password that holds one, which no parameter would.
        if query.contains('@') {
            return MASK.to_owned();
        }
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    });
    match query {
        Some(query) => format!("{scheme}://{main}?{query}"),
        None => format!("{scheme}://{main}"),
    }
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "apikey", "api_key"].iter().any(|part| name.contains(part))
        || name == "key"
        || name.contains('%')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_that_is_given_counts() {
        let variable = |name: &str| match name {
            "SET" => Some(" postgres://v/d ".to_owned()),
            "P" => Some("p".to_owned()),
            _ => None,
        };
        let check =
            |uri: Option<&str>, name: Option<&str>, template: Option<&str>, expected: Result<&str, &str>| {
                let own = |text: Option<&str>| text.map(str::to_owned);
                let texts = TargetTexts {
                    pg_uri: own(uri),
                    pg_uri_env_var: own(name),
                    config_uri_template: own(template),
                };
                let variables = Variables { value: &variable, is_lent: &|name| name == "P" };
                assert_eq!(
                    texts.resolve(&variables, None).as_deref().map_err(String::as_str),
                    expected,
                    "{uri:?} {name:?} {template:?}"
                );
            };
        check(Some("postgres://a/b"), Some("SET"), Some("postgres://c/d"), Ok("postgres://a/b"));
        check(Some("  "), Some("SET"), Some("postgres://c/d"), Ok("postgres://v/d"));
        check(None, None, Some("postgres://c/d"), Ok("postgres://c/d"));
        check(None, None, Some("${SET}"), Ok("postgres://v/d"));
        check(None, None, Some("${UNSET}"), Err("environment variable UNSET is not set"));
        check(Some("postgres://u:${P}@h/${P}"), None, None, Ok("postgres://u:${P}@h/${P}"));
        check(None, None, Some("postgres://u:${P}@h/${P}"), Ok("postgres://u:p@h/p"));
        check(None, None, Some("postgres://h/${P:-d}"), Ok("postgres://h/p"));
        check(None, None, Some("postgres://u:$${P}@h/d"), Ok("postgres://u:${P}@h/d"));
        // As older versions have kept it.
        check(Some("postgres://h/${P}"), None, Some("postgres://h/${P}"), Ok("postgres://h/p"));
        check(None, Some("UNSET"), Some("postgres://c/d"), Err("environment variable UNSET is not set"));
        check(None, None, None, Err("no connection target is given"));
        // The environment is the operator's.
        let refused = "key_env of a client outside the configuration must be the name of a variable that begins with \
                       ATHENA_REST_KEY_";
        check(Some("postgrest+https://h?schema=a&key_env=SET"), None, None, Err(refused));
        check(Some("postgrest+https://h?key_\tenv=SET"), None, None, Err(refused));
        let good = "postgrest+https://h?key_env=ATHENA_REST_KEY_SHOP";
        check(Some(good), None, None, Ok(good));
        let template = "postgrest+https://h?key_env=SET";
        check(Some(template), None, Some(template), Err(refused));
        check(None, None, Some("postgrest+https://h?key_env=${P}"), Err(refused));
        check(None, None, Some(good), Ok(good));
    }

    #[test]
    fn a_template_of_the_catalog_sends_its_host_only_what_is_lent() {
        let variables =
            Variables { value: &|name| Some(format!("{name}-value")), is_lent: &|name| name == "LENT" };
        let resolve = |template: &str, of_config: Option<&Result<String, String>>| {
            let texts =
                TargetTexts { config_uri_template: Some(template.to_owned()), ..TargetTexts::default() };
            texts.resolve(&variables, of_config)
        };
        assert_eq!(resolve("postgres://u:${LENT}@h/d", None).as_deref(), Ok("postgres://u:LENT-value@h/d"));
        // Its host is the variable's to say.
        assert_eq!(resolve(" ${AWS_SECRET} ", None).as_deref(), Ok("AWS_SECRET-value"));
        for template in [
            "postgres://u:${AWS_SECRET}@h/d",
            "postgres://u:${LENT}${AWS_SECRET}@h/d",
            "postgres://u:${AWS_SECRET:-p}@h/d",
            "${LENT:-postgres://u:p@h/d}${AWS_SECRET}",
            "${AWS_SECRET:-postgres://h/d}",
        ] {
            let reason = resolve(template, None).expect_err(template);
            assert!(
                reason.contains("AWS_SECRET may not") && reason.contains("gateway.uri_variables"),
                "{reason}"
            );
            assert!(!reason.contains("value"), "{reason}");
            // The same text in the configuration is the operator's own.
            let own = Ok("postgres://own/d".to_owned());
            assert_eq!(resolve(template, Some(&own)), own);
        }
    }

    #[test]
    fn passwords_do_not_show() {
        let check = |uri: &str, expected: &str| assert_eq!(redact_uri(uri), expected, "{uri}");
        check("postgres://u:p@h:5432/d?sslmode=require", "postgres://u:***@h:5432/d?sslmode=require");
        check("postgres://u@h/d", "postgres://u@h/d");
        check("postgres://h/d", "postgres://h/d");
        check("postgres://u:p/w@x@h/d", "postgres://u:***@h/d");
        check("postgres://u:p?w@h/d", "postgres://u:p?***");
        check(
            "postgres://h/d?user=u&password=p&sslpassword=q",
            "postgres://h/d?user=u&password=***&sslpassword=***",
        );
        check("cql://u:p@a:9042,b/k?consistency=quorum", "cql://u:***@a:9042,b/k?consistency=quorum");
        check("postgres://u:12#SECRET@h/d", "postgres://***");
        check("postgres://u:p@h/d#SECRET", "postgres://***");
        check("${PG_URI}", "${PG_URI}");
        check("${PG_URI:-postgres://u:p@h/d}", "${PG_URI:-…}");
        check("${A}:p@${B}", "***");
        check("postgres://u:${PW:-p}@h/d", "postgres://u:***@h/d");
        check("host=h password=p", "***");
    }

    proptest! {
        #[test]
        fn no_plain_password_survives(user in "[a-z]{1,8}", password in "[A-Z0-9/:@#!]{6,20}", host in "[a-z.]{1,10}") {
            let shown = redact_uri(&format!("postgres://{user}:{password}@{host}/db"));
            prop_assert!(!shown.contains(&password), "{}", shown);
        }
    }
}
