//! Where a socket is bound or connected: an IP address with a port, or a Unix address.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::FromRawFd;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixStream};
use std::path::Path;
use std::str::FromStr;

use socket2::{SockAddr, SockRef};

use super::unix::borrow;
use super::{Fd, about, invalid, look_up};

/// The address of a socket.
///
/// It is displayed as `127.0.0.1:80`, `[::1]:80`, `unix:/run/name.sock`, `unix:@abstract` or, for
/// an unnamed socket, `unix:`. Unprintable characters are escaped, because a peer chooses its own
/// name. The same forms can be parsed.
///
/// The zone of an IPv6 address, which a link-local address requires (RFC 4007), can be parsed as a
/// name or a number, and is displayed as a number: `[fe80::1%eth0]:80` becomes `[fe80::1%2]:80`.
///
/// ```
/// use sluicegate_reactor::Address;
/// use std::path::Path;
///
/// let address: Address = "127.0.0.1:80".parse()?;
/// assert_eq!(address.to_string(), "127.0.0.1:80");
/// assert_eq!(address.port(), Some(80));
///
/// let address = Address::from_path("/run/name.sock")?;
/// assert_eq!(address.to_string(), "unix:/run/name.sock");
/// assert_eq!(address.path(), Some(Path::new("/run/name.sock")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Ip(SocketAddr),
    /// A Unix socket: a path, an abstract name (Linux), or unnamed. A client is usually unnamed.
    Unix(UnixSocketAddr),
}

impl Address {
    /// The address of a Unix socket at a path.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if the path is empty, longer than the system allows (107 bytes on
    /// Linux, 103 elsewhere), or contains a NUL byte. The message names the path.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Address> {
        let path = path.as_ref();
        let (shown, length, longest) = (path.display(), path.as_os_str().len(), MAX_UNIX_PATH);
        let text = match UnixSocketAddr::from_pathname(path) {
            Ok(_) if length == 0 => "unix: the path is empty".into(),
            Ok(address) => return Ok(Address::Unix(address)),
            Err(_) if length > longest => {
                format!("{shown}: {length} bytes, but a Unix socket's path has at most {longest}")
            }
            Err(error) => format!("{shown}: {error}"),
        };
        Err(invalid(text))
    }

    /// The address of a Unix socket with an abstract name (`unix(7)`). Such a socket has no file
    /// that has to be removed, and any user in the same network namespace may connect to it. Linux
    /// only.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if the name is longer than 107 bytes, `ErrorKind::Unsupported` on
    /// other systems.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> io::Result<Address> {
        let name = name.as_ref();
        #[cfg(target_os = "linux")]
        let address = UnixSocketAddr::from_abstract_name(name);
        #[cfg(not(target_os = "linux"))]
        let address = Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux supports them"));
        address
            .map(Address::Unix)
            .map_err(about(format_args!("abstract name @{}", name.escape_ascii())))
    }

    /// Parses text that has the form of an address; `None` if it has another form.
    pub(crate) fn parse(text: &str) -> Option<io::Result<Address>> {
        if let Some(name) = text.strip_prefix("unix:") {
            return Some(match name.strip_prefix('@') {
                Some(name) => Address::from_abstract_name(name),
                None => Address::from_path(name),
            });
        }
        if let Ok(address) = text.parse() {
            return Some(Ok(Address::Ip(address)));
        }
        let (host, port) = text.strip_prefix('[')?.rsplit_once("]:")?;
        let port = port.parse().ok()?;
        Some(Address::with_zone(host, port)?.map_err(about(text.escape_debug())))
    }

    /// The address of an IPv6 host with a zone, such as `fe80::1%eth0`; `None` for any other host.
    pub(crate) fn with_zone(host: &str, port: u16) -> Option<io::Result<Address>> {
        let (ip, zone) = host.split_once('%')?;
        ip.parse::<Ipv6Addr>().ok()?;
        // The resolver knows the interfaces, and asks no other machine about an address.
        let found = look_up(host, port).ok().and_then(|found| found.first().copied());
        Some(found.map(Address::Ip).ok_or_else(|| {
            let zone = zone.escape_debug();
            let text = format!("no network interface {zone}, or not one for this address");
            io::Error::new(io::ErrorKind::NotFound, text)
        }))
    }

    /// The IP address and port, unless it is a Unix address.
    pub fn ip_and_port(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The IP address, unless it is a Unix address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip_and_port().map(|address| address.ip())
    }

    /// The port, unless it is a Unix address.
    pub fn port(&self) -> Option<u16> {
        self.ip_and_port().map(|address| address.port())
    }

    /// The path, if it is a Unix address that has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Address::Ip(_) => None,
            Address::Unix(address) => address.as_pathname(),
        }
    }

    /// The abstract name, if it is a Unix address that has one, without the leading zero byte.
    pub fn abstract_name(&self) -> Option<&[u8]> {
        match self {
            #[cfg(target_os = "linux")]
            Address::Unix(address) => address.as_abstract_name(),
            _ => None,
        }
    }

    /// The address as the kernel takes it.
    pub(super) fn to_system(&self) -> io::Result<SockAddr> {
        match (self, self.abstract_name()) {
            (Address::Ip(address), _) => Ok((*address).into()),
            // A leading zero byte marks an abstract name, unix(7).
            (_, Some(name)) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat())),
            _ => SockAddr::unix(self.path().unwrap_or(Path::new(""))),
        }
    }

    /// What makes two addresses equal.
    fn key(&self) -> (Option<SocketAddr>, Option<&Path>, Option<&[u8]>) {
        (self.ip_and_port(), self.path(), self.abstract_name())
    }

    /// Whether it is a Unix address.
    pub fn is_unix(&self) -> bool {
        matches!(self, Address::Unix(_))
    }
}

impl FromStr for Address {
    type Err = io::Error;

    /// # Errors
    /// `ErrorKind::InvalidInput` if the text is not an address or the path is invalid (see
    /// [`from_path`](Address::from_path)), and `ErrorKind::NotFound` if its zone is not the name of
    /// a network interface. The message contains the text.
    fn from_str(text: &str) -> io::Result<Address> {
        Address::parse(text).unwrap_or_else(|| {
            let shown = text.escape_debug();
            Err(invalid(format!("{shown}: not an address: IP:port, [IPv6]:port or unix:path")))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Address::Ip(address) = self {
            return fmt::Display::fmt(address, f);
        }
        f.write_str("unix:")?;
        if let Some(path) = self.path() {
            write_name(f, path.as_os_str().as_bytes())?;
        } else if let Some(name) = self.abstract_name() {
            f.write_char('@')?;
            write_name(f, name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &[u8]) -> fmt::Result {
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                letter if letter.is_control() => write!(f, "{}", letter.escape_default())?,
                letter => f.write_char(letter)?,
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

/// Unix addresses without a name are equal, even if they belong to different sockets.
impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.key().hash(state);
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl From<UnixSocketAddr> for Address {
    fn from(address: UnixSocketAddr) -> Address {
        Address::Unix(address)
    }
}

/// For [`TcpStream::connect`](std::net::TcpStream::connect) and similar functions.
impl ToSocketAddrs for Address {
    type Iter = std::option::IntoIter<SocketAddr>;

    /// # Errors
    /// `ErrorKind::Unsupported` for a Unix address.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self {
            Address::Ip(address) => Ok(Some(*address).into_iter()),
            Address::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{self} is not an IP address"),
            )),
        }
    }
}

pub(super) fn local_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).local_addr()?;
    from_system(socket, &address, UnixStream::local_addr)
}

pub(super) fn peer_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).peer_addr()?;
    from_system(socket, &address, UnixStream::peer_addr)
}

/// Translates an IP address here and leaves the others to the standard library: it knows how each
/// system reports a Unix socket without a name, and it refuses other address families.
fn from_system(
    socket: Fd,
    address: &SockAddr,
    ask: fn(&UnixStream) -> io::Result<UnixSocketAddr>,
) -> io::Result<Address> {
    if let Some(address) = address.as_socket() {
        return Ok(Address::Ip(address));
    }
    // SAFETY: by the contract of `sys`, the caller owns an open descriptor and keeps it open during
    // the call; it is not closed here.
    let stream = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(socket) });
    ask(&stream).map(Address::Unix)
}

/// The maximum number of bytes in the path of a Unix socket. `sun_path` has one more, for the
/// terminating zero.
const MAX_UNIX_PATH: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_a_peer_calls_itself_cannot_forge_a_line() {
        for (path, shown) in [
            ("/run/a.sock", "unix:/run/a.sock"),
            ("/run/ü", "unix:/run/ü"),
            ("/x\n\u{1b}[2J", "unix:/x\\n\\u{1b}[2J"),
        ] {
            assert_eq!(Address::from_path(path).unwrap().to_string(), shown);
        }
        let path = OsStr::from_bytes(b"/x\xff");
        assert_eq!(Address::from_path(path).unwrap().to_string(), "unix:/x\\xff");
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error_that_says_so() {
        let longest = "x".repeat(MAX_UNIX_PATH);
        assert_eq!(Address::from_path(&longest).unwrap().path(), Some(Path::new(&longest)));
        let error = Address::from_path(format!("{longest}y")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = format!("at most {}", MAX_UNIX_PATH);
        assert!(error.to_string().ends_with(&text), "{error}");
        for bad in ["", "a\0b"] {
            assert_eq!(Address::from_path(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn addresses_are_equal_if_their_names_are() {
        let ip: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let mut all = HashSet::from([Address::from(ip)]);
        for path in ["/a", "/b", "/a"] {
            all.insert(Address::from_path(path).unwrap());
        }
        let (one, other) = UnixStream::pair().unwrap();
        for unnamed in [one.local_addr().unwrap(), other.peer_addr().unwrap()] {
            let unnamed = Address::from(unnamed);
            assert_eq!((unnamed.to_string().as_str(), unnamed.path()), ("unix:", None));
            all.insert(unnamed);
        }
        assert_eq!(all.len(), 4);
        assert!(std::net::TcpStream::connect(Address::from_path("/a").unwrap()).is_err());
    }

    /// The loopback interface.
    const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

    #[test]
    fn text_is_parsed_as_it_is_displayed() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%7]:80", "unix:/run/a b"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for (bad, why) in [("localhost:80", "not an address"), ("unix:", "is empty")] {
            let error = bad.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_zone_has_a_name_or_a_number() {
        let by_name: Address = format!("[fe80::1%{LOOPBACK}]:80").parse().unwrap();
        // On other systems it need not be the first interface.
        if cfg!(target_os = "linux") {
            assert_eq!(by_name, "[fe80::1%1]:80".parse().unwrap());
            assert_eq!(by_name.to_string(), "[fe80::1%1]:80");
        }
        assert_ne!(by_name, "[fe80::1]:80".parse().unwrap());

        for zone in ["no such one", "a\0b", ""] {
            let error = format!("[fe80::1%{zone}]:80").parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            let zone = zone.escape_debug();
            let expected = format!(
                "[fe80::1%{zone}]:80: no network interface {zone}, or not one for this address"
            );
            assert_eq!(error.to_string(), expected);
        }
        for bad in ["[fe80::1%lo]", "[fe80::1%lo]:x", "[127.0.0.1%lo]:80", "fe80::1%lo:80"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    /// `unix(7)` says under which condition: the path fills `sun_path`, without a zero at the end.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_may_be_longer_than_a_program_can_ask_for() {
        let directory = tempfile::tempdir().unwrap();
        let start = directory.path().as_os_str().as_bytes();
        let mut storage = socket2::SockAddrStorage::zeroed();
        // SAFETY: a `sockaddr_un` consists of integers and fits any storage.
        let unix = unsafe { storage.view_as::<libc::sockaddr_un>() };
        unix.sun_family = libc::AF_UNIX as _;
        unix.sun_path = [b'x' as _; MAX_UNIX_PATH + 1];
        for (to, from) in unix.sun_path.iter_mut().zip([start, b"/"].concat()) {
            *to = from as _;
        }
        // SAFETY: the storage has an address of this length.
        let full = unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_un>() as _) };
        let socket = super::super::unix::stream_socket(socket2::Domain::UNIX).unwrap();
        socket.bind(&full).unwrap();
        let address = local_address(std::os::fd::AsRawFd::as_raw_fd(&socket)).unwrap();
        assert_eq!(address.path().unwrap().as_os_str().len(), MAX_UNIX_PATH + 1);
    }

    #[test]
    fn an_abstract_name_is_a_name_on_linux_only() {
        let address = Address::from_abstract_name("name\0\n");
        if cfg!(target_os = "linux") {
            let address = address.unwrap();
            assert_eq!(address.abstract_name(), Some(&b"name\0\n"[..]));
            assert_eq!(address.to_string(), "unix:@name\\u{0}\\n");
            assert!(Address::from_abstract_name("x".repeat(108)).is_err());
        } else {
            assert_eq!(address.unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }
}
