//! Which provider a client gets, and what happens while there is none.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use wovenet_config::app::Target;
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, expect_reset, reset_now};
use crate::forward::testing::{APP_SITE, World, app, dead_app, exposed, metric, provider, remote, until};
use crate::tunnel::ProviderState;

#[tokio::test]
async fn fault_84_without_a_path_the_client_is_reset_in_time_and_the_listener_stays() {
    let world = World::new().await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    let mut remote_app = remote("app");
    remote_app.connect_timeout = Duration::from_millis(500);
    world.near.apply(&[remote_app], &[]);
    let address = world.bound(0).await;
    world.opener.set(APP_SITE, ProviderState::NoPath);
    let begun = Instant::now();
    let mut client = connect(address).await;
    client.write_all(b"waiting").await.unwrap();
    expect_reset(&mut client).await;
    assert!(begun.elapsed() >= Duration::from_millis(500));
    world.quiet().await;
    let no_path = metric(&world.near_registry, "wovenet_agent_streams_total", &[("result", "no_path")]);
    assert_eq!(no_path, 1.0);
    world.opener.set(APP_SITE, ProviderState::Available);
    assert_eq!(ask(address, b"again").await, b"again");
}

#[tokio::test]
async fn a_request_that_was_complete_before_the_path_came_is_answered() {
    let world = World::new().await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    world.opener.set(APP_SITE, ProviderState::NoPath);
    let asking = tokio::spawn(async move { ask(address, b"early").await });
    until("waiting", || world.near.activity()[0].open == 1).await;
    world.opener.set(APP_SITE, ProviderState::Available);
    assert_eq!(asking.await.unwrap(), b"early");
}

#[tokio::test]
async fn b6_a_client_that_half_closed_without_a_byte_before_the_path_came_is_answered() {
    let world = World::new().await;
    let greeting = app(|mut stream| async move {
        let mut request = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut request).await.unwrap();
        stream.write_all(b"greeting").await.unwrap();
    });
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(greeting.await)))]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    world.opener.set(APP_SITE, ProviderState::NoPath);
    let asking = tokio::spawn(async move { ask(address, b"").await });
    until("waiting", || world.near.activity()[0].open == 1).await;
    world.opener.set(APP_SITE, ProviderState::Available);
    assert_eq!(asking.await.unwrap(), b"greeting");
}

#[tokio::test]
async fn a_client_that_gives_up_while_waiting_frees_everything_soon() {
    let world = World::new().await;
    let mut patient = remote("app");
    patient.connect_timeout = Duration::from_secs(3_600);
    world.near.apply(&[patient], &[]);
    let address = world.bound(0).await;
    world.opener.set(APP_SITE, ProviderState::NoPath);
    let closes = connect(address).await;
    let resets = connect(address).await;
    let mut sends_and_resets = connect(address).await;
    sends_and_resets.write_all(b"x").await.unwrap();
    until("waiting", || world.near.activity()[0].open == 3).await;
    drop(closes);
    reset_now(resets);
    reset_now(sends_and_resets);
    world.quiet().await;
}

#[tokio::test]
async fn a_provider_that_becomes_available_is_chosen_while_another_is_waited_for() {
    let world = World::new().await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    let mut remote_app = remote("app");
    remote_app.providers = vec![provider("rome", "app"), provider("oslo", "app")];
    remote_app.providers[1].priority = 1;
    world.opener.set("rome", ProviderState::NoPath);
    world.opener.set("oslo", ProviderState::NoPath);
    world.near.apply(&[remote_app], &[]);
    let address = world.bound(0).await;
    let asking = tokio::spawn(async move { ask(address, b"whoever").await });
    until("waiting", || world.near.activity()[0].open == 1).await;
    world.opener.set("oslo", ProviderState::Available);
    assert_eq!(asking.await.unwrap(), b"whoever");
}

#[tokio::test]
async fn a_provider_that_cannot_serve_is_followed_by_the_next_with_nothing_lost() {
    let world = World::new().await;
    let dead = exposed("dead", Target::Single(AppSocket::Tcp(dead_app().await)));
    world.far.apply(&[], &[dead, exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    let mut remote_app = remote("app");
    remote_app.providers = vec![provider("rome", "dead"), provider("oslo", "absent"), provider(APP_SITE, "app")];
    for (priority, provider) in (0..).zip(&mut remote_app.providers) {
        provider.priority = priority;
    }
    let mut hopeless = remote_app.clone();
    hopeless.providers.pop();
    world.near.apply(&[remote_app, hopeless], &[]);
    assert_eq!(ask(world.bound(0).await, b"failover").await, b"failover");
    expect_reset(&mut connect(world.bound(1).await).await).await;
    world.quiet().await;
}
