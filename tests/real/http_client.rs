//! The client of HTTP, with nginx as the origin.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use sluicegate_protocols::http::Method;
use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Request, Response, Take,
};
use sluicegate_reactor::fs::Committed;
use sluicegate_reactor::fs::{CreateOptions, Dir};
use sluicegate_reactor::{Address, Payload, Reactor, Turn};
use tempfile::{TempDir, tempdir};

use crate::process::{Process, eventually, has};
use crate::random::noise;

pub(crate) struct Nginx {
    pub(crate) address: Address,
    _process: Process,
    dir: TempDir,
}

impl Nginx {
    /// Starts one that serves the folder `www`, and closes connections after a few requests.
    pub(crate) fn start() -> Nginx {
        let dir = tempdir().expect("a new directory");
        let path = dir.path().to_str().expect("a path in UTF-8");
        fs::create_dir(dir.path().join("www")).expect("a folder");
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log /dev/null; events {{}}
             http {{
                 access_log off; keepalive_requests 5; client_body_temp_path {path}/temp;
                 proxy_temp_path {path}/temp; fastcgi_temp_path {path}/temp;
                 uwsgi_temp_path {path}/temp; scgi_temp_path {path}/temp;
                 server {{
                     listen unix:{path}/socket; root {path}/www; client_max_body_size 0;
                     autoindex on; dav_methods PUT;
                 }}
             }}"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(path).arg("-c").arg(file).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        let socket = dir.path().join("socket");
        eventually("nginx listens", || UnixStream::connect(&socket).ok());
        let address = Address::from_path(&socket).expect("a short path");
        Nginx { address, _process: process, dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("www").join(name)
    }
}

/// What is known of an exchange when it is over: the status and the body.
type Over = Rc<RefCell<Vec<(u16, Vec<u8>)>>>;

/// Sends one request after the other.
struct Fetch {
    client: Client<Fetch>,
    left: Vec<Request>,
    over: Over,
    status: u16,
    /// Where bodies are saved.
    folder: Option<Dir>,
}

impl Fetch {
    fn next(mut self, cx: &mut Turn, body: Vec<u8>) {
        self.over.borrow_mut().push((self.status, body));
        match self.left.pop() {
            Some(request) => _ = self.client.clone().send(cx, request, self),
            None => cx.stop(),
        }
    }
}

impl Exchange for Fetch {
    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        self.status = response.status().code();
        match &self.folder {
            Some(folder) => {
                Take::File(folder.create("saved", &CreateOptions::default()).expect("a new file"))
            }
            None => Take::Whole(8 << 20),
        }
    }

    fn on_body(self, cx: &mut Turn, body: Payload<'_>) {
        self.next(cx, body.to_vec());
    }

    fn on_saved(self, cx: &mut Turn, _: Committed) {
        self.next(cx, Vec::new());
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        panic!("{error}");
    }
}

/// Sends requests, the last one first, and returns the responses in the order of their arrival.
fn fetch(nginx: &Nginx, mut requests: Vec<Request>, saves: bool) -> Vec<(u16, Vec<u8>)> {
    let mut reactor = Reactor::new().expect("a reactor");
    let client = Client::new(&mut reactor, &nginx.address, &ClientOptions::default())
        .expect("room for a connector");
    let (first, over) = (requests.pop().expect("a request"), Over::default());
    let folder = saves.then(|| reactor.open_dir(nginx.dir.path()).expect("a folder"));
    let exchange =
        Fetch { client: client.clone(), left: requests, over: over.clone(), status: 0, folder };
    client.send(&mut reactor, first, exchange);
    reactor.run().expect("events");
    over.take()
}

const SIZES: [usize; 5] = [0, 1, 16_384, 100_000, 5 << 20];

#[test]
fn files_of_any_size_arrive_over_connections_that_the_origin_closes_at_times() {
    if !has("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let mut requests = Vec::new();
    for size in SIZES {
        fs::write(nginx.path(&size.to_string()), noise(size, 1)).expect("a file");
        requests.push(Request::new(Method::Head, &format!("/{size}")));
        requests.push(Request::get("/missing"));
        requests.push(Request::get("/"));
        requests.push(Request::get(&format!("/{size}")));
    }
    let mut responses = fetch(&nginx, requests, false);
    for size in SIZES {
        assert_eq!(responses.pop(), Some((200, Vec::new())), "HEAD");
        assert_eq!(responses.pop().map(|(status, _)| status), Some(404));
        let (status, listing) = responses.pop().expect("a listing, which is chunked");
        assert!(status == 200 && String::from_utf8_lossy(&listing).contains("5242880"));
        assert!(responses.pop() == Some((200, noise(size, 1))), "{size}");
    }
}

#[test]
fn what_is_put_is_there_and_what_is_saved_is_the_same() {
    if !has("nginx") {
        return;
    }
    let nginx = Nginx::start();
    for size in SIZES {
        let body = noise(size, 2);
        let put = Request::new(Method::Put, &format!("/put-{size}")).body(&body);
        assert_eq!(fetch(&nginx, vec![put], false), [(201, Vec::new())]);
        assert!(fs::read(nginx.path(&format!("put-{size}"))).expect("a file") == body, "{size}");
        let get = Request::get(&format!("/put-{size}"));
        assert_eq!(fetch(&nginx, vec![get], true), [(200, Vec::new())]);
        assert!(fs::read(nginx.dir.path().join("saved")).expect("a file") == body, "{size}");
    }
}
