//! One request to etcd's JSON gateway: a new process of its command-line client for each would take longer than what is
//! measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What a member answers to a POST, if it answers `200 OK` within the limit.
pub(super) fn post(addr: SocketAddr, path: &str, body: &str, limit: Duration) -> Option<Value> {
    let mut stream = TcpStream::connect_timeout(&addr, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.set_write_timeout(Some(limit)).ok()?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200") {
        return None;
    }
    // Sent whole or in one chunk: the object is what lies between its braces.
    let object = &body[body.find('{')?..=body.rfind('}')?];
    serde_json::from_str(object).ok()
}
