//! Apps that sites expose: small servers in this process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use wovenet_tests::mesh::{MANY_FILES, Mesh};
use wovenet_tests::process::{Process, sibling};
use wovenet_tests::until::{PATIENCE, until};

/// Serves every connection in a thread of its own for as long as the process lives, and returns the port.
pub(crate) fn serve(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(client));
        }
    });
    port
}

/// Sends back what it reads, to the end.
pub(crate) fn echo() -> u16 {
    serve(|mut client| {
        let mut reader = client.try_clone().unwrap();
        // A client that goes away early is its own business.
        std::io::copy(&mut reader, &mut client).ok();
    })
}

/// Sends for ever, as fast as it is read.
pub(crate) fn torrent() -> u16 {
    serve(|mut client| while client.write_all(&[7; 64 * 1024]).is_ok() {})
}

/// Answers every request that was ended by a half-close with `answer`.
pub(crate) fn answers(answer: &'static [u8]) -> u16 {
    serve(move |mut client| {
        client.read_to_end(&mut Vec::new()).ok();
        client.write_all(answer).ok();
    })
}

/// A port that nobody listens on.
pub(crate) fn nobody() -> u16 {
    wovenet_tests::ports::free_tcp_port().unwrap()
}

/// Sends back what it reads, to thousands of clients, from a process with its own files.
pub(crate) fn echoes_in_a_process(mesh: &Mesh) -> (Process, u16) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -n {MANY_FILES} && exec \"$@\""), "sh"])
        .arg(sibling("wovenet-test-peer").unwrap());
    shell.args(["echoes", "--listen", "127.0.0.1:0"]);
    let process = Process::start(shell, &mesh.directory().join("echoes.log")).unwrap();
    let (port, _) = until("the app listens", PATIENCE, || {
        let output = process.output();
        let event: serde_json::Value = serde_json::from_str(output.lines().next()?).ok()?;
        u16::try_from(event["port"].as_u64()?).ok()
    })
    .unwrap();
    (process, port)
}
/// Hands its connections to the test without a thread for each.
pub(crate) fn accepted() -> (u16, mpsc::Receiver<TcpStream>) {
    let (give, take) = mpsc::channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().try_for_each(|client| give.send(client)));
    (port, take)
}
