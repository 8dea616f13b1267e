//! From a request to what observers are told of it, once its answer has left, broken off, or been given up.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use athena_application::Trail;
use athena_application::budgets::Spending;
use athena_application::ports::{
    AuditIds, CallerAddress, Observation, Observer, OperationObservation, Stages, TraceParent,
};
use athena_domain::rows::escape_into;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use poem::http::{HeaderMap, HeaderValue};
use poem::{Request, Response};

use crate::client_address::ClientAddress;
use crate::headers::request_id::RequestId;
use crate::headers::{self, trace_parent};
use crate::record::{Notes, Record};
use crate::security::{redacted_query, without_key};

/// Headers that are looked at. The first [`LISTED`] may be kept as they are: none of them holds anything secret.
const SEEN: [&str; LISTED + 4] = [
    "accept",
    "content-type",
    "content-length",
    "cache-control",
    "origin",
    "x-athena-client",
    "x-strip-nulls",
    "x-athena-big-numbers",
    "x-publish-event",
    "user-agent",
    "x-user-id",
    "x-company-id",
    "x-organization-id",
];

/// How many of them are kept in the list of headers; the others have places of their own.
const LISTED: usize = 9;

/// Longest text of a caller that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 512;

/// The status of a request that was given up before its answer began; no answer of ours has it.
const GIVEN_UP: u16 = 499;

/// Whether a segment of a pattern stands for any text: `{id}`, or `:id`.
fn is_parameter(segment: &str) -> bool {
    segment.starts_with(['{', ':'])
}

/// Patterns of the routes, for a bounded number of names.
#[derive(Debug, Default)]
pub struct RouteNames {
    /// Paths without parameters.
    fixed: HashSet<&'static str, foldhash::fast::RandomState>,
    with_parameters: Vec<&'static str>,
}

/// What a path is called that no route has.
const UNMATCHED: &str = "unmatched";

impl RouteNames {
    /// The names of these patterns, such as `/admin/api-keys/{id}`. Made once for the life of the process.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let names = patterns.into_iter().map(|pattern| &*Box::leak(pattern.to_owned().into_boxed_str()));
        let (with_parameters, fixed) = names.partition::<Vec<_>, _>(|name| name.split('/').any(is_parameter));
        Self { fixed: fixed.into_iter().collect(), with_parameters }
    }

    /// Fixed segments win over parameters.
    fn of(&self, path: &str) -> &'static str {
        let fits = |pattern: &str| {
            let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
            loop {
                match (pattern.next(), path.next()) {
                    (None, None) => return true,
                    (Some(segment), Some(given)) if segment == given || is_parameter(segment) => {}
                    _ => return false,
                }
            }
        };
        let fixed = self.fixed.get(path);
        fixed.or_else(|| self.with_parameters.iter().find(|name| fits(name))).copied().unwrap_or(UNMATCHED)
    }
}

/// A request on its way; when it is dropped, the observer is told and the key's budget pays.
pub struct Sighting {
    /// Who is told, and everything but what the handler tells; none when nobody listens.
    told: Option<(Arc<dyn Observer>, Box<Observation>)>,
    /// What the handler tells.
    notes: Notes,
    began: Instant,
    /// Bytes of the answer.
    bytes: u64,
    /// Whether the answer has left whole.
    whole: bool,
    trail: Option<Arc<Trail>>,
    /// What the request takes from its key's budget.
    spending: Option<Arc<Spending>>,
}

impl Sighting {
    /// Begins to watch a request.
    pub fn begin(observer: Option<&Arc<dyn Observer>>, request: &mut Request, names: &RouteNames) -> Self {
        let notes = Notes::default();
        request.extensions_mut().insert(notes.clone());
        let told = observer.map(|observer| {
            observer.begins();
            (observer.clone(), Box::new(seen(request, names)))
        });
        Self { told, notes, began: Instant::now(), bytes: 0, whole: false, trail: None, spending: None }
    }

    /// Notes that the answer begins.
    pub fn answer(&mut self, response: &mut Response) {
        let record = self.notes.take();
        if let Some(record) = record.as_ref().filter(|record| record.wants_timing) {
            response
                .headers_mut()
                .extend(timing(record, self.began.elapsed()).map(|value| (headers::SERVER_TIMING, value)));
        }
        if let Some((_, observation)) = &mut self.told {
            observation.status = response.status().as_u16();
        }
        if let Some(record) = record {
            self.adopt(record);
        }
    }

    /// Takes over what the handler knows.
    fn adopt(&mut self, record: Record) {
        self.trail = record.trail;
        self.spending = record.spending;
        let Some((_, observation)) = &mut self.told else { return };
        observation.stages = Stages { decode: record.decode, auth: record.auth_time, ..Stages::default() };
        observation.code = record.code;
        observation.message = record.message;
        observation.client = record.client;
        observation.client_known = record.client_known;
        observation.auth = record.auth;
        observation.operation = record.operation.map(|name| OperationObservation {
            name,
            system: None,
            table: record.table,
            rows: 0,
            affected: 0,
            duration: Default::default(),
            offset: Default::default(),
        });
    }

    /// Whether anybody waits for the end of the request.
    pub fn matters(&self) -> bool {
        self.told.is_some() || self.spending.is_some()
    }

    /// Travels with the answer to the connection that writes it.
    pub fn travel_with(self, response: &mut Response) {
        response.extensions_mut().insert(Passenger(Arc::new(Mutex::new(Some(self)))));
    }

    /// Notes that the answer has left whole.
    fn whole(mut self, bytes: u64) {
        (self.bytes, self.whole) = (bytes, true);
    }
}

impl Drop for Sighting {
    fn drop(&mut self) {
        // Still there when the request is given up: its handler was dropped just before.
        if let Some(record) = self.notes.take() {
            self.adopt(record);
        }
        let trail = self.trail.take();
        let (rows, affected) = trail.as_ref().map_or((0, 0), |trail| (trail.rows(), trail.affected()));
        if let Some(spending) = self.spending.take() {
            spending.settle(rows.max(affected), self.bytes);
        }
        let Some((observer, mut observation)) = self.told.take() else { return };
        observation.duration = self.began.elapsed();
        observation.bytes = self.bytes;
        if !self.whole {
            note_end(&mut observation);
        }
        if let (Some(trail), Some(operation)) = (&trail, &mut observation.operation) {
            let stages = trail.stages();
            (observation.stages.plan, observation.stages.pool) = (stages.plan, stages.pool);
            observation.stages.db = stages.db;
            (operation.rows, operation.affected) = (rows, affected);
            operation.duration = stages.plan + stages.pool + stages.db;
            match trail.asked() {
                Some(asked) => {
                    operation.offset = asked.at.into_std().saturating_duration_since(self.began);
                    operation.system = Some(asked.system);
                }
                None => observation.operation = None,
            }
        } else {
            observation.operation = None;
        }
        observation.stages.shape = observation.stages.rest(observation.duration);
        observer.observe(&observation);
    }
}

/// Says of a request whose answer has not left whole what became of it. Whether its caller left or a stop of the
/// gateway cut it off is the same from here.
fn note_end(observation: &mut Observation) {
    observation.broken = observation.status != GIVEN_UP;
    if observation.code.is_none() {
        let (code, message) = match observation.broken {
            true => ("answer_broken", "The answer broke off before its end."),
            false => ("given_up", "The request was given up before its answer began."),
        };
        (observation.code, observation.message) = (Some(code), Some(message.into()));
    }
}

/// What a request tells before it is answered.
fn seen(request: &Request, names: &RouteNames) -> Observation {
    let extensions = request.extensions();
    let address = extensions.get::<ClientAddress>();
    let trace = extensions.get::<trace_parent::TraceParent>();
    let (headers, others) = kept(request.headers());
    let [user_agent, user, company, organization] = others.map(|text| text.map(|text| cut(text).into()));
    let path = request.uri().path();
    Observation {
        request_id: extensions.get::<RequestId>().map_or("", RequestId::as_str).into(),
        began: SystemTime::now(),
        duration: Default::default(),
        stages: Stages::default(),
        method: cut(request.method().as_str()).into(),
        route: names.of(path),
        path: cut(without_key(path)).into(),
        query: request.uri().query().map(|query| cut(&redacted_query(query)).into()),
        status: GIVEN_UP,
        code: None,
        message: None,
        broken: false,
        bytes: 0,
        client: None,
        client_known: false,
        caller: CallerAddress {
            ip: address.and_then(|address| address.ip),
            scheme: address.map_or("", |address| address.scheme),
            host: address.and_then(|address| address.host()).map(|host| cut(host).into()),
            user_agent,
        },
        audit: AuditIds { user, company, organization },
        headers,
        auth: None,
        operation: None,
        cached: false,
        trace: trace.map(|trace| TraceParent {
            trace_id: trace.trace_id.to_be_bytes(),
            span_id: trace.span_id.to_be_bytes(),
            sampled: trace.sampled,
        }),
    }
}

/// The headers that may be kept, as a JSON object, and the texts of the others. Of one that is given several times the
/// first counts.
fn kept(headers: &HeaderMap) -> (String, [Option<&str>; SEEN.len() - LISTED]) {
    let mut found = [None; SEEN.len()];
    // Mostly there are hardly more headers than are looked for: holding each against all of these is done sooner than
    // looking them up one by one.
    for (name, value) in headers {
        let name = name.as_str();
        if let Some(place) = SEEN.iter().position(|seen| *seen == name) {
            found[place].get_or_insert(value);
        }
    }
    let mut list = Vec::with_capacity(256);
    list.push(b'{');
    let open = |list: &mut Vec<u8>, label: &str| {
        list.extend_from_slice(if list.len() == 1 { b"\"" } else { b",\"" });
        list.extend_from_slice(label.as_bytes());
        list.extend_from_slice(b"\":\"");
    };
    for (label, value) in SEEN.iter().zip(&found[..LISTED]) {
        let Some(value) = value else { continue };
        if is_plain(value.as_bytes()) {
            open(&mut list, label);
            list.extend_from_slice(value.as_bytes());
        } else if let Some(text) = headers::text_of(value) {
            open(&mut list, label);
            escape_into(cut(without_key(text)), &mut list);
        } else {
            continue;
        }
        list.push(b'"');
    }
    list.push(b'}');
    let [.., user_agent, user, company, organization] = found;
    let others = [user_agent, user, company, organization]
        .map(|value| value.and_then(headers::text_of).map(without_key));
    (String::from_utf8(list).expect("texts make a text"), others)
}

/// Whether a header's value can be kept as it stands, as nearly all can: printable ASCII that JSON needs no escape for,
/// not too long, without blanks around it, and without the underscore of an API key's beginning.
fn is_plain(value: &[u8]) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b' ');
    // Not until the first that is not: so it is done for many bytes at once.
    let odd = |any, byte: &u8| {
        any | !(b' '..0x7f).contains(byte) | (*byte == b'"') | (*byte == b'\\') | (*byte == b'_')
    };
    value.len() <= MAX_TEXT_BYTES
        && ends(value.first())
        && ends(value.last())
        && !value.iter().fold(false, odd)
}

/// The beginning of a text, whole characters only.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// A body whose end is told.
pub struct Watched<B> {
    body: B,
    bytes: u64,
    sighting: Option<Sighting>,
}

/// Where the time went until the answer began, as a header tells it. What is in none of the other stages is shaping.
fn timing(record: &Record, total: Duration) -> Option<HeaderValue> {
    let known = record.trail.as_ref().map(|trail| trail.stages()).unwrap_or_default();
    let known = Stages { decode: record.decode, auth: record.auth_time, ..known };
    let stages = Stages { shape: known.rest(total), ..known }.named();
    let told = stages.map(|(name, took)| format!("{name};dur={:.3}", took.as_secs_f64() * 1000.0));
    HeaderValue::from_str(&told.join(", ")).ok()
}

/// A sighting on its way from the application to the connection.
#[derive(Clone)]
struct Passenger(Arc<Mutex<Option<Sighting>>>);

/// Turns an answer into what the connection writes, and watches its body: one of known length counts as sent.
pub fn release(response: Response) -> hyper::Response<BoxBody<Bytes, io::Error>> {
    let mut response: hyper::Response<BoxBody<Bytes, io::Error>> = response.into();
    let passenger = response.extensions_mut().remove::<Passenger>();
    let taken =
        passenger.and_then(|Passenger(seat)| seat.lock().unwrap_or_else(PoisonError::into_inner).take());
    let Some(sighting) = taken else { return response };
    match response.body().size_hint().exact() {
        Some(bytes) => {
            sighting.whole(bytes);
            response
        }
        None => response.map(|body| Watched { body, bytes: 0, sighting: Some(sighting) }.boxed()),
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(None) => {
                let bytes = self.bytes;
                if let Some(sighting) = self.sighting.take() {
                    sighting.whole(bytes);
                }
            }
            // An error, or a reader who leaves, drops the sighting as it is: broken.
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        if let Some(sighting) = &mut self.sighting {
            sighting.bytes = self.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_get_the_name_of_their_route() {
        let names =
            RouteNames::new(["/", "/gateway/fetch", "/admin/clients/{name}", "/admin/clients/statistics"]);
        let check = |path, expected| assert_eq!(names.of(path), expected, "{path}");
        check("/", "/");
        check("/gateway/fetch", "/gateway/fetch");
        check("/admin/clients/statistics", "/admin/clients/statistics");
        check("/admin/clients/x", "/admin/clients/{name}");
        check("/admin/clients/x/y", "unmatched");
        check("/gateway/fetch/", "unmatched");
    }
}
