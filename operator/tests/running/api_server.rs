//! An API server in this process, as far as the operator uses one, with the faults that networks and real ones have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Where an object is: resource with its group, namespace, name.
pub(crate) type Place = (String, String, String);

/// The longest body that is read, in bytes.
const BODY_MAX_BYTES: usize = 8 << 20;

/// What a door does to those who come by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Requests are read and never answered; running watches fall silent.
    Hangs,
    /// Likewise, but only those of Leases.
    LeasesHang,
}

/// A part of an object that is written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// All but its status.
    Object,
    Status,
}

/// A write as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) door: usize,
    pub(crate) method: Method,
    pub(crate) place: Place,
    pub(crate) manager: Option<String>,
    pub(crate) status: StatusCode,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
struct Cluster {
    version: u64,
    objects: BTreeMap<Place, Value>,
    /// Every change, by resource: version, type and object.
    events: BTreeMap<String, Vec<(u64, &'static str, Value)>>,
    writes: Vec<Write>,
    /// Watches that were begun, by resource and door.
    watches: BTreeMap<(String, usize), u64>,
    /// How writes of these objects, or of their status, end; they hang where nothing is said.
    spoilt: BTreeMap<(Place, Part), Option<StatusCode>>,
    /// How many watches are answered by 410 yet.
    gone: u32,
    /// Each event is told twice, and the one before it once more after it.
    repeats: bool,
}

/// The server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct ApiServer {
    cluster: Arc<Mutex<Cluster>>,
    /// Moves with each change, and with each call for watches to end.
    moved: watch::Sender<u64>,
    epoch: watch::Sender<u64>,
    ways: Arc<Mutex<Vec<watch::Sender<Way>>>>,
}

#[derive(Clone)]
struct Door {
    server: ApiServer,
    number: usize,
    way: watch::Receiver<Way>,
}

/// A request, taken apart.
struct Asked {
    place: Place,
    subresource: Option<String>,
    query: BTreeMap<String, String>,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Arc::default(),
            moved: watch::Sender::new(0),
            epoch: watch::Sender::new(0),
            ways: Arc::default(),
        }
    }

    /// Opens a door of its own for one client, and returns its number and the client.
    pub(crate) async fn door(&self) -> (usize, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (sender, way) = watch::channel(Way::Open);
        let number = {
            let mut ways = self.ways.lock();
            ways.push(sender);
            ways.len() - 1
        };
        let door = Door { server: self.clone(), number, way };
        let routes = Router::new().fallback(answer).with_state(door);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        (number, Client::try_from(config).unwrap())
    }

    pub(crate) fn set_way(&self, door: usize, way: Way) {
        self.ways.lock()[door].send_replace(way);
    }

    /// Puts an object as a person would apply it; returns it.
    pub(crate) fn put(&self, resource: &str, object: Value) -> Value {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = (resource.to_owned(), text("/metadata/namespace"), text("/metadata/name"));
        let mut cluster = self.cluster.lock();
        let put = cluster.store(&place, object);
        drop(cluster);
        self.wake();
        put
    }

    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let place = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.cluster.lock().remove(&place).expect("an object to remove");
        self.wake();
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.cluster.lock().objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Every object of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let cluster = self.cluster.lock();
        cluster.objects.iter().filter(|(place, _)| place.0 == resource).map(|(_, object)| object.clone()).collect()
    }

    /// Every version that an object has had.
    pub(crate) fn history(&self, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
        let cluster = self.cluster.lock();
        let is_it =
            |object: &&Value| object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name;
        let events = cluster.events.get(resource).into_iter().flatten();
        events.map(|(_, _, object)| object).filter(is_it).cloned().collect()
    }

    /// Writes of anything but Leases and Events, from the `since`th on.
    pub(crate) fn writes(&self, since: usize) -> Vec<Write> {
        let cluster = self.cluster.lock();
        let counts = |write: &&Write| !["leases", "events"].contains(&write.place.0.as_str());
        cluster.writes.iter().filter(counts).skip(since).cloned().collect()
    }

    /// Ends every watch, as a server that restarts does. The next `gone` ones are answered by 410.
    pub(crate) fn drop_watches(&self, gone: u32) {
        self.cluster.lock().gone = gone;
        self.epoch.send_modify(|epoch| *epoch += 1);
        self.wake();
    }

    /// Lets watches tell events twice and out of order from now on.
    pub(crate) fn repeat_events(&self) {
        self.cluster.lock().repeats = true;
    }

    /// Lets writes of a part of an object fail with a code; with none they hang.
    pub(crate) fn spoil(&self, part: Part, resource: &str, namespace: &str, name: &str, code: Option<StatusCode>) {
        let place = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.cluster.lock().spoilt.insert((place, part), code);
    }

    /// Lets every write succeed again.
    pub(crate) fn mend(&self) {
        self.cluster.lock().spoilt.clear();
    }

    /// How many watches of a resource were begun.
    pub(crate) fn watches(&self, resource: &str) -> u64 {
        let cluster = self.cluster.lock();
        cluster.watches.iter().filter(|((watched, _), _)| watched == resource).map(|(_, count)| count).sum()
    }

    fn wake(&self) {
        self.moved.send_modify(|moved| *moved += 1);
    }
}

impl Cluster {
    /// Stores an object; what differs only in its version is no change.
    fn store(&mut self, place: &Place, mut object: Value) -> Value {
        let before = self.objects.get(place).cloned();
        let kept = |field: &str, new: Value| before.as_ref().map_or(new, |before| before["metadata"][field].clone());
        let spec_differs = before.as_ref().is_none_or(|before| before["spec"] != object["spec"]);
        object["metadata"]["uid"] = kept("uid", json!(format!("{}-{}", place.2, self.version)));
        // One second younger than the last one that was made.
        let created = json!(format!(
            "2026-01-01T{:02}:{:02}:{:02}Z",
            self.version / 3_600,
            self.version / 60 % 60,
            self.version % 60
        ));
        object["metadata"]["creationTimestamp"] = kept("creationTimestamp", created);
        let generation = before.as_ref().and_then(|before| before["metadata"]["generation"].as_i64()).unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + i64::from(spec_differs));
        object["metadata"]["resourceVersion"] = kept("resourceVersion", Value::Null);
        if before.as_ref() == Some(&object) {
            return object;
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let type_ = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.entry(place.0.clone()).or_default().push((self.version, type_, object.clone()));
        self.objects.insert(place.clone(), object.clone());
        object
    }

    fn remove(&mut self, place: &Place) -> Option<Value> {
        let mut object = self.objects.remove(place)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.entry(place.0.clone()).or_default().push((self.version, "DELETED", object.clone()));
        Some(object)
    }

    /// Applies what one manager says: what others said of metadata and status stays.
    fn apply(&mut self, asked: &Asked, said: Value) -> Result<Value, StatusCode> {
        let before = self.objects.get(&asked.place).cloned();
        let uid = |object: &Value| object["metadata"]["uid"].as_str().map(str::to_owned);
        if uid(&said).is_some_and(|said| before.as_ref().and_then(uid) != Some(said)) {
            return Err(if before.is_some() { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND });
        }
        let object = match (before, asked.subresource.as_deref()) {
            (Some(before), Some("status")) => merged(before, json!({ "status": said["status"] })),
            (None, Some(_)) => return Err(StatusCode::NOT_FOUND),
            (Some(before), _) => merged(before, said),
            (None, _) => said,
        };
        Ok(self.store(&asked.place, object))
    }

    /// What a watch tells after a version.
    fn after(&self, resource: &str, version: u64) -> Vec<(u64, String)> {
        let events = self.events.get(resource).map(Vec::as_slice).unwrap_or_default();
        let line = |type_: &str, object: &Value| format!("{}\n", json!({ "type": type_, "object": object }));
        let mut lines = Vec::new();
        for (index, (at, type_, object)) in events.iter().enumerate().filter(|(_, (at, ..))| *at > version) {
            let mut told = line(type_, object);
            if self.repeats {
                told += &line(type_, object);
                let place =
                    |object: &Value| (object["metadata"]["namespace"].clone(), object["metadata"]["name"].clone());
                let earlier = events[..index]
                    .iter()
                    .rev()
                    .find(|(_, type_, other)| *type_ != "DELETED" && *at > 0 && place(other) == place(object));
                if let Some((_, _, earlier)) = earlier.filter(|_| *type_ != "DELETED") {
                    told += &line("MODIFIED", earlier);
                }
            }
            lines.push((*at, told));
        }
        lines
    }
}

fn merged(mut before: Value, said: Value) -> Value {
    let metadata = said["metadata"].clone();
    for (key, value) in said.as_object().unwrap().iter().filter(|(key, _)| *key != "metadata") {
        before[key] = value.clone();
    }
    for key in ["labels", "annotations", "ownerReferences"] {
        if let Some(value) = metadata.get(key).filter(|value| !value.is_null()) {
            before["metadata"][key] = value.clone();
        }
    }
    before
}

async fn answer(State(mut door): State<Door>, request: Request) -> Response {
    let asked = Asked::of(&request);
    let hangs = match *door.way.borrow() {
        Way::Open => false,
        Way::Hangs => true,
        Way::LeasesHang => asked.place.0 == "leases",
    };
    if hangs {
        let _open = door.way.wait_for(|way| *way == Way::Open).await;
        return failure(StatusCode::GATEWAY_TIMEOUT);
    }
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), BODY_MAX_BYTES).await.unwrap_or_default();
    if method == Method::GET {
        return door.read(&asked);
    }
    let part = if asked.subresource.is_some() { Part::Status } else { Part::Object };
    let spoilt = door.server.cluster.lock().spoilt.get(&(asked.place.clone(), part)).copied();
    let result = match spoilt {
        Some(None) => {
            door.log(&method, &asked, StatusCode::REQUEST_TIMEOUT);
            std::future::pending().await
        }
        Some(Some(code)) => Err(code),
        None => door.write(&method, &asked, &body),
    };
    door.log(&method, &asked, result.as_ref().err().copied().unwrap_or(StatusCode::OK));
    door.server.wake();
    match result {
        Ok(object) => (StatusCode::OK, axum::Json(object)).into_response(),
        Err(code) => failure(code),
    }
}

impl Asked {
    fn of(request: &Request) -> Self {
        let mut parts = request.uri().path().trim_matches('/').split('/').map(str::to_owned);
        // `api/v1` or `apis/GROUP/VERSION`.
        let of_group = parts.next().as_deref() == Some("apis");
        parts.nth(usize::from(of_group));
        let mut rest: Vec<String> = parts.collect();
        let mut namespace = String::new();
        if rest.len() >= 3 && rest[0] == "namespaces" {
            namespace = rest.remove(1);
            rest.remove(0);
        }
        let mut rest = rest.into_iter();
        let mut next = || rest.next().unwrap_or_default();
        let place = (next(), namespace, next());
        let query = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self {
            place,
            subresource: Some(next()).filter(|part| !part.is_empty()),
            query: query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl Door {
    fn log(&self, method: &Method, asked: &Asked, status: StatusCode) {
        self.server.cluster.lock().writes.push(Write {
            door: self.number,
            method: method.clone(),
            place: asked.place.clone(),
            manager: asked.query.get("fieldManager").cloned(),
            status,
            at: Instant::now(),
        });
    }

    fn read(&self, asked: &Asked) -> Response {
        let (resource, namespace, name) = &asked.place;
        if asked.query.contains_key("watch") {
            return self.watch(asked);
        }
        let cluster = self.server.cluster.lock();
        if !name.is_empty() {
            return match cluster.objects.get(&asked.place) {
                Some(object) => axum::Json(object.clone()).into_response(),
                None => failure(StatusCode::NOT_FOUND),
            };
        }
        let listed = |(of, within, _): &Place| of == resource && (namespace.is_empty() || within == namespace);
        let items: Vec<&Value> =
            cluster.objects.iter().filter(|(place, _)| listed(place)).map(|(_, one)| one).collect();
        let version = cluster.version.to_string();
        axum::Json(json!({
            "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version }, "items": items,
        }))
        .into_response()
    }

    /// Tells what changed after the version, then what changes, then bookmarks, until watches are dropped.
    fn watch(&self, asked: &Asked) -> Response {
        let resource = asked.place.0.clone();
        {
            let mut cluster = self.server.cluster.lock();
            *cluster.watches.entry((resource.clone(), self.number)).or_default() += 1;
            if cluster.gone > 0 {
                cluster.gone -= 1;
                let status = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old", "status": "Failure" });
                return format!("{}\n", json!({ "type": "ERROR", "object": status })).into_response();
            }
        }
        let version = asked.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let epoch = *self.server.epoch.borrow();
        let watching = Watching { door: self.clone(), moved: self.server.moved.subscribe(), resource, version, epoch };
        Body::from_stream(stream::unfold(watching, Watching::next)).into_response()
    }

    fn write(&self, method: &Method, asked: &Asked, body: &Bytes) -> Result<Value, StatusCode> {
        let mut cluster = self.server.cluster.lock();
        let mut said: Value = serde_json::from_slice(body).unwrap_or_default();
        match method.as_str() {
            "PATCH" => cluster.apply(asked, said),
            "POST" => {
                let name = said["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let place = (asked.place.0.clone(), asked.place.1.clone(), name);
                if cluster.objects.contains_key(&place) {
                    return Err(StatusCode::CONFLICT);
                }
                said["metadata"]["namespace"] = json!(place.1);
                Ok(cluster.store(&place, said))
            }
            "PUT" => {
                let known = cluster.objects.get(&asked.place).ok_or(StatusCode::NOT_FOUND)?;
                if known["metadata"]["resourceVersion"] != said["metadata"]["resourceVersion"] {
                    return Err(StatusCode::CONFLICT);
                }
                Ok(cluster.store(&asked.place, said))
            }
            "DELETE" => {
                let wanted = said.pointer("/preconditions/uid");
                let known = cluster.objects.get(&asked.place).ok_or(StatusCode::NOT_FOUND)?;
                if wanted.is_some_and(|uid| *uid != known["metadata"]["uid"]) {
                    return Err(StatusCode::CONFLICT);
                }
                cluster.remove(&asked.place).ok_or(StatusCode::NOT_FOUND)
            }
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}

/// A watch that goes on.
struct Watching {
    door: Door,
    moved: watch::Receiver<u64>,
    resource: String,
    version: u64,
    epoch: u64,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<String, std::io::Error>, Self)> {
        loop {
            self.moved.borrow_and_update();
            if *self.door.server.epoch.borrow() != self.epoch {
                return None;
            }
            let open = *self.door.way.borrow() != Way::Hangs;
            let events = self.door.server.cluster.lock().after(&self.resource, self.version);
            if let Some((version, _)) = events.last().filter(|_| open) {
                self.version = *version;
                return Some((Ok(events.into_iter().map(|(_, line)| line).collect()), self));
            }
            let moved = self.moved.changed().await;
            if moved.is_err() {
                return None;
            }
            // Something else changed: a bookmark says how far this watch has come.
            let version = self.door.server.cluster.lock().version;
            if open
                && self.door.server.cluster.lock().after(&self.resource, self.version).is_empty()
                && version > self.version
            {
                self.version = version;
                let object = json!({ "kind": "Bookmark", "apiVersion": "v1", "metadata": { "resourceVersion": version.to_string() } });
                return Some((Ok(format!("{}\n", json!({ "type": "BOOKMARK", "object": object }))), self));
            }
        }
    }
}

fn failure(code: StatusCode) -> Response {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, axum::Json(status)).into_response()
}
