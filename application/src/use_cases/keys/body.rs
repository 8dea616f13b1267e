//! Bodies of the key routes, read strictly: absent keeps, null clears, unknown is refused.

use athena_domain::RequestError;
use athena_domain::access::{Budget, Mode, Right, Scope};
use athena_domain::error::RequestCode;
use athena_domain::query::{JsonText, Object};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::fields::{Given, STRICT, client_name, nullable, text};
use crate::ports::KeyFields;

/// Longest name, in characters.
const MAX_NAME: usize = 200;

/// Longest overlap of two secrets, in seconds: a week.
const MAX_OVERLAP_SECS: u64 = 604_800;

/// Overlap when none is given, in seconds.
const OVERLAP_SECS: u64 = 3600;

/// Body of creating and changing a key.
#[derive(Debug, Clone, Default)]
pub struct KeyBody {
    name: Option<String>,
    description: Given<String>,
    client_name: Given<String>,
    clients: Given<Vec<String>>,
    expires_at: Given<OffsetDateTime>,
    is_active: Option<bool>,
    operations: Given<Vec<String>>,
    tables: Given<Vec<String>>,
    columns: Given<String>,
    row_filters: Given<String>,
    budget: Given<String>,
    /// Names of its rights; replaces them all.
    pub rights: Option<Vec<String>>,
}

impl KeyBody {
    /// Reads the body of a creation, which needs a name.
    ///
    /// # Errors
    /// The first field that is missing, unknown or malformed.
    pub fn decode_new(body: JsonText<'_>) -> Result<Self, RequestError> {
        let body = Self::decode(body)?;
        if body.name.is_none() {
            return Err(RequestError::field(RequestCode::MissingField, "name", "`name` is required"));
        }
        Ok(body)
    }

    /// Reads the body of a change.
    ///
    /// # Errors
    /// The first field that is unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let read = Self {
            name: take_name(&mut body)?,
            description: nullable(&mut body, "description", text)?,
            client_name: nullable(&mut body, "client_name", client)?,
            clients: nullable(&mut body, "clients", |list, field| {
                texts(list, field)?
                    .into_iter()
                    .map(|(name, path)| Ok(client_name(&name, &path)?.to_string()))
                    .collect()
            })?,
            expires_at: nullable(&mut body, "expires_at", moment)?,
            is_active: body.take_bool("is_active")?,
            operations: nullable(&mut body, "operations", |list, field| {
                let operations = Scope::parse_operations(list, field)?;
                Ok(operations.into_iter().map(|operation| operation.as_str().to_owned()).collect())
            })?,
            tables: nullable(&mut body, "tables", |list, field| {
                Ok(Scope::parse_tables(list, field)?.iter().map(|table| table.as_str().to_owned()).collect())
            })?,
            columns: nullable(&mut body, "columns", |map, field| {
                Scope::parse_columns(map, field).map(|_| map.as_text().to_owned())
            })?,
            row_filters: nullable(&mut body, "row_filters", |map, field| {
                Scope::parse_row_filters(map, field).map(|_| map.as_text().to_owned())
            })?,
            budget: nullable(&mut body, "budget", |map, field| {
                Budget::parse(map, field)?.check(field)?;
                Ok(map.as_text().to_owned())
            })?,
            rights: body.take("rights").map(|list| rights(list, "rights")).transpose()?,
        };
        body.finish(STRICT)?;
        Ok(read)
    }

    /// The fields of a new key.
    pub fn fields(&self) -> KeyFields {
        let mut fields = KeyFields { is_active: true, ..KeyFields::default() };
        self.apply(&mut fields);
        fields
    }

    /// Replaces what is given.
    pub fn apply(&self, fields: &mut KeyFields) {
        fn set<T: Clone>(field: &mut Option<T>, given: &Given<T>) {
            if let Some(value) = given {
                field.clone_from(value);
            }
        }
        if let Some(name) = &self.name {
            fields.name.clone_from(name);
        }
        set(&mut fields.description, &self.description);
        set(&mut fields.client_name, &self.client_name);
        set(&mut fields.clients, &self.clients);
        set(&mut fields.expires_at, &self.expires_at);
        fields.is_active = self.is_active.unwrap_or(fields.is_active);
        set(&mut fields.operations, &self.operations);
        set(&mut fields.tables, &self.tables);
        set(&mut fields.columns, &self.columns);
        set(&mut fields.row_filters, &self.row_filters);
        set(&mut fields.budget, &self.budget);
    }
}

/// Body of creating and changing a right.
#[derive(Debug, Clone)]
pub struct RightBody {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
}

impl RightBody {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is missing, unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let name = body.take_string("name")?.map(std::borrow::Cow::into_owned);
        let name =
            name.ok_or_else(|| RequestError::field(RequestCode::MissingField, "name", "`name` is required"))?;
        right(&name, "name")?;
        let description = nullable(&mut body, "description", text)?.flatten();
        body.finish(STRICT)?;
        Ok(Self { name, description })
    }
}

/// Body of setting a policy.
#[derive(Debug, Clone, Copy)]
pub struct PolicyBody {
    /// How strictly keys are demanded.
    pub mode: Mode,
}

impl PolicyBody {
    /// Reads the body: `mode`, which wins, or `enforce_api_keys`.
    ///
    /// # Errors
    /// The first field that is missing, unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let mode = body.take_string("mode")?;
        let mode = mode.map(|word| {
            Mode::parse(&word)
                .ok_or_else(|| RequestError::invalid("mode", "`mode` must be off, warn or enforce"))
        });
        let enforced = body.take_bool("enforce_api_keys")?;
        body.finish(STRICT)?;
        let mode = mode.transpose()?.or(enforced.map(Mode::from_enforced)).ok_or_else(|| {
            RequestError::field(
                RequestCode::MissingField,
                "enforce_api_keys",
                "`enforce_api_keys` (true or false) or `mode` (off, warn or enforce) is required",
            )
        })?;
        Ok(Self { mode })
    }
}

/// Body of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct RotateBody {
    /// How long the old secret still works, in seconds.
    pub overlap_secs: u64,
}

impl RotateBody {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that is unknown or malformed.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let overlap_secs = body.take_count("overlap_secs")?.unwrap_or(OVERLAP_SECS);
        body.finish(STRICT)?;
        if overlap_secs > MAX_OVERLAP_SECS {
            let message = format!("`overlap_secs` must be at most {MAX_OVERLAP_SECS} (a week)");
            return Err(RequestError::invalid("overlap_secs", message));
        }
        Ok(Self { overlap_secs })
    }
}

fn take_name(body: &mut Object<'_>) -> Result<Option<String>, RequestError> {
    let Some(value) = body.take_nullable("name") else { return Ok(None) };
    let name = text(value, "name")?.trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        let message = format!("`name` must have 1 to {MAX_NAME} characters");
        return Err(RequestError::invalid("name", message));
    }
    Ok(Some(name))
}

fn client(value: JsonText<'_>, field: &str) -> Result<String, RequestError> {
    Ok(client_name(&value.expect_string(field)?, field)?.to_string())
}

fn moment(value: JsonText<'_>, field: &str) -> Result<OffsetDateTime, RequestError> {
    let text = value.string().unwrap_or_default();
    let moment = OffsetDateTime::parse(text.trim(), &Rfc3339).ok();
    // RFC 3339 has four digits for a year, in whatever zone the moment is shown.
    let shown = moment.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC));
    shown.filter(|moment| (1..=9999).contains(&moment.year())).ok_or_else(|| {
        RequestError::invalid(field, format!("'{field}' must be an RFC3339 timestamp."))
            .hint("Write it as 2030-01-31T12:00:00Z.")
    })
}

fn texts(list: JsonText<'_>, field: &str) -> Result<Vec<(String, String)>, RequestError> {
    let items = list.expect_array(field)?.into_iter().enumerate();
    items
        .map(|(index, item)| {
            let path = format!("{field}[{index}]");
            Ok((text(item, &path)?, path))
        })
        .collect()
}

fn rights(list: JsonText<'_>, field: &str) -> Result<Vec<String>, RequestError> {
    Ok(texts(list, field)?.into_iter().map(|(name, _)| name).collect())
}

fn right(name: &str, field: &str) -> Result<(), RequestError> {
    Right::parse(name).map(drop).ok_or_else(|| {
        RequestError::invalid(
            field,
            format!(
                "`{field}` is not a right: write resource.action, such as users.read, gateway.query or *"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(body: &str) -> Result<KeyBody, RequestError> {
        KeyBody::decode(JsonText::parse(body.as_bytes())?)
    }

    #[test]
    fn absent_keeps_and_null_clears() {
        let full = r#"{"name":" n ","description":"d","client_name":"Demo","clients":["a"],"expires_at":"2030-01-01T00:00:00Z",
            "operations":["fetch"],"tables":["users"],"columns":{"users":["id"]},
            "row_filters":{"users":[{"eq_column":"id","eq_value":1}]},"budget":{"concurrent":1},"is_active":false}"#;
        let fields = key(full).expect("a body").fields();
        assert_eq!((fields.name.as_str(), fields.is_active), ("n", false));
        let mut kept = fields.clone();
        key("{}").expect("a body").apply(&mut kept);
        assert_eq!(kept, fields);
        let nulls = r#"{"description":null,"client_name":null,"clients":null,"expires_at":null,"operations":null,"tables":null,
            "columns":null,"row_filters":null,"budget":null}"#;
        let mut cleared = fields;
        key(nulls).expect("a body").apply(&mut cleared);
        assert_eq!(cleared, KeyFields { name: "n".to_owned(), ..KeyFields::default() });
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |body: &str, field: &str| {
            let error = key(body).expect_err(body);
            assert_eq!(error.field.as_deref(), Some(field), "{body}: {error:?}");
        };
        check(r#"{"name":""}"#, "name");
        check(r#"{"name":null}"#, "name");
        check(r#"{"name":5}"#, "name");
        check(r#"{"nme":"x"}"#, "nme");
        for moment in
            ["tomorrow", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "0000-06-01T00:00:00Z"]
        {
            check(&format!(r#"{{"expires_at":"{moment}"}}"#), "expires_at");
        }
        check(r#"{"clients":["a",5]}"#, "clients[1]");
        check(r#"{"clients":[" "]}"#, "clients[0]");
        check(r#"{"operations":["reed"]}"#, "operations[0]");
        check(r#"{"tables":"users"}"#, "tables");
        check(r#"{"columns":{"users":"id"}}"#, "columns.users");
        check(r#"{"row_filters":{"users":[{"eq_column":"id"}]}}"#, "row_filters.users[0].eq_value");
        check(r#"{"budget":{"requests":1}}"#, "budget.requests");
        check("{\"description\":\"a\\u0000\"}", "description");
        assert!(KeyBody::decode_new(JsonText::parse(b"{}").expect("JSON")).is_err());
    }

    #[test]
    fn policies_take_either_word() {
        let mode =
            |body: &str| PolicyBody::decode(JsonText::parse(body.as_bytes()).expect("JSON")).map(|b| b.mode);
        assert_eq!(mode(r#"{"enforce_api_keys":true}"#), Ok(Mode::Enforce));
        assert_eq!(mode(r#"{"enforce_api_keys":true,"mode":"warn"}"#), Ok(Mode::Warn));
        for bad in ["{}", r#"{"mode":"on"}"#, r#"{"enforce_api_keys":"yes"}"#, r#"{"enforce_api_keys":null}"#]
        {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
