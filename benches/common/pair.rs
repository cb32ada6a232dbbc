//! Connections for the bare calls.

use std::net::{TcpListener, TcpStream};

use crate::common::{connect, control};

/// A client, and the near end of its connection, which does not block and is not paced.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    control(&listener, "reno").unwrap();
    let client = connect(listener.local_addr().unwrap());
    let (near, _) = listener.accept().unwrap();
    near.set_nodelay(true).unwrap();
    near.set_nonblocking(true).unwrap();
    (client, near)
}
