//! What an agent writes about connections: one line each, at debug, with its cause.

use wovenet_tests::mesh::Mesh;
use wovenet_tests::until::PATIENCE;

use crate::apps;
use crate::clients::{ask, connect, echoes, exchange, refused, reset};

#[test]
fn b25_a_connection_is_one_line_at_debug_with_its_names_and_cause_and_a_clean_end_is_no_error() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office.exposes("dead", apps::nobody())).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "echo").unwrap().uses("office", "dead").unwrap();
    let mut home = mesh.run(home).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
    home.quiet().unwrap();
    office.quiet().unwrap();
    let before = [home.agent.log().len(), office.agent.log().len()];
    for _ in 0..5 {
        ask(home.local("office/echo"), b"x").unwrap();
    }
    let mut aborted = connect(home.local("office/echo"));
    exchange(&mut aborted);
    reset(aborted);
    refused(home.local("office/dead"));
    home.quiet().unwrap();
    office.quiet().unwrap();
    for agent in [&mut home.agent, &mut office.agent] {
        assert!(agent.process().unwrap().terminate(PATIENCE).unwrap().success());
    }
    let logs = [home.agent.log()[before[0]..].to_owned(), office.agent.log()[before[1]..].to_owned()];
    for (log, own) in logs.iter().zip(["app=office/", "site=home"]) {
        let of_streams: Vec<&str> = log.lines().filter(|line| line.contains("stream")).collect();
        assert_eq!(of_streams.len(), 7, "{of_streams:#?}");
        for line in &of_streams {
            assert!(line.contains("DEBUG") && line.contains("stream ended"), "{line}");
            assert!(line.replace('"', "").contains(own), "{line}");
        }
        let with = |text: &str| of_streams.iter().filter(|line| line.contains(text)).count();
        assert_eq!((with("result=\"ok\""), with("result=\"reset\""), with("result=\"failed\"")), (5, 1, 1));
        assert_eq!(with("error="), 2, "a stream that did not end well says why: {of_streams:#?}");
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    }
}
