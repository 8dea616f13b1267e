//! Where a client's database is, and how to say so without its password.

use std::fmt;

use crate::expand::{expand, is_sole_reference, without_defaults};

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

impl TargetTexts {
    /// The URI to connect to; `variable` looks an environment variable up.
    ///
    /// # Errors
    /// Why there is none, without a secret.
    pub fn resolve(&self, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
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
                    let value = variable(&name).map(|value| value.trim().to_owned());
                    let value = value.filter(|value| !value.is_empty());
                    return value.ok_or_else(|| format!("environment variable {name} is not set"));
                }
            }
        }
        let template = template.ok_or_else(|| "no connection target is given".to_owned())?;
        let uri = expand(&template, &variable).map_err(|error| error.to_string())?;
        Ok(uri.trim().to_owned())
    }
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
                assert_eq!(
                    texts.resolve(variable).as_deref().map_err(String::as_str),
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
        check(None, None, Some("postgres://h/${UNSET:-d}"), Ok("postgres://h/d"));
        check(None, None, Some("postgres://u:$${P}@h/d"), Ok("postgres://u:${P}@h/d"));
        check(None, None, Some("postgres://u:${UNSET}@h/${P}"), Err("environment variable UNSET is not set"));
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
        check(Some(template), None, Some(template), Ok(template));
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
