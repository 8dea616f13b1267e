//! Answers of insert and delete: the envelope and what the first gateway answered, in one.

use athena_application::use_cases::Written;
use athena_domain::ClientName;
use athena_domain::query::{DeleteRequest, InsertRequest, Value};
use athena_domain::rows::{RowFormat, escape_into};
use poem::Response;
use poem::http::HeaderValue;

use super::rows::{applied_beside, applied_into};
use super::{number_header, whole};
use crate::headers::{COUNT, RESOURCE_ID};

/// The answer of an insert (contract 8.4, D2).
pub fn inserted(written: &Written, request: &InsertRequest, as_array: bool) -> Response {
    let count = request.count.map(|_| written.affected);
    let single_id = match written.ids.as_slice() {
        // The id of a row that was there before is no new one.
        _ if written.applied == Some(false) => None,
        [Some(id)] => Some(id.as_ref()),
        _ => None,
    };
    if as_array {
        let mut response = array(written, count);
        if let Some(id) = single_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert(RESOURCE_ID, id);
        }
        return response;
    }
    let message = if request.dry_run {
        format!("Dry run: {} rows would be inserted; nothing was changed", written.affected)
    } else if written.applied == Some(false) {
        "Nothing was inserted: a row with this primary key is there".to_owned()
    } else {
        "Data inserted successfully".to_owned()
    };
    let mut body = Body::open(&message, written.rows.len());
    body.data(written, request.many);
    body.name("resource_id");
    match (request.many, single_id) {
        (false, Some(id)) => body.text(id),
        _ => body.raw(b"null"),
    }
    if request.many {
        body.name("resource_ids");
        body.raw(b"[");
        for (place, id) in written.ids.iter().enumerate() {
            if place > 0 {
                body.raw(b",");
            }
            match id {
                Some(id) => body.text(id),
                None => body.raw(b"null"),
            }
        }
        body.raw(b"]");
    }
    body.name("table_name");
    body.text(&request.relation.to_string());
    body.finish(written, count, request.dry_run)
}

/// The answer of a delete (contract 9.3, D2).
pub fn deleted(written: &Written, request: &DeleteRequest, client: &ClientName, as_array: bool) -> Response {
    let count = request.count.map(|_| written.affected);
    if as_array {
        return array(written, count);
    }
    let message = if request.dry_run {
        format!("Dry run: {} rows would be deleted; nothing was changed", written.affected)
    } else if written.applied == Some(false) {
        "Nothing was deleted: the row is not there, or does not meet `if`".to_owned()
    } else {
        "Data deleted successfully".to_owned()
    };
    let mut body = Body::open(&message, written.rows.len());
    body.data(written, request.many);
    body.name("deleted_count");
    body.raw(written.affected.to_string().as_bytes());
    body.name("table_name");
    body.text(&request.relation.to_string());
    body.name("resource_id");
    match &request.resource_id {
        Some(Value::Text(id) | Value::Number(id)) => body.text(id),
        Some(Value::Null | Value::Bool(_) | Value::Json(_)) | None => body.raw(b"null"),
    }
    body.name("client");
    body.text(client.as_str());
    body.finish(written, count, request.dry_run)
}

fn array(written: &Written, count: Option<u64>) -> Response {
    let mut body = Vec::with_capacity(written.rows.len() + 2);
    body.push(b'[');
    if written.applied != Some(false) {
        body.extend_from_slice(&written.rows);
    }
    body.push(b']');
    let mut response = whole(RowFormat::Json, body);
    applied_beside(&mut response, written);
    if let Some(count) = count {
        number_header(&mut response, COUNT, count);
    }
    response
}

/// An object that is being written.
struct Body(Vec<u8>);

impl Body {
    fn open(message: &str, rows: usize) -> Self {
        let mut body = Self(Vec::with_capacity(rows + 256));
        body.raw(br#"{"status":"success","success":true"#);
        body.name("message");
        body.text(message);
        body
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn name(&mut self, name: &str) {
        self.raw(b",\"");
        self.raw(name.as_bytes());
        self.raw(b"\":");
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'"');
        escape_into(text, &mut self.0);
        self.0.push(b'"');
    }

    /// `data`: an array where several rows may come, else the row or null.
    fn data(&mut self, written: &Written, many: bool) {
        self.name("data");
        let rows = if written.applied == Some(false) { 0 } else { written.row_count };
        match (many || rows > 1, rows) {
            (true, 0) => self.raw(b"[]"),
            (true, _) => {
                self.raw(b"[");
                self.raw(&written.rows);
                self.raw(b"]");
            }
            (false, 0) => self.raw(b"null"),
            (false, _) => self.raw(&written.rows),
        }
    }

    fn finish(mut self, written: &Written, count: Option<u64>, dry_run: bool) -> Response {
        applied_into(written, &mut self.0);
        if let Some(count) = count {
            self.name("count");
            self.raw(count.to_string().as_bytes());
        }
        if dry_run {
            self.raw(b",\"dry_run\":true");
        }
        self.raw(b"}");
        whole(RowFormat::Json, self.0)
    }
}
