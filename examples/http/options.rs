//! The options of the server, and their conversion to those of the library.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser};
use sluicegate_protocols::auth::Users;
use sluicegate_protocols::files::{Cors, FilesOptions, Resume};
use sluicegate_protocols::http::HttpLimits;
use sluicegate_reactor::Limits;
use sluicegate_reactor::fs::CreateOptions;

use super::common;
use super::http_options::{self, Log};

const EXAMPLES: &str = "\
Examples:
  http                                    serve this directory at http://127.0.0.1:8080/
  http public --bind 0.0.0.0 --port 80    serve `public` to everyone
  http inbox --upload --max-body 50M      let clients store files of up to 50 MiB
  http inbox --upload --auth users        require a password: htpasswd -cB users alice
  http dist --spa index.html --precompressed
                                          serve a single-page application
  http --tls-cert fullchain.pem --tls-key privkey.pem --bind :: --port 443
                                          serve over HTTPS
  http --tls-self-signed                  try out HTTPS: curl -k https://127.0.0.1:8080/
  http --access-log - --log-format json   print one line per response
  SLUICEGATE_PORT=9000 http               set an option with an environment variable

On SIGHUP, the program reopens the access log and DIR, and reloads the files of
--auth, --limits and --tls-cert.
On SIGINT or SIGTERM, it exits once responses are sent; a second signal stops it
immediately.";

/// Serves the files of a directory over HTTP.
#[derive(Parser)]
#[command(name = "http", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Directory to serve.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    responses: Responses,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) server: common::Server,
}

#[derive(Args)]
#[command(next_help_heading = "Files")]
struct Files {
    /// File to serve for a directory; may be repeated: the first one that exists is served.
    #[arg(long, value_name = "NAME", default_value = "index.html", value_delimiter = ',')]
    index: Vec<String>,
    /// Do not list directories without an index file.
    #[arg(long)]
    no_listing: bool,
    /// Offer each directory as a tar archive, at `?tar`.
    #[arg(long)]
    archive: bool,
    /// Also serve and list files whose names begin with a dot. By default they get 404, except
    /// /.well-known.
    #[arg(long)]
    hidden: bool,
    /// Send NAME.br, NAME.zst or NAME.gz instead of NAME to clients that accept the coding, unless
    /// it is older than NAME.
    #[arg(long)]
    precompressed: bool,
    /// Page for paths that do not exist, as a path beneath DIR.
    #[arg(long = "404", value_name = "FILE")]
    not_found: Option<String>,
    /// Page of a single-page application, as a path beneath DIR. It is sent for paths that do not
    /// exist, unless they look like files.
    #[arg(long, value_name = "FILE")]
    spa: Option<String>,
    /// Copy files through a buffer instead of using sendfile.
    #[arg(long)]
    copy: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Responses")]
struct Responses {
    /// Path under which the files are served, such as /static.
    #[arg(long, value_name = "PATH", default_value = "")]
    prefix: String,
    /// Header field for responses, such as `Cache-Control: no-cache`; may be repeated. Not added to
    /// the responses 401, 403 and 503 of --auth.
    #[arg(long, value_name = "NAME:VALUE", value_parser = http_options::header)]
    header: Vec<(String, String)>,
    /// Let scripts on other sites read the files. ORIGIN is a site such as https://example.org, or
    /// `*` for all sites, which is also the default. May be repeated.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    #[arg(num_args = 0.., require_equals = true, default_missing_value = "*")]
    cors: Vec<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Access")]
struct Access {
    /// Require a password. FILE lists the users, one `NAME:HASH` per line, in the format of
    /// `htpasswd -B`. Rules restrict a user, as in `NAME:HASH@/docs,/in:rw`; a line like `@/public`
    /// applies to everyone.
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    /// Allow clients to create and replace files, with PUT or from the page of a directory.
    #[arg(long)]
    upload: bool,
    /// Keep interrupted uploads for this long, such as 24h, so that clients can continue them. The
    /// page of a directory does this automatically; other clients send Upload-Token and
    /// Content-Range.
    #[arg(long, value_name = "TIME", requires = "upload", value_parser = common::units::time)]
    resume: Option<Duration>,
    /// Create missing directories on the path of a file uploaded with PUT.
    #[arg(long, requires = "upload")]
    create_directories: bool,
    /// Allow clients to remove files with DELETE.
    #[arg(long)]
    delete: bool,
    /// Maximum length of a request body.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = common::units::size)]
    max_body: u64,
}

impl Options {
    /// The path at which clients find the directory.
    pub(crate) fn path(&self) -> String {
        match self.responses.prefix.trim_matches('/') {
            "" => "/".to_owned(),
            prefix => format!("/{prefix}/"),
        }
    }

    pub(crate) fn files(&self) -> FilesOptions {
        let Responses { prefix, header, cors } = &self.responses;
        let cors = match &cors[..] {
            [] => None,
            origins if origins.iter().any(|origin| origin == "*") => Some(Cors::AnyOrigin),
            origins => Some(Cors::Origins(origins.to_vec())),
        };
        FilesOptions {
            prefix: prefix.clone(),
            headers: header.clone(),
            cors,
            not_found: self.files.not_found.clone(),
            spa: self.files.spa.clone(),
            index: self.files.index.clone(),
            listing: !self.files.no_listing,
            archive: self.files.archive,
            hidden: self.files.hidden,
            precompressed: self.files.precompressed,
            upload: self.access.upload.then(CreateOptions::default),
            resume: self.access.resume.map(|keep| Resume { keep, ..Resume::default() }),
            create_directories: self.access.create_directories,
            delete: self.access.delete,
            ..FilesOptions::default()
        }
    }

    pub(crate) fn http_limits(&self) -> HttpLimits {
        HttpLimits { body: self.access.max_body, ..HttpLimits::default() }
    }

    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if self.files.copy {
            limits.small_file = u64::MAX;
        }
        limits
    }

    /// Allows in the sandbox what the server needs.
    pub(crate) fn allow(&mut self) {
        let sandbox = &mut self.server.privileges.allowed;
        match self.access.upload || self.access.delete {
            true => sandbox.write(&self.dir),
            false => sandbox.read(&self.dir),
        };
        if let Some(users) = &self.access.auth {
            sandbox.read_again(users);
        }
        self.log.allow(sandbox);
    }

    /// Whether the directory can be served.
    pub(crate) fn check_directory(&self) -> Result<(), String> {
        let advice = "DIR must be a directory you can read";
        let read = std::fs::read_dir(&self.dir).map(drop);
        read.map_err(|error| format!("{}: {error}; {advice}", self.dir.display()))
    }

    /// Reads the users, if clients have to authenticate.
    pub(crate) fn users(&self) -> io::Result<Option<Arc<Users>>> {
        let Some(path) = &self.access.auth else { return Ok(None) };
        let text = common::reload::read(path).map_err(|error| {
            // Other programs take a name and a password here.
            let text = format!("{error}; FILE must be in the format of `htpasswd -B`");
            io::Error::new(error.kind(), text)
        });
        let users = text.and_then(|text| Users::parse(&text)).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Some(Arc::new(users)))
    }
}
