//! HTTP Basic authentication (RFC 7617), with read and write rights by path.
//!
//! A [`Middleware`](crate::http::Middleware) calls [`BasicAuth::admit`] before it passes a request
//! on.
//!
//! ```
//! use std::sync::Arc;
//!
//! use sluicegate_protocols::auth::{BasicAuth, Checked, Users};
//! use sluicegate_protocols::files::{Files, FilesOptions, Upload};
//! use sluicegate_protocols::http::{Answered, Http, Middleware, Reply, Request, Service};
//! use sluicegate_reactor::workers::Workers;
//! use sluicegate_reactor::{Reactor, Receive, Sessions, mailbox};
//!
//! struct Site {
//!     auth: BasicAuth,
//!     files: Files,
//! }
//!
//! impl Middleware for Site {
//!     type Inner = Files;
//!
//!     fn inner(&self) -> &Files {
//!         &self.files
//!     }
//!
//!     fn inner_mut(&mut self) -> &mut Files {
//!         &mut self.files
//!     }
//!
//!     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
//!         match self.auth.admit(request, reply) {
//!             Ok(reply) => self.files.call(request, reply),
//!             Err(answered) => answered,
//!         }
//!     }
//! }
//!
//! /// A worker has checked a password.
//! impl Receive<Checked> for Site {
//!     fn on_message(&mut self, cx: &mut Sessions<'_>, checked: Checked) {
//!         self.auth.finish(cx, checked);
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! // Everyone may read /public. Alice, whose password is "secret", may read and write everything.
//! let users = Users::parse(
//!     "@/public\n\
//!      alice:$2y$05$LHMmVs6dZ0jxuhbQmmXqEevjt/fV4MpWZ1YpZ13x22jdrd/Mbp1cK\n",
//! )?;
//! let mut reactor = Reactor::new()?;
//! let (done, mailbox) = mailbox();
//! let auth = BasicAuth::new("site", Arc::new(users), Workers::new(), done);
//! let files = Files::new(&mut reactor, ".", FilesOptions::default())?;
//! let http = reactor.register(Http::new(Site { auth, files }));
//! reactor.attach(mailbox, http);
//! # Ok(())
//! # }
//! ```
//!
//! # Users and rules
//!
//! [`Users::parse`] reads a file in the format of `htpasswd -B`. Rules after the hash restrict a
//! user:
//!
//! | line | meaning |
//! |---|---|
//! | `alice:$2y$05$...` | `alice` may read and write everything |
//! | `bob:$2y$05$...@/docs,/in:rw` | `bob` may read `/docs`, and read and write `/in` |
//! | `@/public` | everyone may read `/public`, without a password |
//! | `# ...`, an empty line | ignored |
//!
//! A rule is a path, followed by `:ro` or `:rw`; without either it is read-only. It covers the path
//! and everything beneath it. Rules add up, so one rule cannot revoke what another one grants. GET
//! and HEAD read, OPTIONS is always allowed, and all other methods write.
//!
//! A right to a directory includes its listing, its archive, and forms that save files in it. Rules
//! apply to paths, not to files: a user who may read a path may read the target of a symbolic link
//! at that path.
//!
//! The path of a request is compared after decoding. A path with the segments `.` or `..`, with an
//! encoded slash, or with an invalid escape is covered only by rules for `/`, because the service
//! decides what it refers to.
//!
//! Without credentials, or with wrong ones, the client gets 401. With credentials that do not cover
//! the request, it gets 403. These responses lack the
//! [header fields](crate::files::FilesOptions::headers) of the files, those of CORS included.
//!
//! # Passwords
//!
//! Passwords must be hashed with bcrypt; plain-text passwords are rejected. `htpasswd -nB NAME`
//! prints such a line. As always with bcrypt, only the first 72 bytes of a password count.
//!
//! A check takes milliseconds to seconds, by design, so a worker does it while the request is
//! [postponed](crate::http::Reply::postpone). Use a separate [pool](Workers) for the checks, so
//! that attempts to guess passwords do not delay access to files. Up to 1,024 valid credentials are
//! cached for 5 minutes, as keyed hashes. At most 16 checks are in progress on a reactor, and at
//! most 2 for one client, so that whoever guesses passwords does not lock others out. A client is
//! an IPv4 address or a 64-bit IPv6 prefix; clients behind a proxy whose address the server sees
//! count as one, and so do those on Unix sockets. Up to 16 further requests of a client wait. A
//! request that can neither be checked nor wait gets 503. If all hashes have the same cost, an
//! unknown user takes as long as a wrong password.
//!
//! Basic authentication sends passwords in clear text. Use it with TLS, or on a network that you
//! trust.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Handle, Turn};

use crate::http::{Answered, Method, Postponed, Reply, Request, Status, credentials};

mod path;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod users;

use users::Access;
pub use users::Users;

/// How long credentials that were right are remembered.
const VALID_FOR: Duration = Duration::from_secs(300);

/// The maximum number of cached credentials.
const MOST_VERIFIED: usize = 1024;

/// The maximum number of checks in progress.
const MOST_CHECKS: usize = 16;

/// The maximum number of checks in progress for a client.
const MOST_CHECKS_OF_CLIENT: usize = 2;

/// The maximum number of requests of a client that wait until others of it have been checked.
const MOST_WAITING_OF_CLIENT: usize = 16;

/// Authenticates and authorizes requests. Each reactor has its own. See the [module](self).
pub struct BasicAuth {
    challenge: String,
    users: Arc<Users>,
    workers: Workers,
    done: Handle<Checked>,
    hasher: RandomState,
    /// Credentials that were right, by their hashes.
    verified: HashMap<u64, Verified>,
    /// The checks in progress, by the hashes of the credentials.
    checks: HashMap<u64, Check>,
    /// The requests that wait until others of the same client have been checked. Only clients with
    /// as many checks in progress as they may have wait, and those are few.
    waiting: Vec<(Option<IpAddr>, Postponed)>,
}

/// A check in progress.
struct Check {
    /// The client for which it was begun. Those on Unix sockets count as one, and so do those that
    /// have reset their connection, whose address is not known any more.
    client: Option<IpAddr>,
    /// The requests with these credentials.
    requests: Vec<Postponed>,
}

struct Verified {
    user: Box<str>,
    until: Duration,
}

/// The result of a check, for [`BasicAuth::finish`].
#[derive(Debug)]
pub struct Checked {
    key: u64,
    /// The users at the time of the check.
    users: Arc<Users>,
    /// The user, if the password was correct.
    user: Option<Box<str>>,
}

impl BasicAuth {
    /// Creates an authenticator for these users. `realm` is the text that browsers show when they
    /// prompt for a password. `workers` check passwords and post the results to `done`, whose
    /// handler must call [`finish`](BasicAuth::finish).
    #[must_use]
    pub fn new(
        realm: &str,
        users: Arc<Users>,
        workers: Workers,
        done: Handle<Checked>,
    ) -> BasicAuth {
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        BasicAuth {
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            users,
            workers,
            done,
            hasher: RandomState::new(),
            verified: HashMap::new(),
            checks: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Replaces the users and clears the cached credentials.
    pub fn set_users(&mut self, users: Arc<Users>) {
        self.users = users;
        self.verified.clear();
    }

    /// Returns the reply if the client may make this request.
    ///
    /// # Errors
    /// Otherwise the request was answered with 401, 403 or 503, or it was
    /// [postponed](Reply::postpone) until its password has been checked. The service must return
    /// this value.
    pub fn admit<'a, 'cx, V>(
        &mut self,
        request: &Request<'_>,
        mut reply: Reply<'a, 'cx>,
    ) -> Result<Reply<'a, 'cx>, Answered<V>> {
        let access = match request.method() {
            Method::Options => return Ok(reply),
            Method::Get | Method::Head => Access::Read,
            _ => Access::Write,
        };
        let path = path::plain(request.path());
        if self.users.allow(None, path.as_deref(), access) {
            return Ok(reply);
        }
        let Some(credentials) = request.header("Authorization") else {
            return Err(self.challenge(reply));
        };
        let key = self.hasher.hash_one(credentials);
        if let Some(user) = self.verified_user(key, reply.turn().now()) {
            let is_allowed = self.users.allow(Some(user), path.as_deref(), access);
            return if is_allowed { Ok(reply) } else { Err(reply.error(Status::FORBIDDEN)) };
        }
        Err(self.check(key, credentials, request.client(), reply))
    }

    /// The user who makes a request, once it is [admitted](BasicAuth::admit). `None` if it has no
    /// credentials, or if they were not checked because everyone may make this request.
    #[must_use]
    pub fn user(&self, request: &Request<'_>) -> Option<&str> {
        let key = self.hasher.hash_one(request.header("Authorization")?);
        self.verified.get(&key).map(|verified| &*verified.user)
    }

    /// Continues the requests that waited for a check. Call this for each [`Checked`] that arrives.
    pub fn finish(&mut self, cx: &mut Turn, checked: Checked) {
        let Checked { key, users, user } = checked;
        let Some(Check { client, requests }) = self.checks.remove(&key) else { return };
        if !Arc::ptr_eq(&users, &self.users) {
            // The users have changed, so they are checked again.
            requests.into_iter().for_each(|postponed| postponed.deliver(cx));
        } else if let Some(user) = user {
            self.remember(key, user, cx.now());
            requests.into_iter().for_each(|postponed| postponed.deliver(cx));
        } else {
            for postponed in requests {
                postponed.answer(cx, |reply| self.challenge(reply));
            }
        }
        // The first one may need no check any more, so all of them try. Those that cannot be
        // checked yet wait again.
        for (_, postponed) in self.waiting.extract_if(.., |(of, _)| *of == client) {
            postponed.deliver(cx);
        }
    }

    fn verified_user(&self, key: u64, now: Duration) -> Option<&str> {
        let verified = self.verified.get(&key).filter(|verified| now < verified.until)?;
        Some(&verified.user)
    }

    fn remember(&mut self, key: u64, user: Box<str>, now: Duration) {
        if self.verified.len() >= MOST_VERIFIED {
            self.verified.retain(|_, verified| now < verified.until);
        }
        if self.verified.len() >= MOST_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(key, Verified { user, until: now + VALID_FOR });
    }

    /// Lets a worker check credentials, or waits for the worker that already does.
    fn check<V>(
        &mut self,
        key: u64,
        credentials: &[u8],
        client: Option<IpAddr>,
        reply: Reply<'_, '_>,
    ) -> Answered<V> {
        let named = credentials::basic(credentials)
            .and_then(|(user, password)| Some((String::from_utf8(user).ok()?, password)));
        let Some((user, password)) = named else { return self.challenge(reply) };
        if let Some(check) = self.checks.get_mut(&key) {
            return reply.postpone(|postponed, _| check.requests.push(postponed));
        }
        let of_client = self.checks.values().filter(|check| check.client == client).count();
        if of_client >= MOST_CHECKS_OF_CLIENT {
            return self.wait(client, reply);
        }
        if self.checks.len() >= MOST_CHECKS {
            return refuse(reply);
        }
        let Some(hash) = self.users.hash_of(&user) else { return self.challenge(reply) };
        let (hash, users) = (hash.to_owned(), self.users.clone());
        let job = move || {
            let is_right = bcrypt::verify(password, &hash).unwrap_or(false);
            // The hash is that of another user if there is no such user.
            let user = (is_right && users.has(&user)).then(|| user.into());
            Checked { key, users, user }
        };
        if self.workers.run(job, &self.done).is_err() {
            return refuse(reply);
        }
        reply.postpone(|postponed, _| {
            self.checks.insert(key, Check { client, requests: vec![postponed] });
        })
    }

    /// Lets a request wait until others of its client have been checked.
    fn wait<V>(&mut self, client: Option<IpAddr>, reply: Reply<'_, '_>) -> Answered<V> {
        let of_client = self.waiting.iter().filter(|(of, _)| *of == client).count();
        if of_client >= MOST_WAITING_OF_CLIENT {
            return refuse(reply);
        }
        reply.postpone(|postponed, _| self.waiting.push((client, postponed)))
    }

    fn challenge<V>(&self, reply: Reply<'_, '_>) -> Answered<V> {
        reply.header("WWW-Authenticate", &self.challenge).error(Status::UNAUTHORIZED)
    }
}

/// Answers a request whose password cannot be checked now.
fn refuse<V>(reply: Reply<'_, '_>) -> Answered<V> {
    reply.header("Retry-After", "1").error(Status::SERVICE_UNAVAILABLE)
}
