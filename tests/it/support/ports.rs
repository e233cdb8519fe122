//! Ports that nobody else gets. A port that was free a moment ago belongs to anyone who asks next: so a port is never looked up
//! and let go, but kept by a socket that is bound and does not listen.

use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// A port for a server that cannot be told to bind 0 and say what it got.
///
/// The kernel gives it to nobody who asks for any port, and to no connection as its own end: it is bound already. A server
/// that asks for this very number gets it, since both set `SO_REUSEADDR` and this socket never listens (as socket(7) has it;
/// PostgreSQL, pgbouncer, Go's and Python's servers set it). So what answers there is the server that was told the number.
pub struct Reserved {
    port: u16,
    _bound: OwnedFd,
}

impl Reserved {
    pub fn new() -> Self {
        Self::bind(true)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn bind(shared: bool) -> Self {
        let bound = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&bound, shared).expect("the socket can be set");
        // On every address: of a server that listens on several, all have one port.
        bind(&bound, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let address: SocketAddrAny = getsockname(&bound).expect("its address");
        let port = SocketAddrV4::try_from(address).expect("IPv4").port();
        Self { port, _bound: bound }
    }
}

/// A port where nobody listens, for as long as the tests run: anyone who connects is refused.
pub fn nobody_listens() -> u16 {
    static PORT: OnceLock<Reserved> = OnceLock::new();
    PORT.get_or_init(|| Reserved::bind(false)).port
}

mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_is_only_for_the_server_that_was_told_it() {
        let reserved = Reserved::new();
        let address = ("127.0.0.1", reserved.port());
        assert_eq!(
            TcpStream::connect(address).expect_err("nobody listens").kind(),
            ErrorKind::ConnectionRefused
        );
        let server = TcpListener::bind(address).expect("the server gets it");
        TcpStream::connect(address).expect("it answers");
        assert_eq!(TcpListener::bind(address).expect_err("it is taken").kind(), ErrorKind::AddrInUse);
        drop(server);
    }

    #[test]
    fn where_nobody_listens_nobody_can() {
        let address = ("127.0.0.1", nobody_listens());
        assert_eq!(TcpListener::bind(address).expect_err("it is kept").kind(), ErrorKind::AddrInUse);
        assert_eq!(
            TcpStream::connect(address).expect_err("it is refused").kind(),
            ErrorKind::ConnectionRefused
        );
    }
}
