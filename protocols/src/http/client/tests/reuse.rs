//! Connections that are used again.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn row_48_a_connection_serves_one_exchange_after_the_other() {
    let mut world = World::new();
    world.get(WHOLE);
    let far = world.accept();
    for _ in 0..3 {
        assert_eq!(world.h.sent(far), "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
        world.get(WHOLE);
    }
    assert_eq!(world.h.try_accept(&origin()), None);
}
