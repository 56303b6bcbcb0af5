//! Streams over a link in memory, under virtual time.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::congestion::{Controller, ControllerFactory};
use quinn::{TransportConfig, VarInt};

use crate::tunnel::channel::StreamGuard;
use crate::tunnel::stream::{RecvHalf, ResetCode, SendHalf, StreamError};
use crate::tunnel::testing::Pair;

const WINDOW: u32 = 16 * 1024 * 1024;
const DELAY: Duration = Duration::from_millis(75);
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: u64 = 800;

/// Keeps the whole window in flight whatever is lost.
#[derive(Clone)]
struct Unlimited;

impl ControllerFactory for Unlimited {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for Unlimited {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}
    fn on_mtu_update(&mut self, _: u16) {}
    fn window(&self) -> u64 {
        WINDOW.into()
    }
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self)
    }
    fn initial_window(&self) -> u64 {
        WINDOW.into()
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let window = VarInt::from_u32(WINDOW);
    transport.receive_window(window).stream_receive_window(window).send_window(WINDOW.into());
    transport.congestion_controller_factory(Arc::new(Unlimited));
    transport
}

/// A chunk that tells its place.
fn chunk(index: u64) -> Bytes {
    index.to_be_bytes().repeat(CHUNK_BYTES / 8).into()
}

async fn send_all(mut send: SendHalf) -> SendHalf {
    for index in 0..CHUNKS {
        send.write_chunk(chunk(index)).await.unwrap();
    }
    send.finish();
    send
}

async fn expect_all(recv: &mut RecvHalf) {
    let mut place = vec![0; CHUNK_BYTES];
    for index in 0..CHUNKS {
        recv.read_exact(&mut place).await.unwrap();
        assert!(place == chunk(index), "chunk {index} is not in its place");
    }
    assert_eq!(recv.read_chunk(1).await, Ok(None));
}

async fn cross(loss: f64) -> Pair {
    let pair = Pair::connect_over(DELAY, loss, transport).await;
    let ((send, _back), (_, mut recv)) = pair.open(b"x").await;
    recv.read_exact(&mut [0]).await.unwrap();
    let sending = tokio::spawn(send_all(send));
    expect_all(&mut recv).await;
    sending.await.unwrap();
    pair
}

#[tokio::test(start_paused = true)]
async fn a_full_window_with_losses_arrives_whole() {
    let pair = cross(0.02).await;
    assert!(pair.dialler.stats().path.lost_packets > 500);
    assert_eq!(pair.dialler.close_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn more_gaps_than_the_library_bears_do_not_end_the_connection() {
    let pair = cross(0.15).await;
    assert!(pair.dialler.stats().path.lost_packets > 4_000);
    assert_eq!(pair.dialler.close_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_stops_the_far_side_and_loses_nothing() {
    let pair = Pair::connect_over(DELAY, 0.05, transport).await;
    let (mut send, _) = pair.dialler.open_bi().await.unwrap();
    send.write_all(b"x").await.unwrap();
    let (_, recv) = pair.listener.accept_bi().await.unwrap();
    let guard = StreamGuard::detached();
    let mut recv = RecvHalf::new(recv, guard.clone());
    recv.read_exact(&mut [0]).await.unwrap();
    // Other streams of the channel hold all that may be held.
    guard.budget().change(0, WINDOW as usize);
    let sending = tokio::spawn(send_all(SendHalf::new(send, StreamGuard::detached())));
    expect_all(&mut recv).await;
    sending.await.unwrap();
    guard.budget().change(WINDOW as usize, 0);
    assert!(!guard.budget().is_spent());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_stream_does_not_wait_for_the_room_that_others_have() {
    const WINDOW_BYTES: u32 = 64 * 1024;
    let transport = || {
        let mut transport = transport();
        transport.stream_receive_window(VarInt::from_u32(WINDOW_BYTES)).send_window(3 * u64::from(WINDOW_BYTES));
        transport
    };
    let pair = Pair::connect_over(DELAY, 0.0, transport).await;
    let ((mut one, _one), (_, mut of_one)) = pair.open(b"x").await;
    let ((mut other, _other), (_, mut of_other)) = pair.open(b"x").await;
    let window = Bytes::from(vec![0; WINDOW_BYTES as usize - 1]);
    one.write_chunk(window.clone()).await.unwrap();
    other.write_chunk(window.clone()).await.unwrap();
    // They come first, and take what room there is.
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut send, window) = (pair.dialler.open_bi().await.unwrap().0, window.clone());
        others.spawn(async move {
            send.write_all(&window).await.unwrap();
            std::future::pending::<()>().await;
        });
    }
    let more = Bytes::from_static(b"more");
    let writing = tokio::spawn(async move { tokio::join!(one.write_chunk(more.clone()), other.write_some(&more)) });
    of_one.stop(ResetCode::NotWanted);
    of_other.stop(ResetCode::NotWanted);
    let (of_chunk, of_some) = tokio::time::timeout(Duration::from_secs(10), writing).await.unwrap().unwrap();
    assert_eq!(of_chunk, Err(StreamError::Stopped(7)));
    assert_eq!(of_some, Err(StreamError::Stopped(7)));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_told_again_and_never_looks_like_an_end() {
    let pair = Pair::connect_over(DELAY, 0.0, transport).await;
    let ((mut send, _back), (_, mut recv)) = pair.open(b"x").await;
    recv.read_exact(&mut [0]).await.unwrap();
    send.reset(ResetCode::AppReset);
    for _ in 0..2 {
        assert_eq!(recv.read_chunk(1).await, Err(StreamError::Reset(2)));
    }
    assert_eq!(recv.read_chunks(&mut [Bytes::new()]).await, Err(StreamError::Reset(2)));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_given_up_loses_nothing() {
    let pair = Pair::connect_over(DELAY, 0.05, transport).await;
    let ((send, _back), (_, mut recv)) = pair.open(b"x").await;
    recv.read_exact(&mut [0]).await.unwrap();
    let sending = tokio::spawn(send_all(send));
    let (mut bytes, mut given_up) = (0, 0);
    loop {
        match tokio::time::timeout(Duration::from_millis(3), recv.read_chunk(usize::MAX)).await {
            Err(_) => given_up += 1,
            Ok(chunk) => match chunk.unwrap() {
                Some(chunk) => bytes += chunk.len(),
                None => break,
            },
        }
    }
    assert_eq!(bytes, CHUNKS as usize * CHUNK_BYTES);
    assert!(given_up > 10);
    sending.await.unwrap();
}
