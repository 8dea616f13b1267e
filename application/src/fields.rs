//! Fields of the bodies that administrators send: absent keeps, null clears, unknown is refused.

use athena_domain::query::{Decoding, JsonText, Object};
use athena_domain::{ClientName, RequestError};

/// Whatever the gateway routes do: a misspelt field of an administrator is never passed over.
pub const STRICT: Decoding = Decoding { refuse_unknown_fields: true, schema_prefix: true };

/// A value that may be absent, null or there.
pub type Given<T> = Option<Option<T>>;

/// Takes a field that may be null.
///
/// # Errors
/// What `read` says of a value that is there.
pub fn nullable<'a, T>(
    body: &mut Object<'a>,
    name: &'static str,
    read: impl FnOnce(JsonText<'a>, &str) -> Result<T, RequestError>,
) -> Result<Given<T>, RequestError> {
    match body.take_nullable(name) {
        None => Ok(None),
        Some(value) if value.is_null() => Ok(Some(None)),
        Some(value) => read(value, name).map(|value| Some(Some(value))),
    }
}

/// Reads a text that the control database can keep.
///
/// # Errors
/// When it is no text or contains a NUL character.
pub fn text(value: JsonText<'_>, field: &str) -> Result<String, RequestError> {
    let text = value.expect_string(field)?.into_owned();
    // PostgreSQL keeps no NUL in a text.
    if text.contains('\0') {
        return Err(RequestError::invalid(field, format!("`{field}` contains a NUL character")));
    }
    Ok(text)
}

/// The name of a client.
///
/// # Errors
/// When it cannot be one.
pub fn client_name(text: &str, field: &str) -> Result<ClientName, RequestError> {
    ClientName::parse(text)
        .ok_or_else(|| RequestError::invalid(field, format!("`{field}` is not the name of a client")))
}

/// The name of a client that is new.
///
/// # Errors
/// When it cannot be one, is that of a route, or does not have one lower-case form everywhere.
pub fn new_client_name(text: &str, field: &str) -> Result<ClientName, RequestError> {
    let name = client_name(text, field)?;
    // `/admin/clients/statistics` would never reach it.
    if name.key() == "statistics" {
        return Err(RequestError::invalid(
            field,
            format!("`{field}` must not be 'statistics': a route has that name"),
        ));
    }
    // What PostgreSQL makes of other capitals depends on the database.
    if !name.has_one_folding() {
        let message = format!(
            "`{field}` must not hold capitals beyond A to Z, as not every database knows their small forms"
        );
        return Err(RequestError::invalid(field, message));
    }
    Ok(name)
}
