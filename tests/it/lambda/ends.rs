//! How the process ends: by the platform's side, by a signal, and by what goes wrong between the two.

use crate::support::platform::Platform;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// It ended in silence, as if the platform had only gone.
#[test]
fn an_error_of_the_runtime_api_is_told_though_an_event_was_answered() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        "this is not HTTP\r\n\r\n",
        // An event that breaks off.
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 2\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"data",
    ] {
        let mut platform = Platform::start([("", ""); 0]);
        platform.invoke_bytes(b"{}", Duration::from_secs(60)).expect_err("no key is given");
        let exit = platform.refuse_event(answer);
        let log = platform.log();
        assert_eq!(exit, Some(4), "{answer}: {log}");
        assert!(
            log.contains("aws_failed") && log.contains("the Lambda runtime API gave"),
            "{answer}: {log}"
        );
    }
}

/// The second answer of the same process: that too was silence and exit 0.
#[test]
fn an_answer_that_cannot_be_handed_over_is_told() {
    let mut platform = Platform::start([("", ""); 0]);
    platform.invoke_bytes(b"{}", Duration::from_secs(60)).expect_err("no key is given");
    let exit = platform.drop_answer(b"{}");
    let log = platform.log();
    assert_eq!(exit, Some(4), "{log}");
    assert!(log.contains("aws_failed") && log.contains("took no answer"), "{log}");
}

/// By 500 the platform says that it cannot go on: the process took it for an answer that was taken.
#[test]
fn a_platform_that_fails_at_the_answer_ends_the_process() {
    let mut platform = Platform::start([("", ""); 0]);
    platform.invoke_bytes(b"{}", Duration::from_secs(60)).expect_err("no key is given");
    let exit = platform.answer_to_answer(b"{}", "500 Internal Server Error");
    let log = platform.log();
    assert_eq!(exit, Some(4), "{log}");
    assert!(log.contains("aws_failed") && log.contains("took no answer: 500"), "{log}");
}

/// It once called that a bug of its own, in the midst of what `sam local invoke` shows.
#[test]
fn the_end_of_the_platforms_side_is_an_ordinary_end() {
    for (events, code) in [(0, 4), (1, 0)] {
        let platform = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command
            .env("AWS_LAMBDA_RUNTIME_API", platform.local_addr().expect("an address").to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // One request for the event, one with its answer; then the platform's side is gone.
        let asked = "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 1\r\n\
                     Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let taken = "Content-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
        for (path, answer) in [("/next ", asked), ("/error ", &taken)].into_iter().take(2 * events) {
            let (mut stream, _) = platform.accept().expect("a request");
            let mut request = [0; 16 << 10];
            let length = stream.read(&mut request).expect("its head");
            assert!(String::from_utf8_lossy(&request[..length]).contains(path));
            write!(stream, "HTTP/1.1 200 OK\r\n{answer}").expect("answered");
        }
        drop(platform);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains("bug"), "{said}");
    }
}

#[test]
fn a_signal_ends_an_idle_runtime_silently() {
    let platform = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
    command
        .env("AWS_LAMBDA_RUNTIME_API", platform.local_addr().expect("an address").to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // It waits for an event, and none comes.
    let _request = platform.accept().expect("a request");
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.expect("kill starts").success());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""));
}
