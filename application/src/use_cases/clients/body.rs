//! Bodies of the client routes, read strictly: absent keeps, null clears, unknown is refused.

use std::time::Duration;

use athena_domain::RequestError;
use athena_domain::catalog::TargetTexts;
use athena_domain::error::RequestCode;
use athena_domain::query::{JsonText, Object};

use crate::fields::{Given, STRICT, new_client_name, nullable, text};
use crate::ports::{ClientFields, NewClient};

/// Body of adding and changing a client.
#[derive(Clone, Default)]
pub struct ClientBody {
    client_name: Option<String>,
    description: Given<String>,
    pg_uri: Given<String>,
    pg_uri_env_var: Given<String>,
    is_active: Option<bool>,
}

impl ClientBody {
    /// Reads the body of a change.
    ///
    /// # Errors
    /// The first field that is unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let read = Self {
            client_name: trimmed(&mut body, "client_name")?.flatten(),
            description: trimmed(&mut body, "description")?,
            pg_uri: either(&mut body, "pg_uri", "uri")?,
            pg_uri_env_var: either(&mut body, "pg_uri_env_var", "uri_env_var")?,
            is_active: body.take_bool("is_active")?,
        };
        body.finish(STRICT)?;
        if let Some(Some(variable)) = &read.pg_uri_env_var {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !variable.bytes().all(plain) || variable.as_bytes().first().is_some_and(u8::is_ascii_digit) {
                let message =
                    "`pg_uri_env_var` is the name of an environment variable, such as PG_REPORTING_URI";
                return Err(RequestError::invalid("pg_uri_env_var", message));
            }
        }
        Ok(read)
    }

    /// Reads the body of a change of the client with this lower-case name, which it keeps.
    ///
    /// # Errors
    /// As [`ClientBody::decode`]; the field `client_name` when it is another one's.
    pub fn decode_change(body: JsonText<'_>, key: &str) -> Result<Self, RequestError> {
        let body = Self::decode(body)?;
        match &body.client_name {
            Some(name) if name.to_lowercase() != key => Err(RequestError::invalid(
                "client_name",
                "a client keeps its name: callers, keys and records know it by it; leave `client_name` out, or add a client \
                 of the new name and delete this one",
            )),
            _ => Ok(body),
        }
    }

    /// Reads the body of a new client.
    ///
    /// # Errors
    /// As [`ClientBody::decode`]; a missing name or target has the field `client_name` or `pg_uri`.
    pub fn decode_new(body: JsonText<'_>) -> Result<NewClient, RequestError> {
        let body = Self::decode(body)?;
        let missing = |field, message: &str| RequestError::field(RequestCode::MissingField, field, message);
        let Some(name) = body.client_name else {
            return Err(missing(
                "client_name",
                "Provide client_name in the request body when creating a client.",
            ));
        };
        let name = new_client_name(&name, "client_name")?;
        let target = TargetTexts {
            pg_uri: body.pg_uri.flatten(),
            pg_uri_env_var: body.pg_uri_env_var.flatten(),
            config_uri_template: None,
        };
        if target.pg_uri.is_none() && target.pg_uri_env_var.is_none() {
            return Err(missing(
                "pg_uri",
                "Provide either pg_uri or pg_uri_env_var for database-backed clients.",
            ));
        }
        Ok(NewClient {
            name: name.to_string(),
            description: body.description.flatten(),
            target,
            is_active: body.is_active.unwrap_or(true),
        })
    }

    /// Replaces what is given; one of the two ways to a target replaces the other unless both are given.
    pub fn apply(&self, fields: &mut ClientFields) {
        if let Some(description) = &self.description {
            fields.description.clone_from(description);
        }
        let target = &mut fields.target;
        match (&self.pg_uri, &self.pg_uri_env_var) {
            (Some(uri), Some(variable)) => {
                target.pg_uri.clone_from(uri);
                target.pg_uri_env_var.clone_from(variable);
            }
            (Some(uri), None) => {
                target.pg_uri.clone_from(uri);
                if uri.is_some() {
                    target.pg_uri_env_var = None;
                }
            }
            (None, Some(variable)) => {
                target.pg_uri_env_var.clone_from(variable);
                if variable.is_some() {
                    target.pg_uri = None;
                }
            }
            (None, None) => {}
        }
        fields.is_active = self.is_active.unwrap_or(fields.is_active);
    }

    /// Whether it switches the client off.
    pub fn deactivates(&self) -> bool {
        self.is_active == Some(false)
    }

    /// Whether it says where the database is.
    pub fn changes_target(&self) -> bool {
        self.pg_uri.is_some() || self.pg_uri_env_var.is_some()
    }

    /// The new URI.
    pub fn pg_uri(&self) -> Option<&str> {
        self.pg_uri.as_ref()?.as_deref()
    }
}

/// Body of stopping a client.
#[derive(Debug, Clone, Copy)]
pub struct FreezeBody {
    /// Whether it is to be stopped.
    pub is_frozen: bool,
}

impl FreezeBody {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is missing, unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let is_frozen = body.take_bool("is_frozen")?;
        body.finish(STRICT)?;
        let is_frozen = is_frozen.ok_or_else(|| {
            RequestError::field(
                RequestCode::MissingField,
                "is_frozen",
                "`is_frozen` (true or false) is required",
            )
        })?;
        Ok(Self { is_frozen })
    }
}

/// Longest time that a client's database can be taken off for, in seconds: a week.
const MAX_OFFLINE_SECS: u64 = 604_800;

/// Body of taking a client's database off.
#[derive(Debug, Clone, Copy)]
pub struct OfflineBody {
    /// For how long.
    pub how_long: Duration,
}

impl OfflineBody {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is missing, unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let expected = format!("a whole number of seconds from 1 to {MAX_OFFLINE_SECS} (a week)");
        let mut body = body.expect_object("")?;
        let secs = body.take("for_secs");
        body.finish(STRICT)
            .map_err(|error| error.hint(format!("the body is {{\"for_secs\": n}}, {expected}")))?;
        let Some(secs) = secs else {
            let message = format!("`for_secs` is required: {expected}");
            return Err(RequestError::field(RequestCode::MissingField, "for_secs", message));
        };
        match secs.expect_count("for_secs") {
            Ok(secs) if (1..=MAX_OFFLINE_SECS).contains(&secs) => {
                Ok(Self { how_long: Duration::from_secs(secs) })
            }
            Ok(_) | Err(_) => {
                Err(RequestError::invalid("for_secs", format!("`for_secs` must be {expected}")))
            }
        }
    }
}

/// Blank means null, as in the catalog itself.
fn trimmed(body: &mut Object<'_>, name: &'static str) -> Result<Given<String>, RequestError> {
    let given = nullable(body, name, text)?;
    Ok(given.map(|text| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())))
}

/// A field that has a second name.
fn either(
    body: &mut Object<'_>,
    name: &'static str,
    synonym: &'static str,
) -> Result<Given<String>, RequestError> {
    match (trimmed(body, name)?, trimmed(body, synonym)?) {
        (Some(_), Some(_)) => Err(RequestError::invalid(
            synonym,
            format!("`{synonym}` means the same as `{name}`; give one of them"),
        )),
        (given, None) | (None, given) => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<ClientBody, RequestError> {
        ClientBody::decode(JsonText::parse(text.as_bytes())?)
    }

    #[test]
    fn one_way_to_the_target_replaces_the_other() {
        let check = |text: &str, uri: Option<&str>, variable: Option<&str>| {
            let target = TargetTexts {
                pg_uri: Some("postgres://old/d".to_owned()),
                pg_uri_env_var: Some("OLD".to_owned()),
                config_uri_template: None,
            };
            let mut fields = ClientFields {
                description: None,
                target,
                is_active: true,
                is_frozen: false,
                is_deleted: false,
            };
            body(text).expect(text).apply(&mut fields);
            assert_eq!(
                (fields.target.pg_uri.as_deref(), fields.target.pg_uri_env_var.as_deref()),
                (uri, variable),
                "{text}"
            );
        };
        check("{}", Some("postgres://old/d"), Some("OLD"));
        check(r#"{"pg_uri":"postgres://new/d"}"#, Some("postgres://new/d"), None);
        check(r#"{"uri_env_var":"NEW"}"#, None, Some("NEW"));
        check(r#"{"uri":"postgres://new/d","pg_uri_env_var":"NEW"}"#, Some("postgres://new/d"), Some("NEW"));
        check(r#"{"pg_uri":null}"#, None, Some("OLD"));
    }

    #[test]
    fn how_long_a_client_is_off_is_asked_for_in_whole_seconds_of_a_week() {
        let check = |text: &str, said: &str| {
            let read = OfflineBody::decode(JsonText::parse(text.as_bytes()).expect("JSON"));
            let error = read.map(|body| body.how_long).expect_err(text);
            let told = format!("{} {}", error.message, error.hint.unwrap_or_default());
            assert!(told.contains(said) && told.contains("from 1 to 604800"), "{text}: {told}");
        };
        for text in
            [r#"{"for_secs":-1}"#, r#"{"for_secs":0}"#, r#"{"for_secs":1.5}"#, r#"{"for_secs":604801}"#]
        {
            check(text, "`for_secs` must be");
        }
        check("{}", "`for_secs` is required");
        check(r#"{"duration":-1}"#, "duration");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, field: &str| {
            let error = match body(text) {
                Err(error) => error,
                Ok(_) => {
                    ClientBody::decode_new(JsonText::parse(text.as_bytes()).expect("JSON")).expect_err(text)
                }
            };
            assert_eq!(error.field.as_deref(), Some(field), "{text}");
        };
        check("{}", "client_name");
        check(r#"{"client_name":" "}"#, "client_name");
        check(r#"{"client_name":"a"}"#, "pg_uri");
        check(r#"{"client_name":"a","pg_uri":""}"#, "pg_uri");
        check(r#"{"client_name":"a","pg_uri":"x","uri":"y"}"#, "uri");
        check(r#"{"client_name":"a","pg_uri_env_var":"A B"}"#, "pg_uri_env_var");
        check(r#"{"client_name":"a","pg_url":"x"}"#, "pg_url");
        check(r#"{"client_name":5}"#, "client_name");
    }
}
